"""Normalization of images: fixed or measured channel statistics, and their application."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from labs import LabsError


class Normalization(NamedTuple):
    """Mean and standard deviation per channel, of pixels in [0, 1]."""

    name: str
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return name, mean and std as a string and lists."""
        return {"name": self.name, "mean": list(self.mean), "std": list(self.std)}


class Normalizer:
    """Subtract the mean and divide by the standard deviation, on the device of the images."""

    def __init__(self, normalization: Normalization) -> None:
        self.statistics = torch.tensor(normalization[1:])[:, :, None, None]  # mean and std: (2, channels, 1, 1)

    def __call__(self, images: Tensor) -> Tensor:
        """Return the normalized images of (batch, channels, height, width) in [0, 1]."""
        if self.statistics.device != images.device:
            self.statistics = self.statistics.to(images.device)
        mean, std = self.statistics
        return (images - mean) / std


IMAGENET = Normalization("imagenet", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
FIXED = {
    "imagenet": IMAGENET,
    "half": Normalization("half", (0.5, 0.5, 0.5), (1.0, 1.0, 1.0)),
    "none": Normalization("none", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
}


def channel_statistics(pixels: np.ndarray, rows: np.ndarray, chunk: int = 256) -> Normalization:
    """Measure the mean and standard deviation of each channel over all pixels of the given images.

    Sums of pixels and of their squares are exact (64-bit integers over chunks); the moments are in float64. The
    standard deviation is that of all pixels, not the mean over images.

    Args:
        pixels: uint8 images (images, channels, height, width).
        rows: Indices of the images to measure, (count,).
        chunk: Number of images read at a time.

    Returns:
        Statistics of pixels scaled to [0, 1].

    Raises:
        LabsError: If there are no images, or if a channel is constant.
    """
    if len(rows) == 0:
        raise LabsError("normalization=dataset: the training split has no images to measure.")
    total = np.zeros(pixels.shape[1], dtype=np.int64)
    squares = np.zeros(pixels.shape[1], dtype=np.int64)
    for start in range(0, len(rows), chunk):
        part = pixels[rows[start : start + chunk]].astype(np.int64)
        total += part.sum(axis=(0, 2, 3))
        squares += np.square(part).sum(axis=(0, 2, 3))
    count = len(rows) * pixels.shape[2] * pixels.shape[3]
    mean = total / count
    std = np.sqrt(squares / count - mean**2)
    if (std == 0).any():
        raise LabsError("normalization=dataset: a channel has the same value in every pixel; use normalization=none.")
    return Normalization("dataset", tuple((mean / 255).tolist()), tuple((std / 255).tolist()))


def mixed_statistics(measured: Sequence[Normalization]) -> Normalization:
    """Return the statistics of a mixture of measured sets with equal weights.

    Statistics with one channel are repeated to the number of channels of the others.

    Examples:
        >>> a, b = Normalization("a", (0.0,), (0.0,)), Normalization("b", (1.0,), (0.0,))
        >>> mixed_statistics([a, b])
        Normalization(name='dataset', mean=(0.5,), std=(0.5,))
    """
    channels = max(len(one.mean) for one in measured)
    means = np.stack([np.broadcast_to(one.mean, channels) for one in measured])
    stds = np.stack([np.broadcast_to(one.std, channels) for one in measured])
    mean = means.mean(axis=0)
    std = np.sqrt((stds**2 + means**2).mean(axis=0) - mean**2)
    return Normalization("dataset", tuple(mean.tolist()), tuple(std.tolist()))

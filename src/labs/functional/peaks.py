"""Peaks of a layer's channels, over any number of images, with constant memory."""

import torch
from torch import Tensor


class Peaks:
    """Track the highest peaks of every channel over images, and the share of positions above zero.

    Args:
        top: Number of images kept per channel: those with the highest peaks.

    Attributes:
        images: Number of images so far.
        values: The highest peaks in descending order, (up to top, channels); among equal peaks, earlier images first.
        positions: Positions of their images in the data, the same shape.
        places: Index of each peak in the flattened map, the same shape.

    Examples:
        >>> peaks = Peaks(top=2)
        >>> peaks.update(torch.tensor([[[[0.0, 1.0]]], [[[3.0, 2.0]]], [[[-1.0, 2.0]]]]), torch.arange(3))
        >>> peaks.values.flatten().tolist(), peaks.positions.flatten().tolist(), peaks.active_share.tolist()
        ([3.0, 2.0], [1, 2], [0.6666666666666666])
    """

    def __init__(self, top: int) -> None:
        self.top, self.images, self.size = top, 0, 1
        self.values = self.positions = self.places = torch.empty(0)
        self.sums = torch.empty(0)  # of peaks, of their squares, and of active positions, (3, channels)

    def update(self, maps: Tensor, positions: Tensor) -> None:
        """Add a batch.

        Args:
            maps: (batch, channels, height, width).
            positions: Positions of their images in the data, (batch,).
        """
        flat = maps.flatten(2)
        peaks, places = flat.max(dim=2)  # (batch, channels)
        peaks = peaks.float()
        exact = peaks.cpu().double()  # Apple GPUs have no 64-bit floats
        new = torch.stack([exact, exact.square(), (flat > 0).sum(2).cpu().double()]).sum(1)
        found = [peaks, positions.to(peaks.device)[:, None].expand_as(places), places]
        self.size = flat.shape[2]
        if self.images:
            before = (self.values, self.positions, self.places)
            found = [torch.cat(pair) for pair in zip(before, found, strict=True)]
        self.sums = self.sums + new if self.images else new
        best = found[0].argsort(dim=0, descending=True, stable=True)[: self.top]
        self.values, self.positions, self.places = (values.gather(0, best) for values in found)
        self.images += len(maps)

    @property
    def active_share(self) -> Tensor:
        """Return each channel's share of positions above zero over all images, (channels,) float64."""
        return self.sums[2] / (self.images * self.size)

    @property
    def dead(self) -> Tensor:
        """Return whether each channel is never above zero, (channels,)."""
        return self.sums[2] == 0

    @property
    def spread(self) -> Tensor:
        """Return the standard deviation of a channel's peaks over the images, (channels,) float64."""
        mean = self.sums[0] / self.images
        return (self.sums[1] / self.images - mean.square()).clamp(min=0).sqrt()

    def telling(self, count: int) -> list[int]:
        """Return the channels whose peaks differ most between images or, for one image, those with the largest."""
        scores = self.spread if self.images > 1 else self.values[0]
        return scores.argsort(descending=True, stable=True)[:count].tolist()

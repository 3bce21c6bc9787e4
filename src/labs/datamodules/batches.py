"""Batches of uint8 images, taken whole by their positions: no Python per image."""

from typing import Any, NamedTuple, TypeVar

import lightning.pytorch as pl
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

T = TypeVar("T")


class Batch(NamedTuple):
    """A batch as the training step sees it."""

    images: Tensor  # (batch, channels, height, width); uint8 from the loader, normalised floats in the step
    labels: Tensor  # (batch,) int64
    positions: Tensor  # (batch,) int64: where each image stands in its split


class Unlabeled(NamedTuple):
    """Images of a training batch whose labels training must not see: it has no place for them."""

    images: Tensor  # (batch, channels, height, width), normalised
    positions: Tensor  # (batch,) int64: where each image stands among the unlabelled ones


class DomainBatch(NamedTuple):
    """What a step of domain adaptation learns from: labelled images of one domain, the source, and others of another.

    For the upper bound the labelled domain is the target (`labs.datamodules.domains`).
    """

    labeled: Batch
    unlabeled: Unlabeled


class Positions(Dataset[Tensor]):
    """Stand for images that are on the device already: indexing takes a batch of positions and returns them."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: list[int]) -> Tensor:
        return torch.as_tensor(index)


class PairedPositions(Dataset[tuple[Tensor, Tensor]]):
    """Stand for two sets of images that are on the device already, as `Positions` does for one."""

    def __getitem__(self, pair: tuple[list[int], list[int]]) -> tuple[Tensor, Tensor]:
        return torch.as_tensor(pair[0]), torch.as_tensor(pair[1])


class Resident:
    """A split's images that batches of positions are gathered from, kept on the device where they fit.

    Positions are best given on the CPU, with a device to gather on, so that nothing waits for the device.

    Args:
        values: (views * images, ...): the images themselves, or what a part of a net makes of them.
        labels: (images,) int64; None: there are none to ask for.
        views: how many versions of each image there are, one after the other.
        dtype: what the bits of `values` mean, where NumPy has no name for it (bfloat16).
    """

    def __init__(
        self, values: np.ndarray, labels: np.ndarray | None, *, views: int = 1, dtype: torch.dtype | None = None
    ) -> None:
        self.host, self.views, self.dtype = values, views, dtype
        self.labels = None if labels is None else torch.from_numpy(np.ascontiguousarray(labels))
        self.device = torch.device("cpu")
        self.on_device: Tensor | None = None

    def __len__(self) -> int:
        return len(self.host) // self.views

    def values(self, positions: Tensor, device: torch.device | None = None, epoch: int = 0) -> Tensor:
        """Return the values at (batch,) positions, on a device or on theirs; an epoch takes view epoch % views."""
        device = device or positions.device
        if self.device != device:
            self.device, self.labels = device, None if self.labels is None else self.labels.to(device)
            self.on_device = torch.from_numpy(np.array(self.host)).to(device) if fits(self.host, device) else None
        places = positions + (epoch % self.views) * len(self)
        if self.on_device is None:
            values = torch.from_numpy(self.host[places.cpu().numpy()]).to(device, non_blocking=True)
        else:
            values = self.on_device[places.to(device, non_blocking=True)]
        return values if self.dtype is None else values.view(self.dtype)

    def batch(self, positions: Tensor, device: torch.device | None = None, epoch: int = 0) -> Batch:
        """Return the values and the labels at (batch,) positions, as `values` does."""
        values = self.values(positions, device, epoch)
        positions = positions.to(values.device, non_blocking=True)
        assert self.labels is not None, "images without labels: ask for their values"
        return Batch(values, self.labels[positions], positions)


def fits(values: np.ndarray, device: torch.device) -> bool:
    """Say whether an array may live in a GPU's memory: it takes a quarter of what is free, at most."""
    return device.type == "cuda" and values.nbytes <= torch.cuda.mem_get_info(device)[0] // 4


class StoredImages(Dataset[Batch]):
    """A split of a uint8 store (images, channels, height, width); indexing takes a whole batch of positions."""

    def __init__(self, pixels: np.ndarray, labels: np.ndarray, rows: np.ndarray) -> None:
        self.pixels, self.labels, self.rows = pixels, labels, rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: list[int]) -> Batch:
        rows = self.rows[index]
        return Batch(torch.from_numpy(self.pixels[rows]), torch.from_numpy(self.labels[rows]), torch.as_tensor(index))


def loader(images: Dataset[T], batches: Sampler[Any], num_workers: int = 0) -> DataLoader[T]:
    """Wrap a split and its batches in a DataLoader that fetches a whole batch at once.

    It draws from a generator of its own. Otherwise each epoch would take a number from the global one, before or after
    that was seeded for the epoch, depending on whether the run has just been resumed.
    """
    return DataLoader(
        images,
        sampler=batches,
        batch_size=None,
        num_workers=num_workers,
        persistent_workers=num_workers > 0,
        pin_memory=torch.cuda.is_available(),
        generator=torch.Generator(),
    )


def split_of(trainer: pl.Trainer | None) -> str:
    """Say which split the batches of this moment are of."""
    return "train" if trainer and trainer.training else "test" if trainer and trainer.testing else "val"

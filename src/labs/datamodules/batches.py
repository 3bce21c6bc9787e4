"""Batches of uint8 images, indexed by position a whole batch at a time, without Python code per image."""

from typing import Any, NamedTuple, TypeVar

import lightning.pytorch as pl
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

T = TypeVar("T")


class Batch(NamedTuple):
    """A batch of labeled images."""

    images: Tensor  # (batch, channels, height, width); uint8 from the loader, normalized floats in the step
    labels: Tensor  # (batch,) int64
    positions: Tensor  # (batch,) int64: index of each image in its split


class Unlabeled(NamedTuple):
    """Images of a training batch whose labels training must not see: there is no field for labels."""

    images: Tensor  # (batch, channels, height, width), normalized
    positions: Tensor  # (batch,) int64: index of each image in the unlabeled training split


class DomainBatch(NamedTuple):
    """A training batch of domain adaptation: labeled images of one domain and unlabeled images of the other.

    The labeled domain is the source; for the upper bound it is the target (`labs.datamodules.domains`).
    """

    labeled: Batch
    unlabeled: Unlabeled


class Positions(Dataset[Tensor]):
    """A dataset that returns the positions themselves, because the images are already on the device."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: list[int]) -> Tensor:
        return torch.as_tensor(index)


class PairedPositions(Dataset[tuple[Tensor, Tensor]]):
    """A dataset that returns pairs of positions, for two sets of images that are already on the device."""

    def __getitem__(self, pair: tuple[list[int], list[int]]) -> tuple[Tensor, Tensor]:
        return torch.as_tensor(pair[0]), torch.as_tensor(pair[1])


class Resident:
    """The images or features of a split, kept on the device if they fit, and indexed by batches of positions.

    Pass positions on the CPU, together with the device of the result, so that nothing waits for the device.

    Args:
        values: images or features, (views * images, ...).
        labels: (images,) int64, or None if training must not see them.
        views: number of versions of each image, stored one after the other.
        dtype: type of the bits in `values` if NumPy does not have it (bfloat16).
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
        """Return the values at positions (batch,), on `device` or on theirs; the view is epoch % views."""
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
        """Return the values and the labels at positions (batch,); see `values`."""
        values = self.values(positions, device, epoch)
        positions = positions.to(values.device, non_blocking=True)
        assert self.labels is not None, "images without labels: ask for their values"
        return Batch(values, self.labels[positions], positions)


def fits(values: np.ndarray, device: torch.device) -> bool:
    """Return whether an array may be kept in a GPU's memory: at most a quarter of the free memory is used."""
    return device.type == "cuda" and values.nbytes <= torch.cuda.mem_get_info(device)[0] // 4


class StoredImages(Dataset[Batch]):
    """A split of a uint8 store (images, channels, height, width), indexed by a whole batch of positions."""

    def __init__(self, pixels: np.ndarray, labels: np.ndarray, rows: np.ndarray) -> None:
        self.pixels, self.labels, self.rows = pixels, labels, rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: list[int]) -> Batch:
        rows = self.rows[index]
        return Batch(torch.from_numpy(self.pixels[rows]), torch.from_numpy(self.labels[rows]), torch.as_tensor(index))


def loader(images: Dataset[T], batches: Sampler[Any], num_workers: int = 0) -> DataLoader[T]:
    """Return a DataLoader for a split and its batches, which fetches a whole batch at once.

    It has its own random generator. Otherwise each epoch would draw a number from the global generator, before or after
    it is seeded for the epoch, depending on whether the run was just resumed.
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
    """Return the split that the trainer is currently using."""
    return "train" if trainer and trainer.training else "test" if trainer and trainer.testing else "val"

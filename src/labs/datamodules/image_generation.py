"""Images to imitate: a whole dataset on the device that trains, batches by index, pixels in [-1, 1]."""

from typing import Any, Protocol

import lightning.pytorch as pl
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from labs import LabsError
from labs.datamodules.batches import Batch, Positions, Resident, loader, split_of
from labs.datamodules.orders import EpochBatches, check_passes, share
from labs.datamodules.sources import LabeledImages, Source, check_classes, say
from labs.datamodules.splits import check_same_data, split_hash


class CreditedSource(Source, Protocol):
    """A source that says how many channels its images have, and whom to name where they are shown."""

    channels: int
    credits: list[str]


class ImageGeneration(pl.LightningDataModule):
    """Serve a source's images as batches in [-1, 1], what a tanh can make; training images shuffled, the others not.

    All images lie on the device as uint8, where they fit, and a batch is an index into them.
    The source's test set is what generated images are measured against; it never trains.

    Args:
        source: where the images come from.
        num_classes: classes of the images; checked against the source.
        image_size: pixels, height and width.
        channels: 1 (grey) or 3 (RGB); checked against the source.
        batch_size: images a step of the discriminator, on each device.
        passes: over the images in an epoch.
        seed: of the data order.
        embedded: whether the source's images are the offline ones.
    """

    def __init__(
        self,
        *,
        source: CreditedSource,
        num_classes: int,
        image_size: int,
        channels: int,
        batch_size: int,
        embedded: bool,
        passes: int = 1,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if batch_size < 2:
            raise LabsError(f"datamodule.batch_size={batch_size}: expected 2 or more; batch norm needs several images.")
        check_passes(passes)
        if channels != source.channels:
            raise LabsError(
                f"datamodule.channels={channels}: images of {source.name} have {source.channels}; "
                f"type datamodule.channels={source.channels}."
            )
        self.source, self.num_classes, self.image_size, self.channels = source, num_classes, image_size, channels
        self.batch_size, self.passes, self.seed, self.embedded = batch_size, passes, seed, embedded
        self._loaded: LabeledImages | None = None
        self._resident: dict[str, Resident] = {}  # of each split all images, uint8

    @property
    def labels(self) -> list[str]:
        """What every number of a run on this data must carry."""
        return ["embedded data"] if self.embedded else []

    def facts(self) -> dict[str, Any]:
        """Say what `metrics.json` tells of the data."""
        return {
            "labels": self.labels,
            "counts": {split: len(images) for split, images in self._resident.items()},
            "split_hash": self.split_hash,
            "batch_size": self.batch_size,
            "credits": self.source.credits,
        }

    def prepare_data(self) -> None:
        """Download and decode, once, before the processes of a run part ways."""
        self._loaded = self._loaded or self.source.load(self.image_size)

    def setup(self, stage: str) -> None:
        """Cut the images into those to imitate and those to measure against.

        Raises:
            LabsError: the source has another number of classes.
        """
        if self._resident:
            return
        images = self.images = self._loaded = self._loaded or self.source.load(self.image_size)
        check_classes(self.num_classes, images.classes, self.source.name)
        rows = {"train": np.flatnonzero(~images.is_test), "test": np.flatnonzero(images.is_test)}
        self.split_hash = split_hash(images.names, rows)
        for split, chosen in rows.items():
            self._resident[split] = Resident(images.pixels[chosen], images.labels[chosen])
        told = f"{len(self._resident['train'])} to imitate, {len(self._resident['test'])} to measure against"
        say(f"{self.source.name}: {told}, {self.image_size}x{self.image_size} pixels", self.labels)

    def train_dataloader(self) -> DataLoader[Tensor]:
        """Serve the positions of the training images in an order that is a function of (seed, epoch)."""
        return self._loader("train", shuffle=True)

    def test_dataloader(self) -> DataLoader[Tensor]:
        """Serve the positions of the held-out images in order."""
        return self._loader("test")

    def transfer_batch_to_device(self, batch: Tensor, device: torch.device, dataloader_idx: int) -> Batch:
        """Take the images at the positions of a batch, on the device that trains."""
        return self.batch(split_of(self.trainer), batch, device)

    def batch(self, split: str, positions: Tensor, device: torch.device | None = None) -> Batch:
        """Return images (batch, channels, size, size) in [-1, 1] and their labels, on a device or that of positions."""
        batch = self._resident[split].batch(positions, device)
        return batch._replace(images=batch.images.float().div_(127.5).sub_(1))

    def stored(self, split: str) -> Batch:
        """Return all images of a split as they are stored, uint8, with their labels, on the CPU."""
        images = self._resident[split]
        assert images.labels is not None
        return Batch(torch.from_numpy(images.host), images.labels.cpu(), torch.arange(len(images)))

    def state_dict(self) -> dict[str, Any]:
        """Save which images a checkpoint was trained on."""
        return {"split_hash": self.split_hash, "image_size": self.image_size}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Refuse to go on from a checkpoint that was trained on other images."""
        check_same_data(state_dict, self.state_dict(), "split_hash", "image_size")

    def _loader(self, split: str, shuffle: bool = False) -> DataLoader[Tensor]:
        count = len(self._resident[split])
        options: dict[str, Any] = {"passes": self.passes, "seed": self.seed} if shuffle else {}
        batches = EpochBatches(count, self.batch_size, shuffle=shuffle, **options, **share(self.trainer))
        return loader(Positions(count), batches)

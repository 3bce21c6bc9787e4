"""Images for generative models: a whole dataset on the training device, batches by index, pixels in [-1, 1]."""

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
    """A source with a fixed number of channels, and credit lines for its images."""

    channels: int
    credits: list[str]


class ImageGeneration(pl.LightningDataModule):
    """Load a dataset's images as batches in [-1, 1], the range of tanh; only training images are shuffled.

    All images are kept on the device as uint8 if they fit, and a batch indexes into them. Generated images are compared
    with the source's test set, which is never used for training.

    Args:
        source: the dataset.
        num_classes: number of classes, checked against the source.
        image_size: height and width in pixels.
        channels: 1 (gray) or 3 (RGB), checked against the source.
        batch_size: images per discriminator step and device.
        passes: passes over the images per epoch.
        seed: random seed of the data order.
        embedded: whether the source's images are embedded data.
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
            raise LabsError(f"datamodule.batch_size={batch_size}: batch norm needs several images; type 2 or more.")
        check_passes(passes)
        if channels != source.channels:
            raise LabsError(
                f"datamodule.channels={channels}: the images of {source.name} have {source.channels}; "
                f"type datamodule.channels={source.channels}."
            )
        self.source, self.num_classes, self.image_size, self.channels = source, num_classes, image_size, channels
        self.batch_size, self.passes, self.seed, self.embedded = batch_size, passes, seed, embedded
        self._loaded: LabeledImages | None = None
        self._resident: dict[str, Resident] = {}  # by split, all images, uint8

    @property
    def labels(self) -> list[str]:
        """The labels that every number of a run on this data must show."""
        return ["embedded data"] if self.embedded else []

    def facts(self) -> dict[str, Any]:
        """Return the facts about the data for `metrics.json`."""
        return {
            "labels": self.labels,
            "counts": {split: len(images) for split, images in self._resident.items()},
            "split_hash": self.split_hash,
            "batch_size": self.batch_size,
            "credits": self.source.credits,
        }

    def prepare_data(self) -> None:
        """Download and decode the images, once, before the processes of a run start."""
        self._loaded = self._loaded or self.source.load(self.image_size)

    def setup(self, stage: str) -> None:
        """Split the images into those to imitate and those to compare with.

        Raises:
            LabsError: the source has a different number of classes.
        """
        if self._resident:
            return
        images = self.images = self._loaded = self._loaded or self.source.load(self.image_size)
        check_classes(self.num_classes, images.classes, self.source.name)
        rows = {"train": np.flatnonzero(~images.is_test), "test": np.flatnonzero(images.is_test)}
        self.split_hash = split_hash(images.names, rows)
        for split, chosen in rows.items():
            self._resident[split] = Resident(images.pixels[chosen], images.labels[chosen])
        counts = f"{len(self._resident['train'])} for training, {len(self._resident['test'])} held out for the metrics"
        say(f"{self.source.name}: {counts}, {self.image_size}x{self.image_size} pixels", self.labels)

    def train_dataloader(self) -> DataLoader[Tensor]:
        """Load the positions of the training images in an order that is a function of (seed, epoch)."""
        return self._loader("train", shuffle=True)

    def test_dataloader(self) -> DataLoader[Tensor]:
        """Load the positions of the held-out images in order."""
        return self._loader("test")

    def transfer_batch_to_device(self, batch: Tensor, device: torch.device, dataloader_idx: int) -> Batch:
        """Gather the images at the positions of a batch, on the training device."""
        return self.batch(split_of(self.trainer), batch, device)

    def batch(self, split: str, positions: Tensor, device: torch.device | None = None) -> Batch:
        """Return images (batch, channels, size, size) in [-1, 1] with labels, on `device` or that of the positions."""
        batch = self._resident[split].batch(positions, device)
        return batch._replace(images=batch.images.float().div_(127.5).sub_(1))

    def stored(self, split: str) -> Batch:
        """Return all stored images of a split, uint8, with their labels, on the CPU."""
        images = self._resident[split]
        assert images.labels is not None
        return Batch(torch.from_numpy(images.host), images.labels.cpu(), torch.arange(len(images)))

    def state_dict(self) -> dict[str, Any]:
        """Return which images a checkpoint was trained on."""
        return {"split_hash": self.split_hash, "image_size": self.image_size}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Refuse to resume from a checkpoint that was trained on other images."""
        check_same_data(state_dict, self.state_dict(), "split_hash", "image_size")

    def _loader(self, split: str, shuffle: bool = False) -> DataLoader[Tensor]:
        count = len(self._resident[split])
        options: dict[str, Any] = {"passes": self.passes, "seed": self.seed} if shuffle else {}
        batches = EpochBatches(count, self.batch_size, shuffle=shuffle, **options, **share(self.trainer))
        return loader(Positions(count), batches)

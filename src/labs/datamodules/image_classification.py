"""Labelled images in three splits: cut, normalised, batched and augmented, wherever they come from."""

from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.utilities import rank_zero_only
from rich.console import Console
from rich.table import Table
from torch.utils.data import DataLoader

from labs.datamodules.batches import Batch, EpochBatches, StoredImages, generator, loader
from labs.datamodules.splits import split_hash, stratified_holdout
from labs.errors import LabsError
from labs.functional.augment import DRAWS, center_crop, crop_flip
from labs.normalization import FIXED, IMAGENET, Normalization, Normalizer, cached_statistics


class LabeledImages(NamedTuple):
    """What a source hands over: all images of a dataset, decoded, with their labels and its own test set."""

    pixels: np.ndarray  # (images, channels, size, size) uint8
    labels: np.ndarray  # (images,) int64
    names: list[str]  # one an image, unique
    classes: list[str]  # one a label
    is_test: np.ndarray  # (images,) bool
    groups: np.ndarray | None = None  # (images,) int64, equal where images show one thing, and must not be cut apart


class Source(Protocol):
    """Where images come from: one class a dataset, such as `labs.datamodules.cub200.CUB200`."""

    name: str  # names the dataset in tables and cache keys
    cache: Path  # folder for what is computed from the images

    def load(self, size: int) -> LabeledImages:
        """Download or draw, decode at `size` pixels, and return the images; cheap when that has been done before."""
        ...


class ImageClassification(pl.LightningDataModule):
    """Serve a source's images as normalised batches of one size.

    The validation split is cut from the training split, stratified and seeded; with `validation="test"` the test set is
    looked at in every epoch, as hand-outs sometimes do, and the run is labelled so. Crops, mirror images and
    normalisation run
    batched on the device that trains, and are a pure function of (seed, epoch, image).

    Args:
        source: where the images come from.
        num_classes: classes that the net tells apart; checked against the source.
        image_size: pixels, height and width of what the net sees.
        resize: pixels, height and width of what is stored; None is `image_size`, or 8/7 of it where crops are taken.
        batch_size: images an optimizer step, on each device.
        shuffle: take the training images in another order in each epoch.
        normalization: `imagenet`, `dataset` (measured on the training split), `half` ([-0.5, 0.5]) or `none` ([0, 1]).
        augment: `crop_scale` (smallest and largest share of the area, or None) and `flip`.
        validation: `train` cuts the validation split from the training split, `test` uses the test set.
        validation_fraction: share of each class that is cut.
        split_seed: of that cut.
        seed: of the data order and the augmentation.
        num_workers: loader processes; 0 is fastest for images that are decoded already.
        embedded: whether the source's images are the offline ones.
    """

    def __init__(
        self,
        *,
        source: Source,
        num_classes: int,
        image_size: int,
        batch_size: int,
        normalization: Literal["imagenet", "dataset", "half", "none"],
        augment: dict[str, Any],
        embedded: bool,
        resize: int | None = None,
        shuffle: bool = True,
        validation: Literal["train", "test"] = "train",
        validation_fraction: float = 0.1,
        split_seed: int = 0,
        seed: int = 0,
        num_workers: int = 0,
    ) -> None:
        super().__init__()
        resize = resize or (image_size if augment["crop_scale"] is None else round(image_size * 8 / 7))
        for name, value, least in (
            ("image_size", image_size, 1),
            ("batch_size", batch_size, 1),
            ("num_workers", num_workers, 0),
        ):
            if value < least:
                raise LabsError(f"datamodule.{name}={value}: expected {least} or more.")
        if resize < image_size:
            raise LabsError(
                f"datamodule.resize={resize}: images are stored smaller than the net sees them "
                f"(datamodule.image_size={image_size}); type datamodule.resize={image_size} or more."
            )
        scale = augment["crop_scale"]
        if scale is not None and not (len(scale) == 2 and 0 < scale[0] <= scale[1] <= 1):
            raise LabsError(f"augment.crop_scale={scale}: expected two shares of the area in order, such as [0.5,1.0].")
        if not 0 < validation_fraction < 1:
            raise LabsError(
                f"datamodule.validation_fraction={validation_fraction}: expected a share between 0 and 1, such as 0.1."
            )
        self.source, self.num_classes, self.image_size, self.resize = source, num_classes, image_size, resize
        self.batch_size, self.augment, self.validation, self.seed = batch_size, augment, validation, seed
        self.validation_fraction, self.split_seed, self.num_workers = (
            validation_fraction,
            split_seed,
            num_workers,
        )
        self.normalization_name, self.embedded = normalization, embedded
        self.normalization: Normalization | None = None  # known after setup
        self.shuffle = shuffle
        self._loaded: LabeledImages | None = None
        self._draws: tuple[int, torch.Tensor] | None = None  # (epoch, uniform numbers of all training images)

    @property
    def dataset(self) -> str:
        """The dataset's name."""
        return self.source.name

    @property
    def labels(self) -> list[str]:
        """What every number of a run on this data must carry."""
        notes = {"embedded data": self.embedded, "selected on test": self.validation == "test"}
        return [note for note, true in notes.items() if true]

    def facts(self) -> dict[str, Any]:
        """Say what `metrics.json` tells of the data."""
        return {
            "labels": self.labels,
            "counts": {split: len(rows) for split, rows in self.rows.items()},
            "split_hash": self.split_hash,
            "normalization": self.state_dict()["normalization"],
            "batch_size": self.batch_size,
        }

    def prepare_data(self) -> None:
        """Download or draw and decode, once, before the processes of a run part ways."""
        self._loaded = self._loaded or self.source.load(self.resize)

    def setup(self, stage: str) -> None:
        """Cut the splits and choose the normalisation."""
        if self.normalization is not None:
            return
        images = self._loaded = self._loaded or self.source.load(self.resize)
        if len(images.classes) != self.num_classes:
            raise LabsError(
                f"datamodule.num_classes={self.num_classes}: there are {len(images.classes)} classes in "
                f"{self.source.name}; type datamodule.num_classes={len(images.classes)}."
            )
        train = np.flatnonzero(~images.is_test)
        test = np.flatnonzero(images.is_test)
        if self.validation == "test":
            val = test
        else:
            held_out = stratified_holdout(images.labels[train], self.validation_fraction, self.split_seed)
            train, val = train[~held_out], train[held_out]
        self.classes, self.names, self.rows = (
            images.classes,
            images.names,
            {"train": train, "val": val, "test": test},
        )
        self.split_hash = split_hash(images.names, self.rows)
        self.images = {split: StoredImages(images.pixels, images.labels, rows) for split, rows in self.rows.items()}
        self.normalization = FIXED.get(self.normalization_name) or cached_statistics(
            images.pixels,
            train,
            self.source.cache / "statistics",
            (self.source.name, self.split_hash, self.resize),
        )
        self.normalizer = Normalizer(self.normalization)
        self._describe()

    def train_dataloader(self) -> DataLoader[Batch]:
        """Serve the training split in an order that is a function of (seed, epoch)."""
        return self._loader("train", shuffle=self.shuffle)

    def val_dataloader(self) -> DataLoader[Batch]:
        """Serve the validation split in order."""
        return self._loader("val")

    def test_dataloader(self) -> DataLoader[Batch]:
        """Serve the test split in order."""
        return self._loader("test")

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Crop, mirror and normalise a batch on the device that trains."""
        images = batch.images.float().div(255)
        if self.trainer is not None and self.trainer.training:
            draws = self._epoch_draws(self.trainer.current_epoch, images.device)[batch.positions]
            images = crop_flip(images, draws, self.image_size, **self.augment)
        else:
            images = center_crop(images, self.image_size)
        return batch._replace(images=self.normalizer(images))

    def state_dict(self) -> dict[str, Any]:
        """Save what a prediction needs beside the weights, as plain numbers and words."""
        assert self.normalization is not None
        return {
            "normalization": self.normalization.as_dict(),
            "classes": self.classes,
            "image_size": self.image_size,
            "resize": self.resize,
            "split_hash": self.split_hash,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Refuse to go on from a checkpoint whose splits were others."""
        if state_dict["split_hash"] != self.split_hash:
            raise LabsError(
                "the checkpoint was trained on another split of the data "
                f"({state_dict['split_hash']}, here {self.split_hash}); start a new run instead of resuming this one."
            )

    def _loader(self, split: str, shuffle: bool = False) -> DataLoader[Batch]:
        rank, world_size = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        batches = EpochBatches(
            len(self.rows[split]),
            self.batch_size,
            shuffle=shuffle,
            seed=self.seed,
            rank=rank,
            world_size=world_size,
        )
        return loader(self.images[split], batches, self.num_workers)

    def _epoch_draws(self, epoch: int, device: torch.device) -> torch.Tensor:
        """Return the uniform numbers of all training images for an epoch, drawn on the CPU, kept on the device."""
        if self._draws is None or self._draws[0] != epoch:
            source = generator(self.seed + 1_000_003, epoch)  # apart from the generator of the order
            self._draws = (epoch, torch.rand(len(self.rows["train"]), DRAWS, generator=source).to(device))
        return self._draws[1]

    @rank_zero_only
    def _describe(self) -> None:
        assert self.normalization is not None
        counts = ", ".join(f"{len(rows)} {split}" for split, rows in self.rows.items())
        console = Console()
        notes = f" [bold yellow]({', '.join(self.labels)})[/]" if self.labels else ""
        console.print(
            f"{self.source.name}: {len(self.names)} images of {len(self.classes)} classes; {counts}{notes}",
            highlight=False,
            soft_wrap=True,
        )
        if self.normalization_name == "dataset":
            table = Table("normalisation", "mean R G B", "std R G B", title_justify="left")
            for statistics in (self.normalization, IMAGENET):
                table.add_row(statistics.name, *(" ".join(f"{v:.4f}" for v in row) for row in statistics[1:]))
            console.print(table)

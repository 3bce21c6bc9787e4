"""Labeled images from any source: split, normalized, batched and augmented."""

import hashlib
from collections.abc import Iterator
from typing import Any, Literal

import lightning.pytorch as pl
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from labs import LabsError
from labs.datamodules.batches import Batch, Positions, Resident, StoredImages, fits, loader, split_of
from labs.datamodules.cached_statistics import cached_statistics
from labs.datamodules.findings import LEAKED, counts_of, documents_of, print_report
from labs.datamodules.orders import EpochBatches, share
from labs.datamodules.sources import LabeledImages, Source, check_classes, print_splits
from labs.datamodules.splits import check_fraction, check_same_data, folds_of, split_hash, three_splits
from labs.datamodules.transforms import Transforms
from labs.functional.normalization import FIXED, Normalization
from labs.storage.stores import content

EVALUATED = 16 * 2**20  # bytes of features to evaluate at once


class ImageClassification(pl.LightningDataModule):
    """Load a dataset's images as normalized batches of one size.

    The validation split is a stratified, seeded part of the training split. With `validation="test"` the test set is
    evaluated in every epoch, as in some hand-outs, and the run is labeled "selected on test". Crops, flips and
    normalization run batched on the training device and are a pure function of (seed, epoch, image).

    Args:
        source: the dataset.
        num_classes: number of classes, checked against the source.
        image_size: height and width of the net's input, in pixels.
        resize: height and width of the stored images; None is `image_size`, or 8/7 of it with random crops.
        batch_size: images per optimizer step and device.
        shuffle: whether to shuffle the training images in each epoch.
        normalization: `imagenet`, `dataset` (measured on the training split), `half` ([-0.5, 0.5]) or `none` ([0, 1]).
        augment: settings of `labs.datamodules.transforms.Transforms`.
        validation: `train` holds out a part of the training split, `test` uses the test set, and `none` has no
            validation split, for methods that select nothing.
        validation_fraction: fraction of each class to hold out.
        split_seed: random seed of that split, and of the folds.
        fold: cross-validation: test on this one of `folds` parts of all images, counted from 0, and train on the
            others, ignoring the source's test set; None uses the source's test set.
        folds: number of parts.
        stratified: whether to divide each class into folds separately.
        seed: random seed of the data order and the augmentation.
        num_workers: loader processes; 0 is fastest, because the images are already decoded.
        embedded: whether the source's images are embedded data.
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
        validation: Literal["train", "test", "none"] = "train",
        validation_fraction: float = 0.1,
        split_seed: int = 0,
        fold: int | None = None,
        folds: int = 5,
        stratified: bool = True,
        seed: int = 0,
        num_workers: int = 0,
    ) -> None:
        super().__init__()
        resize = resize or (image_size if augment.get("crop_scale") is None else round(image_size * 8 / 7))
        for name, value, least in (
            ("image_size", image_size, 1),
            ("batch_size", batch_size, 1),
            ("num_workers", num_workers, 0),
        ):
            if value < least:
                raise LabsError(f"datamodule.{name}={value}: expected {least} or more.")
        if folds < 2 or (fold is not None and not 0 <= fold < folds):
            raise LabsError(
                f"datamodule.fold={fold}: expected 0 to {folds - 1}, because datamodule.folds={folds} (2 or more)."
            )
        if resize < image_size:
            raise LabsError(
                f"datamodule.resize={resize}: stored images are smaller than the net's input "
                f"(datamodule.image_size={image_size}); type datamodule.resize={image_size} or more."
            )
        check_fraction(validation_fraction)
        self.source, self.num_classes, self.image_size, self.resize = source, num_classes, image_size, resize
        self.batch_size, self.validation, self.seed, self.num_workers = batch_size, validation, seed, num_workers
        self.validation_fraction, self.split_seed = validation_fraction, split_seed
        self.fold, self.folds, self.stratified = fold, folds, stratified
        self.transforms = Transforms(image_size, augment, seed)
        self.normalization_name, self.embedded = normalization, embedded
        self.normalization: Normalization | None = None  # known after setup
        self.shuffle = shuffle
        self._loaded: LabeledImages | None = None
        self._content = ""  # digest of the pixels, computed when needed
        self._resident: dict[str, Resident] = {}  # splits that are indexed by position on the training device
        self.documents: dict[str, str] = {}  # reports for the run directory, by file name
        self.found: dict[str, int] = {}  # their counts
        self.served: set[str] = set()  # splits that load features instead of images

    @property
    def dataset(self) -> str:
        """The dataset's name."""
        return self.source.name

    @property
    def labels(self) -> list[str]:
        """The labels that every number of a run on this data must show."""
        notes = {
            "embedded data": self.embedded,
            "selected on test": self.validation == "test",
            LEAKED: self.found.get(LEAKED, 0) > 0,
        }
        return [note for note, true in notes.items() if true]

    def facts(self) -> dict[str, Any]:
        """Return the facts about the data for `metrics.json`."""
        return {
            "labels": self.labels,
            "counts": {split: len(rows) for split, rows in self.rows.items()},
            "split_hash": self.split_hash,
            **({"fold": self.fold, "folds": self.folds} if self.fold is not None else {}),
            "normalization": self.state_dict()["normalization"],
            "batch_size": self.batch_size,
            **({"found": self.found} if self.found else {}),
        }

    def prepare_data(self) -> None:
        """Download or draw and decode the images, once, before the processes of a run start."""
        self._loaded = self._loaded or self.source.load(self.resize)

    def setup(self, stage: str) -> None:
        """Split the images and choose the normalization."""
        if stage == "fit" and self.validation == "none":
            raise LabsError(
                "datamodule.validation=none: training needs a validation split; type datamodule.validation=train."
            )
        if self.normalization is not None:
            return
        images = self._loaded = self._loaded or self.source.load(self.resize)
        check_classes(self.num_classes, images.classes, self.source.name)
        self.classes, self.names = images.classes, images.names
        if self.fold is not None:
            cut = folds_of(images.labels, self.folds, self.split_seed, stratified=self.stratified, groups=images.groups)
            images = images._replace(is_test=cut == self.fold, is_val=None)
        if not images.is_test.any():
            raise LabsError(f"{self.source.name} has no test set; type datamodule.fold=0.")
        self.rows = three_splits(images, self.validation, self.validation_fraction, self.split_seed)
        self.split_hash = split_hash(images.names, self.rows)
        self.images = {split: StoredImages(images.pixels, images.labels, rows) for split, rows in self.rows.items()}
        self.normalization = FIXED.get(self.normalization_name) or cached_statistics(
            images.pixels,
            self.rows["train"],
            self.source.cache / "statistics",
            (self.source.name, self.split_hash, self.resize),
        )
        self.transforms.normalize_by(self.normalization)
        if images.findings is not None:
            print_report(images, self.rows)
            self.documents, self.found = documents_of(images, self.rows), counts_of(images.findings, self.rows)
        measured = self.normalization if self.normalization_name == "dataset" else None
        print_splits(self.source.name, self.rows, len(self.classes), self.labels, measured)

    def train_dataloader(self) -> DataLoader[Batch]:
        """Load the training split in an order that is a function of (seed, epoch)."""
        return self._loader("train", shuffle=self.shuffle)

    def val_dataloader(self) -> DataLoader[Batch]:
        """Load the validation split in order."""
        return self._loader("val")

    def test_dataloader(self) -> DataLoader[Batch]:
        """Load the test split in order."""
        return self._loader("test")

    def transfer_batch_to_device(self, batch: Batch | Tensor, device: torch.device, dataloader_idx: int) -> Any:
        """Move a batch to the device; if it is positions, gather their images or features there."""
        if isinstance(batch, Tensor):
            return self._resident[split_of(self.trainer)].batch(batch, device, self._epoch())
        return super().transfer_batch_to_device(batch, device, dataloader_idx)

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Crop, flip and normalize images on the training device; features are left unchanged."""
        split = split_of(self.trainer)
        if split in self.served:
            return batch
        epoch = self._epoch() if split == "train" else None
        return batch._replace(images=self.transformed(batch.images, batch.positions, epoch))

    def transformed(self, images: Tensor, positions: Tensor, epoch: int | None) -> Tensor:
        """Return the net's input for stored images: (batch, channels, image_size, image_size), normalized.

        Args:
            images: uint8 (batch, channels, height, width).
            positions: index of each image in its split, (batch,).
            epoch: training epoch, counted from 0; None for evaluation.
        """
        if epoch is None:
            return self.transforms.evaluation(images)
        return self.transforms.training(images, positions, epoch, len(self.rows["train"]))

    def every(self, split: str, device: torch.device, views: int | None = None) -> Iterator[Tensor]:
        """Yield the net's input for all images of a split, in order, batch by batch.

        Args:
            split: `train`, `val` or `test`.
            device: device to transform them on.
            views: number of augmented views of training images, one view after the other; None: as in evaluation.
        """
        batches = torch.arange(len(self.rows[split])).split(self.batch_size)
        for epoch in range(views) if views else (None,):
            for positions in batches:
                images = self.images[split][positions.tolist()].images.to(device)
                yield self.transformed(images, positions.to(device), epoch)

    def key(self, split: str, views: int | None = None) -> dict[str, Any]:
        """Return everything that the images of `every` depend on, as strings and numbers."""
        assert self._loaded is not None
        rows = hashlib.sha256(self.rows[split].tobytes()).hexdigest()
        self._content = self._content or content(self._loaded.pixels)
        return {"pixels": self._content, "rows": rows, "views": views, **self.transforms.key(views)}

    def serve_features(self, split: str, features: np.ndarray, *, dtype: torch.dtype, views: int | None) -> None:
        """Load features instead of a split's images, starting with the next loader.

        Args:
            split: `train`, `val` or `test`.
            features: (views * images, ...) in the order of `every`.
            dtype: type of their bits.
            views: as in `every`; an epoch uses view epoch % views.
        """
        labels = self.images[split].labels[self.rows[split]]
        self._resident[split] = Resident(features, labels, views=views or 1, dtype=dtype)
        self.served.add(split)

    def state_dict(self) -> dict[str, Any]:
        """Return what predictions need in addition to the weights, as numbers and strings."""
        assert self.normalization is not None
        return {
            "normalization": self.normalization.as_dict(),
            "classes": self.classes,
            "image_size": self.image_size,
            "resize": self.resize,
            "split_hash": self.split_hash,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Refuse to resume from a checkpoint with different splits."""
        check_same_data(state_dict, self.state_dict(), "split_hash")

    def _epoch(self) -> int:
        return self.trainer.current_epoch if self.trainer is not None else 0

    def _loader(self, split: str, shuffle: bool = False) -> DataLoader[Any]:
        trainer, images, batch_size = self.trainer, self.images[split], self.batch_size
        if split not in self._resident and trainer and fits(images.pixels, trainer.strategy.root_device):
            self._resident[split] = Resident(images.pixels[images.rows], images.labels[images.rows])
        if split in self.served and not shuffle:
            batch_size = max(batch_size, EVALUATED // self._resident[split].host[:1].nbytes)
        batches = EpochBatches(len(images), batch_size, shuffle=shuffle, seed=self.seed, **share(trainer))
        if split in self._resident:
            return loader(Positions(len(images)), batches)
        return loader(images, batches, self.num_workers)

"""Two datasets with the same classes: training sees the labels of one, but not of the other."""

from typing import Any, Literal

import lightning.pytorch as pl
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from labs import LabsError
from labs.datamodules.batches import (
    Batch,
    DomainBatch,
    PairedPositions,
    Positions,
    Resident,
    StoredImages,
    Unlabeled,
    loader,
    split_of,
)
from labs.datamodules.cached_statistics import cached_statistics
from labs.datamodules.domain_splits import Domain, check_domains, cut_domain
from labs.datamodules.orders import EpochBatches, PairedBatches, check_passes, share
from labs.datamodules.protocols import AdaptsDomains, needed
from labs.datamodules.sources import LabeledImages, Source, say
from labs.datamodules.splits import check_fraction, check_same_data, split_hash
from labs.functional.normalization import FIXED, Normalization, Normalizer, mixed_statistics

DOMAINS: tuple[Domain, Domain] = ("source", "target")


class Domains(pl.LightningDataModule):
    """Load batches from two domains with the same normalization; the labels of one domain never reach training.

    A training batch is a `DomainBatch`: `batch_size` labeled images, and as many images of the other domain without a
    field for labels. An epoch is one or more passes over the larger domain. Validation and test have two loaders, for
    the source and the target, with labels for the metrics. The validation splits are seeded, stratified parts of the
    training splits; images of the same object (`LabeledImages.groups`) stay in the same split. All images are kept on
    the device as uint8 if they fit, and a batch indexes into them.

    Args:
        source: dataset of the labeled domain.
        target: dataset of the other domain, with the same classes.
        num_classes: number of classes, checked against both datasets.
        image_size: height and width in pixels.
        batch_size: images per domain, step and device.
        normalization: `dataset` (measured on the training images of both domains, each counting half), `imagenet`,
            `half` ([-0.5, 0.5]) or `none` ([0, 1]); the same for both domains, so that it does not reveal the domain.
        embedded: whether the images are embedded data.
        labeled: the domain whose labels are used for training; `target` gives the upper bound, and labels the run.
        shuffle: whether to shuffle the training images in each pass.
        passes: passes over the images of the larger domain per epoch.
        validation_fraction: fraction of each class that is held out from the training splits.
        split_seed: random seed of that split.
        seed: random seed of the data order.
    """

    def __init__(
        self,
        *,
        source: Source,
        target: Source,
        num_classes: int,
        image_size: int,
        batch_size: int,
        normalization: Literal["imagenet", "dataset", "half", "none"],
        embedded: bool,
        labeled: Domain = "source",
        shuffle: bool = True,
        passes: int = 1,
        validation_fraction: float = 0.1,
        split_seed: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        for name, value in {"image_size": image_size, "batch_size": batch_size}.items():
            if value < 1:
                raise LabsError(f"datamodule.{name}={value}: expected 1 or more.")
        check_fraction(validation_fraction)
        check_passes(passes)
        self.sources: dict[Domain, Source] = {"source": source, "target": target}
        self.num_classes, self.image_size, self.batch_size = num_classes, image_size, batch_size
        self.normalization_name, self.embedded, self.labeled = normalization, embedded, labeled
        self.validation_fraction, self.split_seed = validation_fraction, split_seed
        self.shuffle, self.passes, self.seed = shuffle, passes, seed
        self.unlabeled: Domain = "target" if labeled == "source" else "source"
        self.normalization: Normalization | None = None  # known after setup
        self._loaded: dict[Domain, LabeledImages] = {}
        self._parts: dict[tuple[str, Domain], Resident] = {}  # by split and domain, (images, 3, size, size) uint8
        self._truth = torch.empty(0)  # labels of the unlabeled training images; see `accuracy_of`

    @property
    def dataset(self) -> str:
        """The dataset whose test images are predicted: the target's."""
        return self.sources["target"].name

    @property
    def labels(self) -> list[str]:
        """The labels that every number of a run on this data must show."""
        notes = {"embedded data": self.embedded, "trained on target labels": self.labeled == "target"}
        return [note for note, true in notes.items() if true]

    def facts(self) -> dict[str, Any]:
        """Return the facts about the data for `metrics.json`; `test` counts the target's test images."""
        counts = {f"{split} {domain}": len(part) for (split, domain), part in self._parts.items()}
        return {
            "labels": self.labels,
            "counts": {**counts, "test": counts["test target"]},
            "split_hash": self.split_hash,
            "normalization": self.state_dict()["normalization"],
            "batch_size": self.batch_size,
            "credits": [credit for source in self.sources.values() for credit in getattr(source, "credits", [])],
        }

    def prepare_data(self) -> None:
        """Download or draw and decode the images, once, before the processes of a run start."""
        self._load()

    def setup(self, stage: str) -> None:
        """Check that the domains match, split them, and measure the normalization.

        Raises:
            LabsError: the method does not adapt domains, the domains have different classes, or one of them has no
                training or test images or fewer images than a batch.
        """
        if self.trainer and self.trainer.lightning_module is not None:
            needed(self.trainer.lightning_module, AdaptsDomains, by=self)
        if self.normalization is not None:
            return
        images = self._load()
        check_domains(images, {domain: self.sources[domain].name for domain in DOMAINS}, self.num_classes)
        rows = {d: cut_domain(images[d], self.validation_fraction, self.split_seed) for d in DOMAINS}
        for domain in DOMAINS:
            self._check_size(domain, len(rows[domain]["train"]))
        self.classes = images["target"].classes
        self.names = images["target"].names  # of the images that are predicted
        self.rows = {"test": rows["target"]["test"]}
        self.images = {"test": StoredImages(images["target"].pixels, images["target"].labels, self.rows["test"])}
        self.split_hash = "-".join(split_hash(images[domain].names, rows[domain])[:8] for domain in DOMAINS)
        for split in ("train", "val", "test"):
            for domain in DOMAINS:
                chosen = rows[domain][split]
                pixels, labels = _three_channels(images[domain].pixels[chosen]), images[domain].labels[chosen]
                hidden = (split, domain) == ("train", self.unlabeled)
                self._parts[split, domain] = Resident(pixels, None if hidden else labels)
                if hidden:
                    self._truth = torch.from_numpy(labels)
        self.normalization = FIXED.get(self.normalization_name) or mixed_statistics(
            [self._measure(images[domain], domain, rows[domain]["train"]) for domain in DOMAINS]
        )
        self.normalizer = Normalizer(self.normalization)
        for domain in DOMAINS:
            counts = ", ".join(f"{self.count(split, domain)} {split}" for split in ("train", "val", "test"))
            seen = "with labels" if domain == self.labeled else "without labels"
            say(
                f"{domain}: {self.sources[domain].name}; {counts}; trains {seen}",
                self.labels if domain == "target" else [],
            )

    def train_dataloader(self) -> DataLoader[tuple[Tensor, Tensor]]:
        """Load pairs of positions, in an order that is a function of (seed, epoch)."""
        counts = (self.count("train", self.labeled), self.count("train", self.unlabeled))
        order: dict[str, Any] = {"shuffle": self.shuffle, "passes": self.passes, "seed": self.seed}
        batches = PairedBatches(counts, self.batch_size, **order | share(self.trainer))
        return loader(PairedPositions(), batches)

    def val_dataloader(self) -> list[DataLoader[Tensor]]:
        """Load the positions of the validation images of the source, and of the target."""
        return [self._in_order("val", domain) for domain in DOMAINS]

    def test_dataloader(self) -> list[DataLoader[Tensor]]:
        """Load the positions of the test images of the source, and of the target."""
        return [self._in_order("test", domain) for domain in DOMAINS]

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> DomainBatch | Batch:
        """Gather the images at the positions of a batch on the training device, and normalize them."""
        split = split_of(self.trainer)
        if split != "train":
            return self.batch(split, DOMAINS[dataloader_idx], batch, device)
        labeled, unlabeled = batch
        return DomainBatch(self.batch(split, self.labeled, labeled, device), self.unlabeled_images(unlabeled, device))

    def batch(self, split: str, domain: Domain, positions: Tensor, device: torch.device | None = None) -> Batch:
        """Return normalized images of a split with their labels, on `device` or that of the positions.

        Raises:
            LabsError: training must not see the labels of these images.
        """
        if (split, domain) == ("train", self.unlabeled):
            raise LabsError(f"the {domain}'s training images have no labels; use unlabeled_images(positions).")
        batch = self._parts[split, domain].batch(positions, device)
        return batch._replace(images=self.normalizer(batch.images.float().div(255)))

    def unlabeled_images(self, positions: Tensor, device: torch.device | None = None) -> Unlabeled:
        """Return normalized training images of the unlabeled domain, on `device` or that of the positions."""
        images = self._parts["train", self.unlabeled].values(positions, device)
        return Unlabeled(self.normalizer(images.float().div(255)), positions.to(images.device, non_blocking=True))

    def count(self, split: str, domain: Domain) -> int:
        """Return the number of images in a split of a domain."""
        return len(self._parts[split, domain])

    def accuracy_of(self, positions: Tensor, preds: Tensor) -> float:
        """Return the accuracy on unlabeled training images: an oracle for reports, never for training."""
        return float((self._truth[positions.cpu()] == preds.cpu()).float().mean()) if len(positions) else float("nan")

    def state_dict(self) -> dict[str, Any]:
        """Return what predictions need in addition to the weights, as numbers and strings."""
        assert self.normalization is not None
        return {
            "normalization": self.normalization.as_dict(),
            "classes": self.classes,
            "image_size": self.image_size,
            "resize": self.image_size,
            "split_hash": self.split_hash,
            "labeled": self.labeled,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Refuse to resume from a checkpoint that was trained on other images."""
        check_same_data(state_dict, self.state_dict(), "split_hash", "image_size", "labeled")

    def _load(self) -> dict[Domain, LabeledImages]:
        if not self._loaded:
            self._loaded = {domain: self.sources[domain].load(self.image_size) for domain in DOMAINS}
        return self._loaded

    def _check_size(self, domain: Domain, count: int) -> None:
        mine = count // (self.trainer.world_size if self.trainer else 1)
        if self.batch_size > mine:
            raise LabsError(
                f"datamodule.batch_size={self.batch_size}: the {domain} domain, {self.sources[domain].name}, has "
                f"{mine} training images per process; type datamodule.batch_size={max(mine, 1)}."
            )

    def _measure(self, images: LabeledImages, domain: Domain, rows: np.ndarray) -> Normalization:
        source = self.sources[domain]
        key = (source.name, self.split_hash, self.image_size)
        return cached_statistics(images.pixels, rows, source.cache / "statistics", key)

    def _in_order(self, split: str, domain: Domain) -> DataLoader[Tensor]:
        count = self.count(split, domain)
        return loader(Positions(count), EpochBatches(count, 4 * self.batch_size, shuffle=False, **share(self.trainer)))


def _three_channels(pixels: np.ndarray) -> np.ndarray:
    return np.repeat(pixels, 3, axis=1) if pixels.shape[1] == 1 else pixels

"""Two datasets of the same classes side by side: one that training sees with its labels, one without."""

from typing import Any, Literal, NamedTuple

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.utilities import rank_zero_only
from rich.console import Console
from torch import Tensor
from torch.utils.data import DataLoader

from labs import LabsError
from labs.datamodules.batches import (
    Batch,
    DomainBatch,
    EpochBatches,
    PairedBatches,
    PairedPositions,
    Positions,
    StoredImages,
    Unlabeled,
    loader,
)
from labs.datamodules.domain_splits import Domain, check_domains, cut_domain
from labs.datamodules.normalization import FIXED, Normalization, Normalizer, cached_statistics, mixed_statistics
from labs.datamodules.sources import LabeledImages, Source
from labs.datamodules.splits import split_hash

DOMAINS: tuple[Domain, Domain] = ("source", "target")


class Part(NamedTuple):
    """Images of one domain in one split, on one device."""

    images: Tensor  # (count, 3, size, size) uint8
    labels: Tensor  # (count,) int64; empty where training must not see them


class Domains(pl.LightningDataModule):
    """Serve batches of two domains, normalised alike; the labels of one of them never reach training.

    A training batch is a `DomainBatch`: `batch_size` labelled images and as many of the other domain, which have no
    field for labels; an epoch passes over the larger domain once. Validation and test have two loaders, the source's
    and the target's, whose labels measure. The validation splits are cut from the training splits, seeded and
    stratified; images that show one thing (`LabeledImages.groups`) stay on one side of the cut. All images lie on the
    device as uint8, and a batch is an index into them.

    Args:
        source: where the images come from whose labels are there.
        target: where the others come from, of the same classes.
        num_classes: checked against both.
        image_size: pixels, height and width.
        batch_size: images of each domain in a step, on each device.
        normalization: `dataset` (measured on the training images of both domains, each counting half), `imagenet`,
            `half` ([-0.5, 0.5]) or `none` ([0, 1]); the same for both domains, so that it tells nothing of them.
        embedded: whether the images are the offline ones.
        labeled: the domain whose labels train; `target` gives the upper bound, and is written on the run.
        shuffle: take the training images in another order in each pass.
        validation_fraction: share of each class that is cut from the training splits.
        split_seed: of that cut.
        seed: of the data order.
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
        validation_fraction: float = 0.1,
        split_seed: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        for name, value in {"image_size": image_size, "batch_size": batch_size}.items():
            if value < 1:
                raise LabsError(f"datamodule.{name}={value}: expected 1 or more.")
        if not 0 < validation_fraction < 1:
            raise LabsError(
                f"datamodule.validation_fraction={validation_fraction}: expected a share between 0 and 1, such as 0.1."
            )
        self.sources: dict[Domain, Source] = {"source": source, "target": target}
        self.num_classes, self.image_size, self.batch_size = num_classes, image_size, batch_size
        self.normalization_name, self.embedded, self.labeled = normalization, embedded, labeled
        self.validation_fraction, self.split_seed = validation_fraction, split_seed
        self.shuffle, self.seed = shuffle, seed
        self.unlabeled: Domain = "target" if labeled == "source" else "source"
        self.normalization: Normalization | None = None  # known after setup
        self._loaded: dict[Domain, LabeledImages] = {}
        self._parts: dict[tuple[str, Domain], Part] = {}
        self._truth = torch.empty(0)  # labels of the unlabelled training images; see `accuracy_of`

    @property
    def dataset(self) -> str:
        """The dataset whose test images are predicted: the target's."""
        return self.sources["target"].name

    @property
    def labels(self) -> list[str]:
        """What every number of a run on this data must carry."""
        notes = {"embedded data": self.embedded, "trained on target labels": self.labeled == "target"}
        return [note for note, true in notes.items() if true]

    def facts(self) -> dict[str, Any]:
        """Say what `metrics.json` tells of the data; `test` counts the target's test images."""
        counts = {f"{split} {domain}": len(part.images) for (split, domain), part in self._parts.items()}
        return {
            "labels": self.labels,
            "counts": {**counts, "test": counts["test target"]},
            "split_hash": self.split_hash,
            "normalization": self.state_dict()["normalization"],
            "batch_size": self.batch_size,
            "credits": [credit for source in self.sources.values() for credit in getattr(source, "credits", [])],
        }

    def prepare_data(self) -> None:
        """Download or draw and decode, once, before the processes of a run part ways."""
        self._load()

    def setup(self, stage: str) -> None:
        """Check that the domains fit each other, cut the splits, and measure the normalisation.

        Raises:
            LabsError: a method that knows one domain, domains of different classes, a domain without training or test
                images, or one with fewer images than a batch.
        """
        module = self.trainer.lightning_module if self.trainer else None
        if module is not None and not getattr(module, "adapts", False):
            raise LabsError(
                "datamodule=domains serves two domains at a time, and this module takes one; type an experiment of two "
                "domains, such as `python train.py --help` lists."
            )
        if self.normalization is not None:
            return
        images = self._load()
        check_domains(images, {domain: self.sources[domain].name for domain in DOMAINS}, self.num_classes)
        rows = {d: cut_domain(images[d], self.validation_fraction, self.split_seed) for d in DOMAINS}
        for domain in DOMAINS:
            self._check_size(domain, len(rows[domain]["train"]))
        self.classes = images["target"].classes
        self.names = images["target"].names  # of what is predicted
        self.rows = {"test": rows["target"]["test"]}
        self.images = {"test": StoredImages(images["target"].pixels, images["target"].labels, self.rows["test"])}
        self.split_hash = "-".join(split_hash(images[domain].names, rows[domain])[:8] for domain in DOMAINS)
        for split in ("train", "val", "test"):
            for domain in DOMAINS:
                chosen = rows[domain][split]
                pixels, labels = images[domain].pixels[chosen], torch.from_numpy(images[domain].labels[chosen])
                if (split, domain) == ("train", self.unlabeled):
                    self._truth, labels = labels, labels[:0]
                self._parts[split, domain] = Part(torch.from_numpy(_three_channels(pixels)), labels)
        self.normalization = FIXED.get(self.normalization_name) or mixed_statistics(
            [self._measure(images[domain], domain, rows[domain]["train"]) for domain in DOMAINS]
        )
        self.normalizer = Normalizer(self.normalization)
        self._describe()

    def train_dataloader(self) -> DataLoader[tuple[Tensor, Tensor]]:
        """Serve pairs of positions, in an order that is a function of (seed, epoch)."""
        counts = (len(self._parts["train", self.labeled].images), len(self._parts["train", self.unlabeled].images))
        rank, world_size = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        batches = PairedBatches(
            counts, self.batch_size, shuffle=self.shuffle, seed=self.seed, rank=rank, world_size=world_size
        )
        return loader(PairedPositions(), batches)

    def val_dataloader(self) -> list[DataLoader[Tensor]]:
        """Serve the positions of the validation images of the source, and of the target."""
        return [self._in_order("val", domain) for domain in DOMAINS]

    def test_dataloader(self) -> list[DataLoader[Tensor]]:
        """Serve the positions of the test images of the source, and of the target."""
        return [self._in_order("test", domain) for domain in DOMAINS]

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> DomainBatch | Batch:
        """Take the images at the positions of a batch, on the device that trains, and normalise them."""
        trainer = self.trainer
        if trainer is not None and trainer.training:
            return DomainBatch(self.batch("train", self.labeled, batch[0]), self.unlabeled_images(batch[1]))
        return self.batch("test" if trainer is not None and trainer.testing else "val", DOMAINS[dataloader_idx], batch)

    def batch(self, split: str, domain: Domain, positions: Tensor) -> Batch:
        """Return normalised images of a split, with their labels, on the device of `positions`.

        Raises:
            LabsError: training images whose labels training must not see.
        """
        if (split, domain) == ("train", self.unlabeled):
            raise LabsError(f"the {domain}'s training images have no labels here: take unlabeled_images(positions).")
        part = self._on_device(split, domain, positions.device)
        return Batch(self.normalizer(part.images[positions].float().div(255)), part.labels[positions], positions)

    def unlabeled_images(self, positions: Tensor) -> Unlabeled:
        """Return normalised training images of the unlabelled domain, on the device of `positions`."""
        part = self._on_device("train", self.unlabeled, positions.device)
        return Unlabeled(self.normalizer(part.images[positions].float().div(255)), positions)

    def count(self, split: str, domain: Domain) -> int:
        """Return how many images a split of a domain has."""
        return len(self._parts[split, domain].images)

    def accuracy_of(self, positions: Tensor, preds: Tensor) -> float:
        """Return the share of right predictions of unlabelled training images: an oracle to report, never to train."""
        return float((self._truth[positions.cpu()] == preds.cpu()).float().mean()) if len(positions) else float("nan")

    def state_dict(self) -> dict[str, Any]:
        """Save what a prediction needs beside the weights, as plain numbers and words."""
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
        """Refuse to go on from a checkpoint that was trained on other images."""
        for key in ("split_hash", "image_size", "labeled"):
            if state_dict[key] != self.state_dict()[key]:
                raise LabsError(
                    f"the checkpoint was trained on other data ({key} {state_dict[key]}, "
                    f"here {self.state_dict()[key]}); start a new run instead of resuming this one."
                )

    def _load(self) -> dict[Domain, LabeledImages]:
        if not self._loaded:
            self._loaded = {domain: self.sources[domain].load(self.image_size) for domain in DOMAINS}
        return self._loaded

    def _check_size(self, domain: Domain, count: int) -> None:
        mine = count // (self.trainer.world_size if self.trainer else 1)
        if self.batch_size > mine:
            raise LabsError(
                f"datamodule.batch_size={self.batch_size}: the {domain} domain, {self.sources[domain].name}, has "
                f"{mine} training images for a process; type datamodule.batch_size={max(mine, 1)}."
            )

    def _measure(self, images: LabeledImages, domain: Domain, rows: np.ndarray) -> Normalization:
        source = self.sources[domain]
        key = (source.name, self.split_hash, self.image_size)
        return cached_statistics(images.pixels, rows, source.cache / "statistics", key)

    def _in_order(self, split: str, domain: Domain) -> DataLoader[Tensor]:
        rank, world_size = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        count = self.count(split, domain)
        batches = EpochBatches(count, 4 * self.batch_size, shuffle=False, rank=rank, world_size=world_size)
        return loader(Positions(count), batches)

    def _on_device(self, split: str, domain: Domain, device: torch.device) -> Part:
        part = self._parts[split, domain]
        if part.images.device != device:
            part = self._parts[split, domain] = Part(*(tensor.to(device) for tensor in part))
        return part

    @rank_zero_only
    def _describe(self) -> None:
        for domain in DOMAINS:
            counts = ", ".join(f"{self.count(split, domain)} {split}" for split in ("train", "val", "test"))
            seen = "with labels" if domain == self.labeled else "without labels"
            notes = f" [bold yellow]({', '.join(self.labels)})[/]" if self.labels and domain == "target" else ""
            Console().print(
                f"{domain}: {self.sources[domain].name}; {counts}; trains {seen}{notes}",
                highlight=False,
                soft_wrap=True,
            )


def _three_channels(pixels: np.ndarray) -> np.ndarray:
    return np.repeat(pixels, 3, axis=1) if pixels.shape[1] == 1 else pixels

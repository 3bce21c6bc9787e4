"""What methods and callbacks may ask of a datamodule, and how they are told where it hands over something else."""

from typing import Any, Protocol, TypeVar, runtime_checkable

import lightning.pytorch as pl
import numpy as np
import torch
from torch import Tensor

from labs import LabsError
from labs.datamodules.batches import Batch, StoredImages, Unlabeled
from labs.datamodules.domain_splits import Domain
from labs.datamodules.image_pair import Pairs
from labs.datamodules.sources import LabeledImages, Source
from labs.functional.normalization import Normalization

T = TypeVar("T")


@runtime_checkable
class Recorded(Protocol):
    """Data of which a run's record can tell."""

    @property
    def labels(self) -> list[str]:
        """What every number of a run on this data must carry."""

    def facts(self) -> dict[str, Any]:
        """Say what `metrics.json` tells of the data."""


@runtime_checkable
class SizedImages(Protocol):
    """Images of one size."""

    image_size: int  # pixels; of a picture that is no square the shorter side


@runtime_checkable
class ImagesOfClasses(Recorded, Protocol):
    """Labelled images, whose classes a net predicts."""

    classes: list[str]
    names: list[str]  # one an image of the dataset
    rows: dict[str, np.ndarray]  # of each split: where its images stand among all of the dataset
    images: dict[str, StoredImages]  # of each split

    @property
    def dataset(self) -> str:
        """The dataset's name."""


@runtime_checkable
class TwoDomains(ImagesOfClasses, Protocol):
    """Images of two domains, one of which trains without labels."""

    sources: dict[Domain, Source]
    labeled: Domain
    unlabeled: Domain
    normalization: Normalization | None

    def count(self, split: str, domain: Domain) -> int:
        """Return how many images a split of a domain has."""

    def batch(self, split: str, domain: Domain, positions: Tensor, device: torch.device | None = None) -> Batch:
        """Return normalised images of a split, with their labels; of unlabelled training images this is an error."""

    def unlabeled_images(self, positions: Tensor, device: torch.device | None = None) -> Unlabeled:
        """Return normalised training images of the unlabelled domain."""

    def accuracy_of(self, positions: Tensor, preds: Tensor) -> float:
        """Return the share of right predictions of unlabelled training images: to report, never to train."""


@runtime_checkable
class ImagesToImitate(Recorded, SizedImages, Protocol):
    """Images to imitate, and others to measure against."""

    num_classes: int
    images: LabeledImages  # all of the source

    @property
    def source(self) -> Source:
        """Where the images come from."""

    def stored(self, split: str) -> Batch:
        """Return all images of a split, `train` or `test`, as they are stored: uint8, on the CPU."""


@runtime_checkable
class PicturePairs(Recorded, Protocol):
    """Pairs of pictures, a content and a style each."""

    pictures: Pairs
    names: list[str]  # of the pairs, as the rest
    contents: list[str]
    styles: list[str]
    credits: list[str]


@runtime_checkable
class AdaptsDomains(Protocol):
    """A method that learns from two domains, one of which has no labels."""

    def features_and_logits(self, images: Tensor, domain: str) -> tuple[Tensor, Tensor]:
        """Return features (batch, features) and logits (batch, classes) of images of a domain."""


def handed_over(trainer: pl.Trainer, kind: type[T], *, to: object) -> T:
    """Return the datamodule of a run as what a method or a callback needs.

    Args:
        trainer: of the run, once the datamodule is set up.
        kind: one of the protocols here, or a datamodule.
        to: the method or the callback.

    Raises:
        LabsError: the datamodule hands over something else; says what to type instead.
    """
    return needed(getattr(trainer, "datamodule", None), kind, by=to)


def needed(found: object, kind: type[T], *, by: object) -> T:
    """Return a datamodule or a method, if it is what another part of the run needs.

    Raises:
        LabsError: it is not; says what to type instead.
    """
    if isinstance(found, kind):
        return found
    names, need = [type(part).__name__ for part in (by, found)], (kind.__doc__ or "").partition(".")[0]
    raise LabsError(
        f"{names[0]} does not go with {names[1]}: it needs {need[:1].lower()}{need[1:]}. Leave callbacks=, "
        "module= and datamodule= out, or type the experiment=... of another practical; `python train.py --help` lists "
        "them."
    )

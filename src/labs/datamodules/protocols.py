"""What methods, callbacks and datamodules may ask of each other, and what is said where two do not go together.

Each protocol begins with the words that an error message takes for it.
"""
# ruff: noqa: D102 - what a function returns is said where it is written

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
from labs.functional.peaks import Peaks
from labs.inspection.changed_images import ChangedImage, Form
from labs.inspection.layers import Shape
from labs.inspection.map_checks import CheckedMap
from labs.runs.trained_net import TrainedNet

T = TypeVar("T")

# Of datamodules


@runtime_checkable
class Recorded(Protocol):
    """Data of which a run's record can tell."""

    @property
    def labels(self) -> list[str]: ...
    def facts(self) -> dict[str, Any]: ...


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
    def dataset(self) -> str: ...


@runtime_checkable
class TwoDomains(ImagesOfClasses, Protocol):
    """Images of two domains, one of which trains without labels."""

    sources: dict[Domain, Source]
    labeled: Domain
    unlabeled: Domain
    normalization: Normalization | None

    def count(self, split: str, domain: Domain) -> int: ...
    def batch(self, split: str, domain: Domain, positions: Tensor, device: torch.device | None = None) -> Batch: ...
    def unlabeled_images(self, positions: Tensor, device: torch.device | None = None) -> Unlabeled: ...
    def accuracy_of(self, positions: Tensor, preds: Tensor) -> float: ...


@runtime_checkable
class ImagesToImitate(Recorded, SizedImages, Protocol):
    """Images to imitate, and others to measure against."""

    num_classes: int
    images: LabeledImages  # all of the source

    @property
    def source(self) -> Source: ...
    def stored(self, split: str) -> Batch: ...


@runtime_checkable
class PicturePairs(Recorded, Protocol):
    """Pairs of pictures, a content and a style each."""

    pictures: Pairs
    names: list[str]  # of the pairs, as the rest
    contents: list[str]
    styles: list[str]
    credits: list[str]


@runtime_checkable
class ShowsImages(Recorded, Protocol):
    """Images to look at, each with its name."""

    names: list[str]
    pixels: Tensor  # (images, 3, height, width) in [0, 1]
    classes: Tensor  # (images,) int64: labels, -1 where nobody knows
    credits: list[str]


# Of methods


@runtime_checkable
class LooksIntoNet(Protocol):
    """A method that looks into a trained net."""

    looked_into: TrainedNet


@runtime_checkable
class MakesMaps(LooksIntoNet, Protocol):
    """A method that makes a map of each image, and checks it."""

    method: str  # a word of `labs.inspection.maps.MAPS`
    results: list[CheckedMap]  # of the last batch

    @property
    def labels(self) -> list[str]: ...


@runtime_checkable
class ChangesImages(Protocol):
    """A method that changes images until a net sees another class."""

    targets: list[int]  # classes that the net shall see
    survive: Form  # of a changed image: what must do that
    jpeg_quality: int
    problems: int  # an image and a target each: begun so far
    solved: int  # done so far
    results: list[ChangedImage]  # of the last batch


@runtime_checkable
class WatchesLayers(LooksIntoNet, Protocol):
    """A method that watches layers of a trained net."""

    shapes: dict[str, Shape]  # of each layer's maps
    peaks: dict[str, Peaks]  # of each layer, over all images
    maps: dict[int, dict[str, Tensor]]  # of the last batch: by position and layer
    probabilities: dict[int, Tensor]
    top: int  # images for each unit

    def units_of(self, layer: str) -> list[int]: ...


@runtime_checkable
class AdaptsDomains(Protocol):
    """A method that learns from two domains, one of which has no labels."""

    def features_and_logits(self, images: Tensor, domain: str) -> tuple[Tensor, Tensor]: ...


@runtime_checkable
class MakesSamples(Protocol):
    """A method that makes images of latents."""

    nz: int  # numbers in a latent
    num_classes: int | None  # labels that an image can be asked for; None: unconditional
    iterations: int
    batches: int
    discriminator_steps: int
    trace: list[Tensor]

    def sample(self, latents: Tensor, labels: Tensor, *, batch_statistics: bool = False) -> Tensor: ...
    def samples_like(self, batch: Batch, seed: int = 0, *, batch_statistics: bool = False) -> Tensor: ...


@runtime_checkable
class MakesPictures(Protocol):
    """A method that makes a picture of each pair, step by step."""

    evaluations: int
    trace: list[Tensor]
    results: dict[str, Tensor]

    @property
    def labels(self) -> list[str]: ...
    @property
    def settings(self) -> dict[str, Any]: ...
    def pictures(self, batch: Pairs) -> Tensor: ...


@runtime_checkable
class GrowsPictures(Protocol):
    """A method that makes pictures of classes, step by step."""

    evaluations: int
    starts: Tensor  # images in [0, 1] that they began in, one for each; none where they began in noise
    names: list[str]
    titles: list[str]
    captions: list[str]  # of the finished pictures
    note: str  # what must be said of all of them, if anything
    results: dict[str, Tensor]

    @property
    def labels(self) -> list[str]: ...
    @property
    def settings(self) -> dict[str, Any]: ...
    def pictures(self) -> Tensor: ...
    def opacity(self) -> Tensor | None: ...


@runtime_checkable
class NotesSteps(Protocol):
    """A method that notes each of its steps."""

    @property
    def noted(self) -> dict[str, Tensor]: ...  # by column: before the first step, and after each


def handed_over(trainer: pl.Trainer, kind: type[T], *, to: object) -> T:
    """Return the datamodule of a run, once it is set up, as what a method or a callback needs; see `needed`."""
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

"""What methods, callbacks and datamodules need from each other, and the error if two do not work together.

Error messages quote the first sentence of a protocol's docstring.
"""
# ruff: noqa: D102 - functions are documented where they are implemented

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
    """Data with facts for a run's record."""

    @property
    def labels(self) -> list[str]: ...
    def facts(self) -> dict[str, Any]: ...


@runtime_checkable
class SizedImages(Protocol):
    """Images of one size."""

    image_size: int  # in pixels; the shorter side if the image is not square


@runtime_checkable
class ImagesOfClasses(Recorded, Protocol):
    """Labeled images, whose classes a net predicts."""

    classes: list[str]
    names: list[str]  # one per image of the dataset
    rows: dict[str, np.ndarray]  # by split: indices of its images in the dataset
    images: dict[str, StoredImages]  # by split

    @property
    def dataset(self) -> str: ...


@runtime_checkable
class TwoDomains(ImagesOfClasses, Protocol):
    """Images from two domains, one of them without labels in training."""

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
    """Images for training a generator, and held-out images for its metrics."""

    num_classes: int
    images: LabeledImages  # all of the source

    @property
    def source(self) -> Source: ...
    def stored(self, split: str) -> Batch: ...


@runtime_checkable
class PicturePairs(Recorded, Protocol):
    """Pairs of a content picture and a style picture."""

    pictures: Pairs
    names: list[str]  # of the pairs, like the rest
    contents: list[str]
    styles: list[str]
    credits: list[str]


@runtime_checkable
class ShowsImages(Recorded, Protocol):
    """Images to inspect a net with, and their names."""

    names: list[str]
    pixels: Tensor  # (images, 3, height, width) in [0, 1]
    classes: Tensor  # (images,) int64: labels, -1 if unknown
    credits: list[str]


# Of methods


@runtime_checkable
class LooksIntoNet(Protocol):
    """A method that inspects a trained net."""

    looked_into: TrainedNet


@runtime_checkable
class MakesMaps(LooksIntoNet, Protocol):
    """A method that computes and checks an attribution map for each image."""

    method: str  # a key of `labs.inspection.maps.MAPS`
    results: list[CheckedMap]  # of the last batch

    @property
    def labels(self) -> list[str]: ...


@runtime_checkable
class ChangesImages(Protocol):
    """A method that changes images until a net predicts another class."""

    targets: list[int]  # classes that the net should predict
    survive: Form  # the form in which a changed image must still fool the net
    jpeg_quality: int
    problems: int  # pairs of image and target started so far
    solved: int  # pairs solved so far
    results: list[ChangedImage]  # of the last batch


@runtime_checkable
class WatchesLayers(LooksIntoNet, Protocol):
    """A method that records layers of a trained net."""

    shapes: dict[str, Shape]  # of each layer's maps
    peaks: dict[str, Peaks]  # of each layer, over all images
    maps: dict[int, dict[str, Tensor]]  # of the last batch, by position and layer
    probabilities: dict[int, Tensor]
    top: int  # images per unit

    def units_of(self, layer: str) -> list[int]: ...


@runtime_checkable
class AdaptsDomains(Protocol):
    """A method that learns from two domains, one of which has no labels."""

    def features_and_logits(self, images: Tensor, domain: str) -> tuple[Tensor, Tensor]: ...


@runtime_checkable
class MakesSamples(Protocol):
    """A method that generates images from latents."""

    nz: int  # length of a latent
    num_classes: int | None  # number of labels to condition on; None: unconditional
    iterations: int
    batches: int
    discriminator_steps: int
    trace: list[Tensor]

    def sample(self, latents: Tensor, labels: Tensor, *, batch_statistics: bool = False) -> Tensor: ...
    def samples_like(self, batch: Batch, seed: int = 0, *, batch_statistics: bool = False) -> Tensor: ...


@runtime_checkable
class MakesPictures(Protocol):
    """A method that generates a picture from each pair, step by step."""

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
    """A method that generates pictures of classes, step by step."""

    evaluations: int
    starts: Tensor  # initial images in [0, 1], one per picture; empty if they start from noise
    names: list[str]
    titles: list[str]
    captions: list[str]  # of the finished pictures
    note: str  # a remark about all of them, if any
    results: dict[str, Tensor]

    @property
    def labels(self) -> list[str]: ...
    @property
    def settings(self) -> dict[str, Any]: ...
    def pictures(self) -> Tensor: ...
    def opacity(self) -> Tensor | None: ...


@runtime_checkable
class NotesSteps(Protocol):
    """A method that records each of its steps."""

    @property
    def noted(self) -> dict[str, Tensor]: ...  # by column: before the first step, and after each step


def handed_over(trainer: pl.Trainer, kind: type[T], *, to: object) -> T:
    """Return a run's datamodule, after setup, as the protocol that a method or a callback needs; see `needed`."""
    return needed(getattr(trainer, "datamodule", None), kind, by=to)


def needed(found: object, kind: type[T], *, by: object) -> T:
    """Return a datamodule or a method if it has what another part of the run needs.

    Raises:
        LabsError: it does not; the message says what to type instead.
    """
    if isinstance(found, kind):
        return found
    names, need = [type(part).__name__ for part in (by, found)], (kind.__doc__ or "").partition(".")[0]
    raise LabsError(
        f"{names[0]} does not work with {names[1]}: it needs {need[:1].lower()}{need[1:]}. Remove callbacks=, "
        "module= and datamodule=, or type the experiment=... of another practical; `python train.py --help` lists "
        "them."
    )

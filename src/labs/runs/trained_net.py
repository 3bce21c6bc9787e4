"""A net that has learned already, with all that is needed to ask it about an image: ImageNet's, or that of a run."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor, nn
from torchvision.models import ResNet18_Weights

from labs import LabsError
from labs.functional.normalization import IMAGENET, Normalization, Normalizer
from labs.nets.eval_mode import evaluating
from labs.nets.layer_features import TIMM
from labs.nets.torchvision_nets import build_net, did_you_mean
from labs.runs.directory import read_facts, weights_file
from labs.runs.load import load_run

IMAGE_SIZE = 224  # pixels; what ImageNet's nets were trained on
SHOWN = 5  # classes of an answer


@dataclass
class TrainedNet:
    """A classifier that is only looked at.

    Attributes:
        name: what it is called in figures, such as `squeezenet1_1` or `cub_full, seed 0`.
        net: maps normalized images (batch, 3, image_size, image_size) to logits (batch, classes); in eval mode, and
            without gradients of its parameters.
        classes: the name of each logit.
        normalizer: turns images in [0, 1] into what the net takes.
        image_size: pixels, height and width.
        resize: pixels to which an image file is squeezed before its center is cut, as in the run; None: a file keeps
            its aspect ratio, and its center is cut.
        labels: what every number and picture of it must carry.
        run: the directory of the run that it is of; None: it is ImageNet's.
    """

    name: str
    net: nn.Module
    classes: list[str]
    normalizer: Normalizer
    image_size: int
    resize: int | None
    labels: list[str]
    run: Path | None

    def __call__(self, images: Tensor) -> Tensor:
        """Return logits (batch, classes) of images (batch, 3, image_size, image_size) in [0, 1]."""
        logits: Tensor = self.net(self.normalizer(images))
        return logits.float()

    def index(self, typed: str | int, key: str = "module.target") -> int:
        """Return the place of a class among the logits.

        Args:
            typed: its place, or its name in any case; a part of a name that only one class has will do.
            key: of the recipe; error messages name it.

        Raises:
            LabsError: there is no such class, or several; names near ones.
        """
        return class_index(self.classes, typed, key)


def trained_net(
    *,
    name: str = "squeezenet1_1",
    weights: str = "imagenet",
    image_size: int | None = None,
    seed: int = 0,
    weights_folder: str | None = None,
) -> TrainedNet:
    """Return ImageNet's classifier of 1,000 classes, or the net of a run.

    Args:
        name: as in `labs.nets.torchvision_nets.build_net`, or `timm/` and a name of timm. Without effect for a run.
        weights: `imagenet`, `random`, a run directory, or a file with the weights of a net of 1,000 classes.
        image_size: pixels, height and width of its images; None: 224, or those of the run.
        seed: of random weights.
        weights_folder: where ImageNet's weight files are downloaded to.

    Raises:
        LabsError: an unknown net, weights that are missing, or a run that classifies no images.
    """
    if Path(weights).expanduser().is_dir():
        return _of_run(Path(weights).expanduser(), image_size)
    if weights not in ("imagenet", "random") and weights_file(Path(weights).expanduser()) is None:
        raise LabsError(
            f"weights={weights}: expected imagenet, random, or a run directory or file of weights that is there."
        )
    size = IMAGE_SIZE if image_size is None else image_size
    options: dict[str, Any] = {"num_classes": 1000, "weights": weights, "image_size": size, "keep_head": True}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if name.startswith(TIMM):
            from labs.nets.timm_nets import build_net as build_of_timm  # only a run that needs it waits for the import

            net = build_of_timm(name=name.removeprefix(TIMM), weights_folder=weights_folder, **options)
        else:
            try:
                net = build_net(name=name, weights_folder=weights_folder, **options)
            except LabsError as error:  # the size of these images is a setting of the net
                raise LabsError(str(error).replace("datamodule.image_size", "net.image_size")) from error
    labels = [] if weights == "imagenet" else ["random weights" if weights == "random" else "weights of a file"]
    return TrainedNet(name, _fixed(net), imagenet_classes(), Normalizer(IMAGENET), size, None, labels, None)


def imagenet_classes() -> list[str]:
    """Return the names of ImageNet's 1,000 classes, as torchvision has them."""
    return list(ResNet18_Weights.IMAGENET1K_V1.meta["categories"])


def class_index(classes: Sequence[str], typed: str | int, key: str) -> int:
    """Return the place of a class by its name, its place, or the one name that a word is in.

    Raises:
        LabsError: there is no such class, or several.

    Examples:
        >>> class_index(["cat", "tabby cat"], "tabby", "target"), class_index(["cat", "tabby cat"], 1, "target")
        (1, 1)
    """
    word = str(typed).replace("_", " ").strip().casefold()
    names = [name.replace("_", " ").casefold() for name in classes]
    places = [place for place, name in enumerate(names) if name == word]  # of digits, the name is a number, too
    if not places and (isinstance(typed, int) or word.isdecimal()):
        if 0 <= int(typed) < len(classes):
            return int(typed)
        raise LabsError(f"{key}={typed}: expected 0 to {len(classes) - 1}, the net has {len(classes)} classes.")
    places = places or [place for place, name in enumerate(names) if word and word in name]
    if len(places) == 1:
        return places[0]
    if places:
        listed = ", ".join(f"{classes[place]} ({place})" for place in places[:8])
        raise LabsError(f"{key}={typed}: {len(places)} classes are called so; type the number of one: {listed}.")
    raise LabsError(
        f"{key}={typed}: the net has no such class{did_you_mean(word, names)}; type a name, or a number from 0 to "
        f"{len(classes) - 1}."
    )


def top_classes(net: TrainedNet, probabilities: Tensor, count: int = SHOWN) -> list[tuple[str, float]]:
    """Return the most probable classes of one image with their probabilities, (classes,)."""
    values, places = probabilities.topk(min(count, len(net.classes)))
    return [(net.classes[place], value) for place, value in zip(places.tolist(), values.tolist(), strict=True)]


def _of_run(run_dir: Path, image_size: int | None) -> TrainedNet:
    run = load_run(run_dir)
    if image_size not in (None, run.image_size):
        raise LabsError(
            f"net.image_size={image_size}: the net of {run_dir} was trained on {run.image_size} pixels; leave it out."
        )
    facts = read_facts(run_dir)
    name = f"{facts.get('experiment', run_dir.name)}, seed {facts.get('seed', '?')}"
    normalizer = Normalizer(Normalization("run", tuple(run.mean), tuple(run.std)))
    net = _inner(run.module, torch.rand(2, 3, run.image_size, run.image_size))
    return TrainedNet(
        name, _fixed(net), run.classes, normalizer, run.image_size, run.resize, run.labels, run_dir.resolve()
    )


def _inner(module: pl.LightningModule, images: Tensor) -> nn.Module:
    """Return the net that a method has trained, if it gives what the method answers; else the method."""
    net = getattr(module, "net", None)
    if not isinstance(net, nn.Module):
        return module
    with evaluating(module), torch.no_grad():
        answer = net(images)
        return net if isinstance(answer, Tensor) and torch.equal(answer, module(images)) else module


def _fixed(net: nn.Module) -> nn.Module:
    return net.eval().requires_grad_(False)

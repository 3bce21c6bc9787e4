"""A net that has learned already, with all that is needed to ask it about an image: ImageNet's, or that of a run."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torchvision.models import ResNet18_Weights

from labs import LabsError
from labs.datamodules.read_picture import cover, read_picture, to_tensor
from labs.functional.augment import center_crop
from labs.functional.normalization import IMAGENET, Normalizer
from labs.nets.layer_features import TIMM
from labs.nets.torchvision_nets import build_net, did_you_mean
from labs.runs.directory import weights_file
from labs.runs.given_images import batches_of
from labs.runs.places import default_folder
from labs.storage.files import typed_path

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

    def read(self, source: str | Path, key: str = "image") -> tuple[Tensor, list[str]]:
        """Read an image as the net was trained to see it: (3, image_size, image_size) in [0, 1].

        Args:
            source: a file, or the name of an embedded photograph.
            key: error messages name it.

        Returns:
            The image, and what was converted, in words.

        Raises:
            LabsError: the file is missing or no image.
        """
        picture, words = read_picture(str(source), key=key)
        small = self.resize is None and min(picture.size) < self.image_size
        return self.prepare(picture), words + [f"enlarged from less than {self.image_size} pixels"] * small

    def prepare(self, picture: Image.Image) -> Tensor:
        """Bring an image of mode RGB to the net's size: (3, image_size, image_size) in [0, 1]."""
        if self.resize is None:
            return to_tensor(cover(picture, self.image_size, self.image_size))
        squeezed = picture.resize((self.resize, self.resize), Image.Resampling.BILINEAR)  # as a run's own images
        pixels = torch.from_numpy(np.array(squeezed)).permute(2, 0, 1)[None]
        return center_crop(pixels, self.image_size)[0].float().div(255).contiguous()

    def predict(self, images: Any) -> Tensor:
        """Return class probabilities (batch, classes), of which each row sums to 1.

        Args:
            images: a file, an image of Pillow, a NumPy array (height, width, 3) of uint8, a list of them, or a tensor
                (batch, 3, image_size, image_size) in [0, 1] or of uint8. The net normalizes by itself.

        Raises:
            LabsError: the net gives what is no number.
        """
        with torch.no_grad():
            probabilities = torch.cat([self(some).softmax(dim=1) for some in self._batches(images)]).cpu()
        if probabilities.isnan().any():
            raise LabsError(
                f"{self.name} gives no numbers: its training diverged, or its weights are damaged. Train once more "
                "with a smaller optimizer.lr."
            )
        return probabilities

    def features(self, layer: str, images: Any) -> Tensor:
        """Return what a layer gives for images, as it gives it: (batch, ...).

        Args:
            layer: the name of a module, as in `net.named_modules()`; it may run several times: the first one counts.
            images: as in `predict`.

        Raises:
            LabsError: there is no such layer, or it gives no tensor.
        """
        modules = dict(self.net.named_modules())
        if not layer or layer not in modules:
            hint = did_you_mean(layer, modules)
            raise LabsError(f"layer={layer}: {self.name} has no such layer{hint}; dict(net.net.named_modules()) has.")
        seen: list[Tensor] = []
        parts: list[Tensor] = []

        def note(_: nn.Module, inputs: Any, output: Any) -> None:
            if isinstance(output, Tensor) and not seen:
                seen.append(output.clone())  # a later layer may overwrite it in place

        handle = modules[layer].register_forward_hook(note)
        try:
            with torch.no_grad():
                for some in self._batches(images):
                    seen.clear()
                    self(some)
                    parts += seen
        finally:
            handle.remove()
        if not parts:
            raise LabsError(f"layer={layer}: it gives no tensor, or does not run; type the layer that it is in.")
        return torch.cat(parts).cpu()

    def top(self, probabilities: Tensor, count: int = SHOWN) -> list[tuple[str, float]]:
        """Return the most probable classes of one image with their probabilities, (classes,)."""
        return top_classes(self, probabilities, count)

    def _batches(self, images: Any) -> Iterator[Tensor]:
        device = next(iter(self.net.parameters()), torch.empty(0)).device
        for some in batches_of(images, self.image_size, lambda file: self.read(file)[0], self.prepare):
            yield some.to(device)

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
        weights_folder: where ImageNet's weight files lie, or are downloaded to; None: the folder that `LABS_WEIGHTS` in
            the environment names, else torch's own cache.

    Raises:
        LabsError: an unknown net, weights that are missing, or a run that classifies no images.
    """
    path = typed_path(weights, "weights")
    weights_folder = weights_folder or default_folder("weights")
    if path.is_dir():
        from labs.runs.load import load_run_directory  # which returns what is defined here

        run = load_run_directory(weights)
        if image_size not in (None, run.image_size):
            raise LabsError(
                f"net.image_size={image_size}: the net of {weights} was trained on {run.image_size} pixels; leave it "
                "out."
            )
        return run
    if weights not in ("imagenet", "random") and weights_file(path) is None:
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
    return TrainedNet(name, fixed(net), imagenet_classes(), Normalizer(IMAGENET), size, None, labels, None)


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


def fixed(net: nn.Module) -> nn.Module:
    """Put a net in eval mode, without gradients of its parameters."""
    return net.eval().requires_grad_(False)

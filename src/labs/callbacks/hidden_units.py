"""Draw the weights of hidden units as pictures, next to the classes that the units contribute to."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor

from labs import LabsError
from labs.callbacks.notes import of_the_run
from labs.callbacks.record import tsv
from labs.callbacks.tensorboard import show_figures
from labs.datamodules.image_classification import ImageClassification
from labs.datamodules.protocols import handed_over
from labs.drawing.figures import Figure
from labs.functional.roughness import roughness
from labs.nets.mlp import MLP
from labs.storage.files import write_text

SHOWN = 2  # units


class Unit(NamedTuple):
    """A hidden unit and the class that it contributes to."""

    number: int
    label: int
    contribution: float  # to the class's logit: mean over images of the class minus mean over all images


class HiddenUnits(pl.Callback):
    """Draw two hidden units of a perceptron: those that contribute most to two classes.

    The contribution of unit j to class c is w_cj (mean of h_j over training images of c - mean of h_j over all training
    images), where h_j is the activation and w_cj the weight to the logit. The callback writes `images/hidden_units.png`
    and `hidden_units.tsv` with the roughness of each unit's weights (`labs.functional.roughness`).

    Args:
        classes: Names of two classes. None: the two with the most correct test images.
    """

    def __init__(self, *, classes: Sequence[str] | None = None) -> None:
        if classes is not None and len(set(classes)) != SHOWN:
            raise LabsError(f"callbacks.hidden_units.classes={list(classes)}: expected the names of two classes.")
        self.classes = classes
        self.right: Tensor | None = None

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Refuse a net without a hidden layer over pixels, and unknown classes, before training."""
        net = pl_module.get_submodule("net")
        if not isinstance(net, MLP):
            raise LabsError(
                f"callbacks=hidden_units: {type(net).__name__} has no hidden layer over the pixels; type "
                "callbacks=default, or net=mlp."
            )
        known = handed_over(trainer, ImageClassification, to=self).classes
        if missing := [name for name in self.classes or () if name not in known]:
            raise LabsError(
                f"callbacks.hidden_units.classes: there is no class {', '.join(missing)}; the classes are: "
                f"{', '.join(known)}."
            )

    def on_test_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start counting."""
        self.right = torch.zeros(len(handed_over(trainer, ImageClassification, to=self).classes))

    def on_test_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, *_: Any) -> None:
        """Count the correct predictions of each class."""
        assert self.right is not None
        labels, preds = outputs["labels"].cpu(), outputs["preds"].cpu()
        self.right += torch.bincount(labels[labels == preds], minlength=len(self.right))

    @rank_zero_only
    def on_test_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw the units with the tested weights."""
        data, net = handed_over(trainer, ImageClassification, to=self), pl_module.get_submodule("net")
        assert isinstance(net, MLP)
        assert self.right is not None
        order = torch.argsort(self.right, descending=True, stable=True).tolist()
        labels = [data.classes.index(name) for name in self.classes] if self.classes else order[:SHOWN]
        with torch.no_grad():
            batches = data.every("train", pl_module.device)
            hidden = torch.cat([net.activations(images).float().cpu() for images in batches])
        weights = net.hidden.weight.detach().float().cpu().view(-1, *net.image_shape)
        of_images = torch.from_numpy(data.images["train"].labels[data.rows["train"]])
        units = telling_units(hidden, of_images, net.head.weight.detach().float().cpu(), labels)
        rough = roughness(weights)
        means = [_mean_image(data, label) for label in labels]
        notes = of_the_run(trainer, data.labels)
        title = f"{len(weights)} hidden units over {data.dataset}: the weights of two"
        show_figures(trainer, {"hidden_units": units_figure(units, weights, rough, means, data.classes, title, notes)})
        shown = {unit.number: unit for unit in units}
        rows: list[dict[str, object]] = [
            {
                "unit": number,
                "roughness": f"{value:.4f}",
                "class": data.classes[shown[number].label] if number in shown else "",
                "contribution": f"{shown[number].contribution:.4f}" if number in shown else "",
            }
            for number, value in enumerate(rough.tolist())
        ]
        write_text(Path(trainer.default_root_dir) / "hidden_units.tsv", tsv(rows))


def telling_units(hidden: Tensor, labels: Tensor, weights: Tensor, classes: Sequence[int]) -> list[Unit]:
    """Return the unit that contributes most to each class, a different unit each time.

    Args:
        hidden: Activations (images, units).
        labels: (images,).
        weights: Weights from units to logits, (classes, units).
        classes: Labels of the classes.
    """
    found: list[Unit] = []
    for label in classes:
        contribution = weights[label] * (hidden[labels == label].mean(dim=0) - hidden.mean(dim=0))
        contribution[[unit.number for unit in found]] = -torch.inf
        best = int(contribution.argmax())
        found.append(Unit(best, label, float(contribution[best])))
    return found


def units_figure(
    units: Sequence[Unit],
    weights: Tensor,
    rough: Tensor,
    means: Sequence[np.ndarray],
    classes: Sequence[str],
    title: str,
    notes: Sequence[str],
) -> Figure:
    """Draw one row per unit: its weights in color, their sum over the channels, and the mean image of its class."""
    figure = Figure(figsize=(8.4, 2.9 * len(units) + 0.7), layout="constrained")
    figure.suptitle("\n".join(filter(None, (title, " · ".join(notes)))), fontsize=10, parse_math=False)
    for row, (unit, mean) in enumerate(zip(units, means, strict=True)):
        own = weights[unit.number]
        total = own.sum(dim=0)
        pictures: tuple[tuple[Tensor, str, dict[str, Any]], ...] = (
            (0.5 + own.permute(1, 2, 0) / (2 * own.abs().max().clamp(min=1e-12)), "weights (gray is zero)", {}),
            (total, "sum over colors: red excites, blue inhibits", _symmetric(total)),
            (torch.from_numpy(mean), f"mean of {classes[unit.label]}", {}),
        )
        for column, (picture, caption, options) in enumerate(pictures):
            axes = figure.add_subplot(len(units), len(pictures), row * len(pictures) + column + 1)
            axes.imshow(picture.numpy(), **options)
            axes.set_xticks([])
            axes.set_yticks([])
            axes.set_title(caption, fontsize=8, parse_math=False)
            if column == 0:
                text = f"unit {unit.number}: {unit.contribution:+.2f}\nroughness {float(rough[unit.number]):.2f}"
                axes.set_ylabel(text, fontsize=8)
    return figure


def _symmetric(picture: Tensor) -> dict[str, Any]:
    most = max(float(picture.abs().max()), 1e-12)
    return {"cmap": "RdBu_r", "vmin": -most, "vmax": most}


def _mean_image(data: ImageClassification, label: int) -> np.ndarray:
    """Return the mean of the training images of a class, (height, width, 3) in [0, 1], as they are stored."""
    rows = data.rows["train"]
    rows = rows[data.images["train"].labels[rows] == label]
    pixels = data.images["train"].pixels
    return np.moveaxis(np.asarray(pixels[rows], dtype=np.float32).mean(axis=0) / 255, 0, -1)

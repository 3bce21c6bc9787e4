"""Figures of a classifier: test images with their predictions, its mistakes, and the confusion matrix."""

from textwrap import fill
from typing import Any

import lightning.pytorch as pl
import numpy as np
from lightning.pytorch.utilities import rank_zero_only
from torchmetrics.classification import MulticlassConfusionMatrix

from labs.callbacks.notes import of_the_run
from labs.callbacks.tensorboard import show_figures
from labs.datamodules.protocols import ImagesOfClasses, handed_over
from labs.drawing.figures import Figure, shortened

LONGEST = 28  # characters of a class name in a figure


class Pictures(pl.Callback):
    """Draw example images, the most confident mistakes and the confusion matrix of the test split.

    They go to `images/` and to TensorBoard; without a mistake there is no picture of mistakes.

    Args:
        num_images: Number of examples, evenly spaced in the test split, and of mistakes, the most confident first.
    """

    def __init__(self, *, num_images: int = 16) -> None:
        if num_images < 1:
            raise ValueError(f"num_images={num_images}: expected 1 or more")
        self.num_images = num_images
        self.results: dict[int, tuple[int, int, float]] = {}

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Refuse data without classes, before training."""
        handed_over(trainer, ImagesOfClasses, to=self)

    def on_test_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start counting."""
        self.results, classes = {}, handed_over(trainer, ImagesOfClasses, to=self).classes
        self.confusion = MulticlassConfusionMatrix(num_classes=len(classes)).to(pl_module.device)

    def on_test_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, *_: Any) -> None:
        """Count a batch if the method returns predictions for it."""
        if not outputs:
            return
        self.confusion.update(outputs["preds"], outputs["labels"])
        indices, *columns = (outputs[name].tolist() for name in ("positions", "labels", "preds", "confidence"))
        self.results |= dict(zip(indices, zip(*columns, strict=True), strict=True))

    def on_test_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw the figures if there are predictions."""
        matrix = self.confusion.compute().cpu().numpy()  # of all ranks
        if self.results:
            self._draw(trainer, matrix)

    @rank_zero_only
    def _draw(self, trainer: pl.Trainer, matrix: np.ndarray) -> None:
        data = handed_over(trainer, ImagesOfClasses, to=self)
        labels = of_the_run(trainer, data.labels)
        notes = f" ({', '.join(labels)})" if labels else ""
        confusion = confusion_figure(matrix, data.classes, f"Confusion matrix, {data.dataset}{notes}")
        seen = sorted(self.results)
        spread = [seen[i] for i in np.linspace(0, len(seen) - 1, min(self.num_images, len(seen))).astype(int)]
        figures = {"predictions": self._images(data, spread, f"Test images and predictions{notes}")}
        wrong = [index for index in seen if self.results[index][0] != self.results[index][1]]
        wrong.sort(key=lambda index: -self.results[index][2])
        if wrong:
            figures["mistakes"] = self._images(data, wrong[: self.num_images], f"Most confident mistakes{notes}")
        show_figures(trainer, {**figures, "confusion_matrix": confusion})

    def _images(self, data: ImagesOfClasses, chosen: list[int], title: str) -> Figure:
        columns = min(len(chosen), 4)
        rows = -(-len(chosen) // columns)
        figure = Figure(figsize=(2.6 * columns, 2.9 * rows + 0.5), layout="constrained")
        _title(figure, title, fontsize=12)
        for position, index in enumerate(chosen):
            label, pred, confidence = self.results[index]
            axes = figure.add_subplot(rows, columns, position + 1)
            axes.imshow(np.moveaxis(np.asarray(data.images["test"][[index]].images[0]), 0, 2))
            axes.set_axis_off()
            right = label == pred
            text = f"{shortened(data.classes[pred], LONGEST)}  {confidence:.0%}" + (
                "" if right else f"\nis {shortened(data.classes[label], LONGEST)}"
            )
            axes.set_title(text, fontsize=8, color="#1b6e3c" if right else "#b3261e", parse_math=False)
        return figure


def confusion_figure(matrix: np.ndarray, classes: list[str], title: str) -> Figure:
    """Draw counts (true class, predicted class), with each row scaled to one, and class names if there is room."""
    size = min(4 + 0.28 * len(classes), 14)
    figure = Figure(figsize=(size, size), layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1), cmap="Blues", vmin=0, vmax=1)
    axes.set(xlabel="predicted class", ylabel="true class")
    _title(figure, title, fontsize=10)
    if len(classes) <= 40:
        names = [shortened(name, LONGEST) for name in classes]
        axes.set_xticks(range(len(classes)), names, rotation=90, fontsize=7, parse_math=False)
        axes.set_yticks(range(len(classes)), names, fontsize=7, parse_math=False)
    if len(classes) <= 25:
        for row, column in np.argwhere(matrix):
            color = "white" if matrix[row, column] / matrix[row].sum() > 0.5 else "black"
            axes.text(column, row, str(matrix[row, column]), ha="center", va="center", fontsize=7, color=color)
    return figure


def _title(figure: Figure, text: str, fontsize: int) -> None:
    """Write a title, wrapped to the width of the figure."""
    letters = int(figure.get_figwidth() * 72 / (0.6 * fontsize))  # the approximate width of a letter
    figure.suptitle(fill(text, max(letters, 20)), fontsize=fontsize, parse_math=False)  # folders may have a $

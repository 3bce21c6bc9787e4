"""Pictures of predictions: what a method without any gets, and what data without classes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from torchmetrics.classification import MulticlassConfusionMatrix

from labs import LabsError
from labs.callbacks.pictures import Pictures, confusion_figure


def test_a_method_that_predicts_nothing_gets_no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Any] = []
    monkeypatch.setattr(Pictures, "_draw", lambda *arguments: drawn.append(arguments))
    pictures = Pictures()
    pictures.confusion = MulticlassConfusionMatrix(num_classes=2)
    with pytest.warns(UserWarning, match="compute"):
        pictures.on_test_epoch_end(pl.Trainer(logger=False, barebones=True), pl.LightningModule())
    assert not drawn


def test_data_without_classes_is_refused() -> None:
    trainer: Any = SimpleNamespace(datamodule=object())
    with pytest.raises(LabsError, match="Pictures does not work with object: it needs labeled images"):
        Pictures().setup(trainer, pl.LightningModule(), "fit")


def test_a_long_title_stays_inside_the_picture() -> None:
    title = "Confusion matrix, " + "a net and a layer of it, " * 8 + "ImageNet weights"
    figure = confusion_figure(np.eye(3, dtype=int), ["a", "b", "c"], title)
    FigureCanvasAgg(figure).draw()
    assert figure.texts[0].get_text().replace("\n", " ") == title
    box = figure.texts[0].get_window_extent()
    assert box.x0 >= 0
    assert box.x1 <= figure.bbox.width

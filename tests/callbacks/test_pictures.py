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


def test_the_most_confident_mistakes_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: dict[str, Any] = {}
    monkeypatch.setattr("labs.callbacks.pictures.show_figures", lambda trainer, figures: drawn.update(figures))
    monkeypatch.setattr("labs.callbacks.pictures.of_the_run", lambda trainer, labels: labels)
    data = SimpleNamespace(classes=["cat", "dog"], labels=[], dataset="pets")
    monkeypatch.setattr("labs.callbacks.pictures.handed_over", lambda *arguments, **words: data)
    pictures = Pictures(num_images=2)
    monkeypatch.setattr(pictures, "_images", lambda data, chosen, title: (title, chosen))
    for wrong, expected in (({1: (0, 1, 0.6), 3: (1, 0, 0.9)}, [3, 1]), ({}, None)):
        drawn.clear()
        pictures.results = {0: (0, 0, 0.9), 1: (1, 1, 0.8), 2: (1, 1, 0.99), 3: (0, 0, 0.7), **wrong}
        pictures._draw(SimpleNamespace(), np.eye(2, dtype=int))  # type: ignore[arg-type]
        assert drawn.get("mistakes", (None, None))[1] == expected
        assert list(drawn) == ["predictions", *(["mistakes"] if wrong else []), "confusion_matrix"]

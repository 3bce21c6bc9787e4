"""Pictures of predictions: what a method without any gets, and what data without classes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import lightning.pytorch as pl
import pytest
from torchmetrics.classification import MulticlassConfusionMatrix

from labs import LabsError
from labs.callbacks.pictures import Pictures


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
    with pytest.raises(LabsError, match="Pictures does not go with object: it needs labelled images"):
        Pictures().setup(trainer, pl.LightningModule(), "fit")

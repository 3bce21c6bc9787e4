"""How long a run will take is said where somebody can know it."""

from __future__ import annotations

import re
import time
from types import SimpleNamespace
from typing import Any

import pytest
from lightning.pytorch.callbacks import Timer

from labs.callbacks.progress import EpochLines, TimeLeft


def trainer(**changed: Any) -> Any:
    known = {"max_epochs": 1000, "max_steps": -1, "callbacks": [], "current_epoch": 0, "callback_metrics": {}}
    return SimpleNamespace(**{**known, **changed})


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, "about 1000 min left"),
        ({"max_steps": 5}, ""),  # ends in the first epoch, perhaps
        ({"callbacks": [Timer("00:00:00:01")]}, ""),
        ({"max_epochs": -1}, ""),
    ],
)
def test_nothing_is_estimated_of_a_run_that_may_end_before_its_last_epoch(
    changed: dict[str, Any], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = TimeLeft()
    left.begin(trainer(**changed))
    monkeypatch.setattr(time, "monotonic", lambda: left.started + 60)
    words = left.words(trainer(**changed), 1)
    assert re.sub(r"\d+ h \d+ min", "1000 min", words) == said


def test_a_run_without_a_last_epoch_counts_none(capsys: pytest.CaptureFixture[str]) -> None:
    lines = EpochLines()
    lines.on_train_start(trainer(max_epochs=-1), None)  # type: ignore[arg-type]
    lines.on_train_epoch_end(trainer(max_epochs=-1), None)  # type: ignore[arg-type]
    assert capsys.readouterr().out.strip() == "epoch 1"

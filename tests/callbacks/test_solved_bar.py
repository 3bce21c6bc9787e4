"""The bar over problems, drawn into a text that stands for the terminal."""

from __future__ import annotations

import io
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from labs.callbacks.solved_bar import SolvedBar, solved


def trainer_and_method() -> tuple[Any, Any]:
    data = SimpleNamespace(
        names=["a", "b"], pixels=None, classes=None, credits=[], labels=[], facts=dict
    )  # what ShowsImages asks for
    method = SimpleNamespace(targets=[1, 2, 3], survive="png", jpeg_quality=90, problems=0, solved=0, results=[])
    return SimpleNamespace(datamodule=data), method


def test_it_follows_the_method(monkeypatch: pytest.MonkeyPatch) -> None:
    text = io.StringIO()
    monkeypatch.setattr("rich._console", Console(file=text, force_terminal=True, width=100, color_system=None))
    trainer, method = trainer_and_method()
    bar = SolvedBar(live=True)
    bar.on_test_start(trainer, method)
    method.solved = 4
    bar.screen.refresh()
    assert " 4/6 " in text.getvalue()
    method.solved = 6
    bar.on_test_end(trainer, method)
    assert " 6/6 " in text.getvalue()
    assert not bar.screen.is_started


def test_a_pipe_gets_a_line_for_each_batch(capsys: pytest.CaptureFixture[str]) -> None:
    trainer, method = trainer_and_method()
    bar = SolvedBar(live=False)
    bar.on_test_start(trainer, method)
    method.solved = 4
    bar.on_test_batch_end(trainer, method)
    bar.on_exception(trainer, method, RuntimeError())
    assert capsys.readouterr().out.startswith("4 of 6 problems solved in ")


def test_it_is_there_only_if_enabled(monkeypatch: pytest.MonkeyPatch) -> None:
    assert solved(enabled=False) is None
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    bar = solved()
    assert isinstance(bar, SolvedBar)
    assert not bar.live
    bar.on_exception(None, None, RuntimeError())  # type: ignore[arg-type]

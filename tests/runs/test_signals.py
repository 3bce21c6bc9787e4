"""A signal to stop, in every stage of a run: its exit code, and what stands in the record."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from labs.runs.signals import STOPS, Stopped, exit_code, stop, stop_signals_go_to


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    """Lightning stops listening to Ctrl-C at the first one."""
    before = {number: signal.getsignal(number) for number in STOPS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", STOPS)
def test_a_signal_becomes_an_exception_with_its_exit_code(number: int) -> None:
    with pytest.raises(KeyboardInterrupt) as stopped, stop_signals_go_to(stop):
        os.kill(os.getpid(), number)
    assert exit_code(stopped.value) == 128 + number


def test_what_is_ignored_stays_ignored() -> None:
    """`nohup` asks for that, and a shell that starts a command in the background."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with stop_signals_go_to(stop):
        os.kill(os.getpid(), signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN


def test_the_cause_of_a_library_s_own_exit_is_found() -> None:
    end = SystemExit(1)
    end.__context__ = Stopped(signal.SIGTERM)  # raised while the other was handled, as Lightning does
    assert exit_code(end) == 143
    assert exit_code(SystemExit(2)) is None


STAGES = {
    "before the data": ("lightning.pytorch.seed_everything", "interrupted"),
    "training": ("labs.callbacks.reseed.Reseed.on_train_epoch_start", "interrupted"),
    "drawing": ("labs.callbacks.record.curves_png", "interrupted"),
    "testing": ("labs.modules.classifier.Classifier.test_step", "interrupted"),
    "after it has finished": ("labs.cli.report_back.say_results", "finished"),
}


@pytest.mark.parametrize(
    ("stage", "number", "code"), [*((stage, signal.SIGTERM, 143) for stage in STAGES), ("training", signal.SIGINT, 130)]
)
def test_a_run_that_is_stopped(
    train: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, stage: str, number: int, code: int, tmp_path: Path
) -> None:
    """SIGTERM exited 0, as if all were done, and Ctrl-C 1."""
    place, status = STAGES[stage]

    def stopped(*_: Any, **__: Any) -> None:
        os.kill(os.getpid(), number)

    monkeypatch.setattr(place, stopped)
    with pytest.raises(SystemExit) as exit_:
        train("weights=random", "trainer.max_epochs=1", "logger=none", "callbacks.pictures=null", "hydra.run.dir=run")
    assert exit_.value.code == code
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["status"] == status


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_grid_that_is_stopped(
    train: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, number: int, code: int, tmp_path: Path
) -> None:
    def stopped(*_: Any) -> None:
        os.kill(os.getpid(), number)

    monkeypatch.setattr("labs.callbacks.reseed.Reseed.on_train_epoch_start", stopped)
    with pytest.raises(SystemExit) as exit_:
        train("-m", "weights=random", "logger=none", "seed=0,1", "hydra.sweep.dir=grid", "trainer.max_epochs=2")
    assert exit_.value.code == code
    records = [json.loads(file.read_text())["status"] for file in (tmp_path / "grid").glob("*/metrics.json")]
    assert records == ["interrupted"]


def test_the_signal_stands_in_the_message() -> None:
    assert str(Stopped(signal.SIGTERM)) == "SIGTERM"

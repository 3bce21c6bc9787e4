"""How long a run will take is said where somebody can know it, and no log file is silent for minutes."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from lightning.pytorch.callbacks import EarlyStopping, Timer

from labs.callbacks import heartbeat
from labs.callbacks.heartbeat import Heartbeat
from labs.callbacks.progress import EpochLines
from labs.callbacks.work import TimeLeft, Work, work_of


def trainer(**changed: Any) -> Any:
    known = {"max_epochs": 1000, "max_steps": -1, "callbacks": [], "current_epoch": 0, "callback_metrics": {}}
    known |= {"num_training_batches": 2, "accumulate_grad_batches": 1, "num_test_batches": [3]}
    return SimpleNamespace(**{**known, **changed})


class Stopping(Timer):
    def time_remaining(self, stage: str = "train") -> float:
        return 1.0


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, "about 1000 min left"),
        ({"max_steps": 4}, "about 60 s left"),  # it ends before its last epoch
        ({"max_steps": 2, "accumulate_grad_batches": 2}, "about 60 s left"),
        ({"callbacks": [Stopping("00:00:00:01")]}, "about 1 s left"),
        ({"callbacks": [EarlyStopping("val/loss")]}, "at most 1000 min left"),
        ({"max_epochs": -1}, ""),
        ({"max_epochs": 1}, ""),
    ],
)
def test_the_time_left_is_that_of_what_is_planned(
    changed: dict[str, Any], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    left, run = TimeLeft(), trainer(**changed)
    left.begin(work_of(run, None, 0).done)
    monkeypatch.setattr(time, "monotonic", lambda: left.marks[0][0] + 60)
    assert re.sub(r"\d+ h \d+ min", "1000 min", left.words(run, work_of(run, None, 2))) == said


def test_steps_of_several_optimizers_are_not_taken_for_batches() -> None:
    method = SimpleNamespace(automatic_optimization=False)
    assert work_of(trainer(max_steps=20), method, 1) == Work(1, None, "step")
    assert work_of(trainer(), method, 1) == Work(1, 2000, "step")


def test_the_first_unit_is_not_counted_once_there_is_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    left = TimeLeft()
    left.begin(10)  # a resumed run
    assert left.seconds_each(10) is None
    now[0] = 30.0  # slow: whatever is compiled, read or chosen once
    left.note(11)
    assert left.seconds_each(11) == 30
    now[0] = 36.0
    assert left.seconds_each(13) == 3


def test_a_method_that_counts_its_evaluations_is_measured_by_them() -> None:
    assert work_of(trainer(), SimpleNamespace(evaluations=7, steps=300), 1) == Work(7, 300, "evaluation")
    assert work_of(trainer(num_training_batches=float("inf")), None, 5) == Work(5, None, "step")


def test_a_run_without_a_last_epoch_counts_none(capsys: pytest.CaptureFixture[str]) -> None:
    lines = EpochLines()
    lines.on_train_start(trainer(max_epochs=-1), None)  # type: ignore[arg-type]
    lines.on_train_epoch_end(trainer(max_epochs=-1), None)  # type: ignore[arg-type]
    assert capsys.readouterr().out.strip() == "epoch 1"


@pytest.mark.parametrize(
    ("stage", "said"),
    [
        ("training", "epoch 1/1000, step 1 of 2,000, after 0 s"),
        ("validation", "epoch 1/1000, validation, after 0 s"),
        ("test", "test, batch 2 of 3, after 0 s"),
        ("preparing", "preparing, after 0 s"),
    ],
)
def test_a_long_silence_is_broken_by_a_line(stage: str, said: str) -> None:
    lines = EpochLines()
    lines.left.begin(0)
    lines.stage, lines.batches = stage, 1
    words, *left = lines._words(trainer(), None).split("  ")  # type: ignore[arg-type]
    assert words == said
    assert all(re.fullmatch("about .* left", one) for one in left)


def test_a_heart_beats_only_in_silence(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "SILENCE", 0.2)
    heart = Heartbeat(lambda: "alive")
    heart.start()
    for _ in range(6):
        time.sleep(0.1)
        heart.print("an epoch")
    assert "alive" not in capsys.readouterr().out
    time.sleep(0.5)
    heart.stop()
    time.sleep(0.3)
    beats = capsys.readouterr().out.split()
    assert 1 <= len(beats) <= 3
    time.sleep(0.3)
    assert not capsys.readouterr().out, "it goes on after its end"


@pytest.mark.usefixtures("undrawn")
def test_a_long_step_in_a_log_file_is_not_silent(
    train: Callable[..., Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One epoch is one batch of many evaluations, as of a style transfer."""
    monkeypatch.setattr(heartbeat, "SILENCE", 0.05)
    train("experiment=descent_quartic", "logger=none", "steps=20000", "every=20000")
    assert re.search(r"^epoch 1/1, evaluation [\d,]+ of 20,000, after", capsys.readouterr().out, re.MULTILINE)


def on_a_terminal(run: Callable[[], object]) -> str:
    """Return what a function prints on a terminal, in a process of its own."""
    child, terminal = pty.fork()
    if not child:
        with contextlib.suppress(BaseException):
            run()
        os._exit(0)
    shown = b""
    with contextlib.suppress(OSError):  # how Linux says that the other end was closed
        while part := os.read(terminal, 65536):
            shown += part
    os.waitpid(child, 0)
    os.close(terminal)
    return shown.decode(errors="replace")


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (("epochs=3", "weights=random"), r"about \d+ s left"),
        (("trainer.max_steps=6", "weights=random"), r"about \d+ s left"),
        (("experiment=descent_quartic", "steps=40", "every=10"), r"about \d+ s left"),
        (
            ("experiment=nst_a", "data=embedded", "datamodule.image_size=32", "every=2", "steps=8"),
            r"evaluations .* \d+/8 0:00:\d\d",
        ),
    ],
)
def test_a_terminal_shows_the_time_left(
    words: tuple[str, ...], shown: str, train: Callable[..., Path], capfd: pytest.CaptureFixture[str]
) -> None:
    def run() -> None:
        import sys

        os.environ |= {"TERM": "xterm", "COLUMNS": "200"}
        sys.stdout = sys.__stdout__ = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
        train(*words, "logger=none")

    with capfd.disabled():
        text = on_a_terminal(run)
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
    assert re.search(shown, plain), plain[-3000:]

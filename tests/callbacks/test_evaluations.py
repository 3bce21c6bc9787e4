"""The bar of a style-transfer run, drawn into a text that stands for the terminal."""

from __future__ import annotations

import io
import re
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from rich.console import Console
from rich.progress import Progress
from torch.utils.data import DataLoader

from labs.callbacks.evaluations import EvaluationBar, evaluations
from labs.callbacks.progress import EpochLines

# diverges, again and again: the guard sends the picture back and says so
DIVERGING = (
    *("experiment=nst_a", "data=embedded", "datamodule.image_size=32", "datamodule.style=gravel", "logger=none"),
    *("optimizer.lr=50", "steps=40", "every=20"),
)


class Terminal(io.StringIO):
    """A text that claims to be a terminal."""

    def isatty(self) -> bool:
        return True


class Counting(pl.LightningModule):
    """Minimise x^2 by `every` evaluations an epoch, and note before each what the bar says."""

    def __init__(self, steps: int, every: int, *, fails_at: int | None = None) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.steps, self.every, self.fails_at, self.evaluations = steps, every, fails_at, 0
        self.x = torch.nn.Parameter(torch.tensor([3.0, -5.0]))
        self.seen: list[float] = []

    def training_step(self, batch: Any, batch_idx: int) -> None:
        optimizer: Any = self.optimizers()
        end = min(self.evaluations + self.every, self.steps)
        while self.evaluations < end:  # each step has two evaluations: L-BFGS calls its closure several times
            optimizer.step(self._evaluate)
        self.log("train/loss", self.loss.detach())

    def _evaluate(self) -> torch.Tensor:
        self.seen += [task.completed for task in self.bar.bar.tasks]
        if self.evaluations == self.fails_at:
            raise RuntimeError("it broke")
        self.x.grad = None
        self.loss = self.x.square().sum()
        self.manual_backward(self.loss)
        self.evaluations += 1
        if self.evaluations == 3:
            self.print("something [bold]happened[/bold] at 3")
        return self.loss

    @property
    def bar(self) -> EvaluationBar:
        (bar,) = [callback for callback in self.trainer.callbacks if isinstance(callback, EvaluationBar)]
        return bar

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.LBFGS([self.x], lr=0.01, max_iter=2, tolerance_grad=0, tolerance_change=0)


def watched() -> tuple[EvaluationBar, io.StringIO]:
    """Return a bar that draws into a text, in which nothing but new lines moves the cursor."""
    bar, text = EvaluationBar(), io.StringIO()
    console = Console(file=text, force_terminal=True, width=120, color_system=None)
    bar.bar = Progress(*bar.bar.columns, console=console, auto_refresh=False)
    return bar, text


def fit(module: Counting, bar: EvaluationBar, folder: Path, epochs: int, **options: Any) -> None:
    trainer = pl.Trainer(
        callbacks=[bar],
        max_epochs=epochs,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        default_root_dir=folder,
        **options,
    )
    trainer.fit(module, DataLoader([torch.zeros(1)], batch_size=None))  # type: ignore[arg-type]


def shown(text: io.StringIO) -> list[str]:
    """Return the lines as they were printed, without the codes that move the cursor."""
    return [line.strip() for line in re.sub(r"\x1b\[[\d?]*[A-Za-z]|\r", "\n", text.getvalue()).splitlines()]


def test_it_counts_every_evaluation_once(tmp_path: Path) -> None:
    bar, text = watched()
    module = Counting(steps=8, every=4)
    fit(module, bar, tmp_path, epochs=2)
    assert module.evaluations == 8
    assert module.seen == [0, 1, 2, 3, 4, 5, 6, 7], "after each evaluation, not after each step"
    (task,) = bar.bar.tasks
    assert (task.completed, task.total) == (8, 8)
    assert bar.bar.finished
    last = [line for line in shown(text) if line.startswith("evaluations")][-1]
    assert " 8/8 " in last
    assert last.endswith(f"loss {module.loss.item():.4g}"), "the loss of the last epoch, by its short name"


def test_messages_stand_above_it_as_they_are(tmp_path: Path) -> None:
    bar, text = watched()
    fit(Counting(steps=8, every=4), bar, tmp_path, epochs=2)
    lines = shown(text)
    place = lines.index("something [bold]happened[/bold] at 3")
    assert any(line.startswith("evaluations") for line in lines[place + 1 :]), "the bar is drawn again below"


def test_it_starts_where_a_resumed_run_goes_on(tmp_path: Path) -> None:
    bar, _ = watched()
    module = Counting(steps=8, every=2)
    module.evaluations = 4
    fit(module, bar, tmp_path, epochs=2)
    assert module.seen == [4, 5, 6, 7]
    assert bar.bar.tasks[0].completed == 8


def test_it_stops_where_the_run_breaks(tmp_path: Path) -> None:
    bar, _ = watched()
    with pytest.raises(RuntimeError, match="it broke"):
        fit(Counting(steps=8, every=4, fails_at=5), bar, tmp_path, epochs=2)
    assert not bar.bar.live.is_started, "it would go on to draw, and keep the cursor hidden"
    assert (bar.bar.tasks[0].completed, bar.bar.tasks[0].total) == (5, 8)


def test_a_bar_that_is_switched_off_draws_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bar, text = watched()
    bar.disable()
    module = Counting(steps=4, every=2)
    fit(module, bar, tmp_path, epochs=2)
    assert (module.evaluations, module.seen) == (4, [])
    assert text.getvalue() == ""
    assert "happened" in capsys.readouterr().out, "messages are printed all the same"


def test_a_terminal_gets_a_bar_and_a_pipe_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", Terminal())
    assert isinstance(evaluations(enabled=True), EvaluationBar)
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    assert isinstance(evaluations(enabled=True), EpochLines)


def test_a_real_run_in_a_terminal(train: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    console = Console(width=160, color_system=None)  # not the one that an earlier test made for its own terminal
    monkeypatch.setattr("rich._console", console)
    monkeypatch.setattr(sys, "stdout", terminal)
    train(*DIVERGING)
    lines = shown(terminal)
    bars = [line for line in lines if line.startswith("evaluations")]
    assert " 40/40 " in bars[-1]
    assert re.search(r"loss \S+ +content \S+ +style \S+$", bars[-1])
    said = [line for line in lines if re.fullmatch(r"Evaluation \d+: the loss of astronaut_gravel exploded. .*", line)]
    assert said
    assert not [line for line in lines if line.startswith("epoch ")]


def test_a_real_run_in_a_pipe(train: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    train(*DIVERGING)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines if line.startswith("epoch ")] == ["1/2", "2/2"]
    said = [line for line in lines if re.fullmatch(r"Evaluation \d+: the loss of astronaut_gravel exploded. .*", line)]
    assert said


def test_ctrl_c_leaves_the_terminal_usable(tmp_path: Path) -> None:
    bar, text = watched()
    module = Counting(steps=8, every=4)

    def stop(*_: object) -> None:
        if module.evaluations == 6:
            raise KeyboardInterrupt

    module.on_before_optimizer_step = stop  # type: ignore[method-assign]
    try:
        with pytest.raises(SystemExit):
            fit(module, bar, tmp_path, epochs=2)
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)  # Lightning stops listening at the first one
    assert not bar.bar.live.is_started
    assert text.getvalue().rindex("\x1b[?25h") > text.getvalue().rindex("\x1b[?25l"), "the cursor is shown again"

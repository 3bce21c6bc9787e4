"""Progress of a run that generates pictures: one bar over all evaluations in a terminal, else one line per epoch."""

import sys
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import ProgressBar
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn, TimeRemainingColumn

from labs.callbacks.progress import EpochLines


def evaluations(*, enabled: bool = True) -> ProgressBar | None:
    """Return a live bar if standard output is a terminal, else one that prints a line after each epoch."""
    if not enabled:
        return None
    return EvaluationBar() if sys.stdout.isatty() else EpochLines()


class EvaluationBar(ProgressBar):
    """Draw one bar over the evaluations of a run, with its current losses."""

    def __init__(self) -> None:
        super().__init__()
        columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
        self.bar = Progress("evaluations", *columns, "{task.fields[losses]}")
        self.is_enabled = True  # the name that LightningModule.print asks for

    def disable(self) -> None:
        """Draw nothing from now on."""
        self.is_enabled = False

    def print(self, *args: Any, **kwargs: Any) -> None:
        """Print above the bar."""
        self.bar.console.print(*args, highlight=False, markup=False)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the bar, for a resumed run at the evaluations already taken."""
        if self.is_enabled:
            done, steps = (getattr(pl_module, name) for name in ("evaluations", "steps"))
            self.task = self.bar.add_task("", total=steps, completed=done, losses="")
            self.bar.start()

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        """Count an evaluation; Lightning calls this hook after every closure."""
        if self.is_enabled:
            self.bar.update(self.task, completed=getattr(pl_module, "evaluations"))  # noqa: B009

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Show the losses."""
        if self.is_enabled:
            metrics = {n: v for n, v in trainer.callback_metrics.items() if n.startswith("train/")}
            losses = (f"{name.removeprefix('train/')} {float(value):.4g}" for name, value in metrics.items())
            self.bar.update(self.task, losses="  ".join(losses))

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop updating the bar."""
        self.bar.stop()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Stop updating the bar where it is."""
        self.bar.stop()

"""Progress of a run and the time left: a live bar in a terminal, one line per epoch in a log file."""

import sys
import time
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import ProgressBar, RichProgressBar, Timer
from lightning.pytorch.callbacks.progress.rich_progress import RichProgressBarTheme

from labs.callbacks.measured import measured
from labs.runs.durations import duration


def progress(*, enabled: bool = True) -> ProgressBar | None:
    """Return a live progress bar if standard output is a terminal, else one that prints a line after each epoch."""
    if not enabled:
        return None
    if sys.stdout.isatty():
        return EpochBar(theme=RichProgressBarTheme(metrics_format=".3f"))
    return EpochLines()


class TimeLeft:
    """Estimate the time left from the epochs that this process has trained."""

    def begin(self, trainer: pl.Trainer) -> None:
        """Record the start time and the first epoch."""
        self.started, self.first = time.monotonic(), trainer.current_epoch

    def words(self, trainer: pl.Trainer, done: int) -> str:
        """Return the time left after this many epochs in total, or an empty text if it cannot be estimated."""
        trained, left = done - self.first, (trainer.max_epochs or 0) - done
        timed = any(isinstance(callback, Timer) for callback in trainer.callbacks)  # type: ignore[attr-defined]
        if trained < 1 or left < 1 or timed or trainer.max_steps > -1:  # it may end before its last epoch
            return ""
        seconds = (time.monotonic() - self.started) / trained * left
        return f"about {duration(max(seconds, 1))} left"


class EpochBar(RichProgressBar):
    """Draw Lightning's bar of an epoch, with the time left for all epochs beside it."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the estimate."""
        self.left = TimeLeft()
        self.left.begin(trainer)
        super().on_train_start(trainer, pl_module)

    def get_metrics(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> dict[str, Any]:
        """Return the metrics and the time left, to be shown beside the bar."""
        numbers = super().get_metrics(trainer, pl_module)
        words = self.left.words(trainer, trainer.current_epoch) if trainer.training else ""
        return {**numbers, **({"time": words} if words else {})}


class EpochLines(ProgressBar):
    """Print one line per epoch, for log files and pipes."""

    is_enabled = False  # there is no bar above which modules would have to print

    def __init__(self) -> None:
        super().__init__()
        self._enabled = True

    def disable(self) -> None:
        """Print nothing from now on (other ranks than the first)."""
        self._enabled = False

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin to estimate."""
        self.left = TimeLeft()
        self.left.begin(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Print the epoch's numbers."""
        if self._enabled:
            numbers = sorted(measured(trainer, "train/", "val/").items())
            listed = [f"{name} {value:.3f}" for name, value in numbers]
            left = self.left.words(trainer, trainer.current_epoch + 1)
            planned = f"/{trainer.max_epochs}" if trainer.max_epochs != -1 else ""
            parts = [f"epoch {trainer.current_epoch + 1}{planned}", *listed, *([left] if left else [])]
            print("  ".join(parts), flush=True)

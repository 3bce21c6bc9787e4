"""Show how a run goes: a live bar in a terminal, a line an epoch in a log file."""

import sys

import lightning.pytorch as pl
from lightning.pytorch.callbacks import ProgressBar, RichProgressBar
from lightning.pytorch.callbacks.progress.rich_progress import RichProgressBarTheme

from labs.callbacks.measured import measured


def progress(*, enabled: bool) -> ProgressBar | None:
    """Return a live progress bar if standard output is a terminal, else one that prints a line after each epoch."""
    if not enabled:
        return None
    if sys.stdout.isatty():
        return RichProgressBar(theme=RichProgressBarTheme(metrics_format=".3f"))
    return EpochLines()


class EpochLines(ProgressBar):
    """Print one line an epoch: what a batch system's log or a pipe can show."""

    is_enabled = False  # there is no bar: what a module prints needs no place above it

    def __init__(self) -> None:
        super().__init__()
        self._enabled = True

    def disable(self) -> None:
        """Print nothing from now on (other ranks than the first)."""
        self._enabled = False

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Print the epoch's numbers."""
        if self._enabled:
            numbers = sorted(measured(trainer, "train/", "val/").items())
            listed = "  ".join(f"{name} {value:.3f}" for name, value in numbers)
            print(f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}  {listed}", flush=True)

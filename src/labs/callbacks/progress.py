"""Progress of a run and the time left: a live bar in a terminal; in a log file one line per epoch and per minute."""

import math
import sys
import time
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import ProgressBar, RichProgressBar
from lightning.pytorch.callbacks.progress.rich_progress import RichProgressBarTheme

from labs.callbacks.heartbeat import Heartbeat
from labs.callbacks.measured import measured
from labs.callbacks.work import TimeLeft, work_of
from labs.quantities import duration


def progress(*, enabled: bool = True) -> ProgressBar | None:
    """Return a live progress bar if standard output is a terminal, else one that prints lines."""
    if not enabled:
        return None
    if sys.stdout.isatty():
        return EpochBar(theme=RichProgressBarTheme(metrics_format=".3f"))
    return EpochLines()


class EpochBar(RichProgressBar):
    """Draw Lightning's bar of an epoch, with the time left for the whole training beside it."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the estimate."""
        self.left, self.batches = TimeLeft(), 0
        self.left.begin(work_of(trainer, pl_module, 0).done)
        super().on_train_start(trainer, pl_module)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count a batch."""
        self.batches = batch_idx + 1
        self.left.note(work_of(trainer, pl_module, self.batches).done)
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)

    def get_metrics(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> dict[str, Any]:
        """Return the metrics and the time left, to be shown beside the bar."""
        numbers = super().get_metrics(trainer, pl_module)
        words = self.left.words(trainer, work_of(trainer, pl_module, self.batches)) if trainer.training else ""
        return {**numbers, **({"time": words} if words else {})}


class EpochLines(ProgressBar):
    """Print one line per epoch, and one per minute in which nothing else was printed, for log files and pipes."""

    is_enabled = False  # there is no bar above which modules would have to print

    def __init__(self) -> None:
        super().__init__()
        self._enabled = True
        self.batches, self.stage, self.started = 0, "", time.monotonic()
        self.left = TimeLeft()
        self.beat = Heartbeat(lambda: "")

    def disable(self) -> None:
        """Print nothing from now on (other ranks than the first)."""
        self._enabled = False

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Watch the run from its first moment."""
        super().setup(trainer, pl_module, stage)
        self.stage, self.started, self.batches = "preparing", time.monotonic(), 0
        self.beat = Heartbeat(lambda: self._words(trainer, pl_module))
        if self._enabled:
            self.beat.start()

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Watch no more."""
        self.beat.stop()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Watch no more."""
        self.beat.stop()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin to estimate."""
        self.left.begin(work_of(trainer, pl_module, 0).done)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Count the batches of an epoch."""
        self.stage, self.batches = "training", 0

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *places: Any) -> None:
        """Count a batch."""
        self.stage, self.batches = "training", places[2] + 1
        self.left.note(work_of(trainer, pl_module, self.batches).done)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Say that it validates."""
        self.stage = "validation"

    def on_test_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Count the batches of the test."""
        self.stage, self.batches = "test", 0

    def on_test_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *places: Any) -> None:
        """Count a batch."""
        self.batches += 1

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Print the epoch's numbers."""
        if self._enabled:
            numbers = sorted(measured(trainer, "train/", "val/").items())
            listed = [f"{name} {value:.3f}" for name, value in numbers]
            left = self.left.words(trainer, work_of(trainer, pl_module, self.batches))
            self.beat.print("  ".join([_epoch(trainer), *listed, *([left] if left else [])]))

    def _words(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> str:
        """Return what the run is doing, and for how long."""
        since = f"after {duration(time.monotonic() - self.started)}"
        if self.stage == "test":
            batches = sum(trainer.num_test_batches)
            of = f", batch {min(self.batches + 1, int(batches))} of {batches}" if 1 < batches < math.inf else ""
            return f"test{of}, {since}"
        if self.stage == "training":
            work = work_of(trainer, pl_module, self.batches)
            of = f" of {work.planned:,}" if work.planned is not None else ""
            left = self.left.words(trainer, work)
            return "  ".join([f"{_epoch(trainer)}, {work.unit} {work.done:,}{of}, {since}", *([left] if left else [])])
        return f"{_epoch(trainer)}, validation, {since}" if self.stage == "validation" else f"{self.stage}, {since}"


def _epoch(trainer: pl.Trainer) -> str:
    planned = f"/{trainer.max_epochs}" if trainer.max_epochs != -1 else ""
    return f"epoch {trainer.current_epoch + 1}{planned}"

"""Progress of a test that solves problems: one bar in a terminal, else one line per batch and per minute."""

import sys
import time
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import ProgressBar
from rich.console import Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn, TimeRemainingColumn

from labs.callbacks.heartbeat import Heartbeat
from labs.datamodules.protocols import ChangesImages, ShowsImages, handed_over, needed
from labs.quantities import duration


def solved(*, enabled: bool = True) -> ProgressBar | None:
    """Return a live bar if standard output is a terminal, else one that prints lines."""
    return SolvedBar(live=sys.stdout.isatty()) if enabled else None


class SolvedBar(ProgressBar):
    """Draw one bar over the problems of a test.

    Args:
        live: Whether to draw a bar; otherwise a line is printed after each batch, and in every minute without one.
    """

    def __init__(self, *, live: bool) -> None:
        super().__init__()
        self.live, self.is_enabled = live, True  # the name that LightningModule.print asks for
        self.beat = Heartbeat(self._words)

    def disable(self) -> None:
        """Show nothing from now on (other ranks than the first)."""
        self.is_enabled = False

    def on_test_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the bar."""
        self.method, self.started = needed(pl_module, ChangesImages, by=self), time.monotonic()
        images = len(handed_over(trainer, ShowsImages, to=self).names)
        self.problems = images * len(self.method.targets)
        columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
        self.bar = Progress("problems", *columns, auto_refresh=False)
        self.task = self.bar.add_task("", total=self.problems)
        self.screen = Live(get_renderable=self._draw, refresh_per_second=4)
        if self.live and self.is_enabled:
            self.screen.start()
        elif self.is_enabled:
            self.beat.start()

    def on_test_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        """Print the progress."""
        if not self.live and self.is_enabled:
            self.beat.print(self._words())

    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop updating the bar."""
        self.beat.stop()
        self.screen.stop()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Stop updating the bar, if it was started."""
        self.beat.stop()
        if hasattr(self, "screen"):
            self.screen.stop()

    def _words(self) -> str:
        seconds, solved = time.monotonic() - self.started, self.method.solved
        rest = self.problems - solved
        left = f", about {duration(max(seconds / solved * rest, 1))} left" if solved and rest else ""
        return f"{solved} of {self.problems} problems solved in {duration(seconds)}{left}"

    def _draw(self) -> Group:
        self.bar.update(self.task, completed=self.method.solved)
        return Group(self.bar)

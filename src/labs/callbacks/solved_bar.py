"""Progress of a test that solves problems: one bar in a terminal, else one line per batch."""

import sys
import time
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import ProgressBar
from rich.console import Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn, TimeRemainingColumn

from labs.datamodules.protocols import ChangesImages, ShowsImages, handed_over, needed


def solved(*, enabled: bool = True) -> ProgressBar | None:
    """Return a live bar if standard output is a terminal, else one that prints a line after each batch."""
    return SolvedBar(live=sys.stdout.isatty()) if enabled else None


class SolvedBar(ProgressBar):
    """Draw one bar over the problems of a test.

    Args:
        live: Whether to draw a bar; otherwise a line is printed after each batch.
    """

    def __init__(self, *, live: bool) -> None:
        super().__init__()
        self.live, self.is_enabled = live, True  # the name that LightningModule.print asks for

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

    def on_test_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        """Print the progress."""
        if not self.live and self.is_enabled:
            seconds = time.monotonic() - self.started
            print(f"{self.method.solved} of {self.problems} problems solved in {seconds:.0f} s", flush=True)

    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop updating the bar."""
        self.screen.stop()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Stop updating the bar, if it was started."""
        if hasattr(self, "screen"):
            self.screen.stop()

    def _draw(self) -> Group:
        self.bar.update(self.task, completed=self.method.solved)
        return Group(self.bar)

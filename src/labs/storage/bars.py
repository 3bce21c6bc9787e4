"""Progress bars for bytes and for images; in a log file a line per minute."""

import sys
import time
from typing import Any

from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TaskID, TimeRemainingColumn
from rich.progress import TransferSpeedColumn as SpeedColumn

SILENCE = 60.0  # seconds between two lines


class Bar(Progress):
    """Draw a bar on a terminal; elsewhere print a line per minute, so that a log file shows that work goes on.

    Args:
        columns: Columns of the bar.
        of_bytes: Whether bytes are counted.
        quiet: Whether nothing is printed that is not a bar.
        options: As of `rich.progress.Progress`.
    """

    def __init__(self, *columns: Any, of_bytes: bool = False, quiet: bool = False, **options: Any) -> None:
        super().__init__(*columns, **options)
        self.lines, self.of_bytes, self.spoke = not quiet and not self.console.is_terminal, of_bytes, time.monotonic()

    def advance(self, task_id: TaskID, advance: float = 1) -> None:
        """Count."""
        super().advance(task_id, advance)
        self._line(task_id)

    def update(self, task_id: TaskID, **options: Any) -> None:
        """Set what was counted."""
        super().update(task_id, **options)
        self._line(task_id)

    def _line(self, task_id: TaskID) -> None:
        if self.lines and time.monotonic() - self.spoke >= SILENCE:
            self.spoke = time.monotonic()
            task = self._tasks[task_id]
            of = f" of {self._count(task.total)}" if task.total else ""
            print(f"{task.description}: {self._count(task.completed)}{of}", file=sys.stderr, flush=True)

    def _count(self, number: float) -> str:
        return decimal(int(number)) if self.of_bytes else f"{int(number):,}"


def byte_bar(enabled: bool = True) -> Progress:
    """Return a progress bar on stderr that counts bytes; it says nothing unless enabled."""
    columns = (BarColumn(), DownloadColumn(), SpeedColumn(), TimeRemainingColumn())
    console = Console(stderr=True, emoji=False)
    return Bar("{task.description}", *columns, console=console, of_bytes=True, quiet=not enabled, disable=not enabled)


def image_bar(enabled: bool = True) -> Progress:
    """Return a progress bar on stderr that counts images and disappears when done; it says nothing unless enabled."""
    console = Console(stderr=True, emoji=False)
    columns = ("{task.description}", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    off = not (enabled and console.is_terminal)
    return Bar(*columns, console=console, transient=True, quiet=not enabled, disable=off)

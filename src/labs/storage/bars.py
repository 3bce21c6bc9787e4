"""Progress bars for bytes and for images."""

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TimeRemainingColumn
from rich.progress import TransferSpeedColumn as SpeedColumn


def byte_bar(enabled: bool = True) -> Progress:
    """Return a progress bar on stderr that counts bytes; it draws nothing unless enabled."""
    columns = (BarColumn(), DownloadColumn(), SpeedColumn(), TimeRemainingColumn())
    return Progress("{task.description}", *columns, console=Console(stderr=True, emoji=False), disable=not enabled)


def image_bar(enabled: bool = True) -> Progress:
    """Return a progress bar on stderr that counts images, disappears when done, and draws nothing in a log file."""
    console = Console(stderr=True, emoji=False)
    columns = ("{task.description}", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, transient=True, disable=not (enabled and console.is_terminal))

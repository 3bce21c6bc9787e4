"""The end of a search: what it found, and what that is worth."""

from pathlib import Path

from rich.console import Console
from rich.text import Text

from labs.reporting.search import conclusions, read_search


def say_best(folder: Path) -> None:
    """Print the best trial's value, and what its settings and those before the search reach on fresh seeds."""
    found = read_search(folder)
    for line in conclusions(found) if found else []:
        Console(emoji=False).print(Text(line), highlight=False, soft_wrap=True)

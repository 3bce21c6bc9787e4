"""Show how a grid is going: one live line per cell in a terminal, one line per change anywhere else."""

import sys
import time
from collections import Counter
from collections.abc import Sequence
from textwrap import shorten
from types import TracebackType
from typing import Any, Self

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from labs.cli.grid.cells import Cell, State
from labs.practicals import sheet_of
from labs.quantities import duration, quantity

STYLES: dict[State, str] = {
    "waiting": "dim",
    "queued": "dim cyan",
    "submitted": "dim cyan",
    "running": "bold cyan",
    "done": "green",
    "skipped": "dim green",
    "failed": "bold red",
    "interrupted": "yellow",
    "elsewhere": "cyan",
}
FIRST_SHOWN: tuple[State, ...] = (
    "failed", "interrupted", "running", "elsewhere", "submitted", "queued", "waiting", "done", "skipped",
)  # fmt: skip


class Board:
    """Show the cells of a grid while they run.

    Args:
        title: the name of the grid.
        cells: all of them; the board reads their states.
        at_once: how many run side by side.
        planned: how many cells there will be, if not all of them are known yet.
    """

    def __init__(self, title: str, cells: Sequence[Cell], at_once: int, planned: int = 0) -> None:
        self.title, self.cells, self.at_once, self.planned = title, cells, at_once, planned
        self.console = Console(file=sys.stdout, emoji=False)  # this stream, also while cells print elsewhere
        self.live = Live(
            console=self.console,
            get_renderable=self.render,
            refresh_per_second=2,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def __enter__(self) -> Self:
        """Begin to show the cells; outside a terminal, print how many will be skipped."""
        if self.console.is_terminal:
            self.live.start()
        else:
            self._print(f"{self.title}: {self._counts()}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the last state on the terminal."""
        if self.console.is_terminal:
            self.live.stop()

    def announce(self, cell: Cell) -> None:
        """Print that a cell's state changed; a terminal shows it anyway."""
        if self.console.is_terminal:
            return
        total = max(len(self.cells), self.planned)
        number = f"[{self.cells.index(cell) + 1:>{len(str(total))}}/{total}]"
        left = self._time_left() if cell.state == "done" else None
        parts = [number, cell.state, cell.name, *_progress(cell), *([f"about {duration(left)} left"] if left else [])]
        self._print("  ".join(parts))

    def render(self) -> Group:
        """Return the lines of this moment, as many as the terminal has room for."""
        room = max(self.console.height - 6, 3)
        by_interest = sorted(range(len(self.cells)), key=lambda i: FIRST_SHOWN.index(self.cells[i].state))
        lines = [self._line(self.cells[i]) for i in sorted(by_interest[:room])]
        left = self._time_left()
        heading = f"{self.title}: {self._counts()}" + (f"; about {duration(left)} left" if left else "")
        hidden = listed([self.cells[i] for i in by_interest[room:]])
        return Group(Text(heading, "bold"), *lines, *([Text(f"and {hidden}", "dim")] if hidden else []))

    def _line(self, cell: Cell) -> Text:
        """Return one line that fits the terminal: the name is shortened first, then the numbers."""
        state = cell.state.ljust(max(map(len, STYLES)) + 2)
        progress = Text("  " + "  ".join(_progress(cell)))
        progress.truncate(self.console.width // 2, overflow="ellipsis")
        name = Text(cell.name)
        name.truncate(self.console.width - len(state) - len(progress) - 1, overflow="ellipsis", pad=True)
        return Text.assemble((state, STYLES[cell.state]), name, progress, no_wrap=True)

    def _counts(self) -> str:
        return ", ".join(filter(None, [quantity(max(len(self.cells), self.planned), "cell"), listed(self.cells)]))

    def _time_left(self) -> float | None:
        return time_left(self.cells, self.at_once, max(self.planned - len(self.cells), 0))

    def _print(self, line: str) -> None:
        self.console.print(line, highlight=False, markup=False, soft_wrap=True)


def time_left(cells: Sequence[Cell], at_once: int, unknown: int = 0) -> float | None:
    """Estimate the seconds until the last cell ends; None until there is something to estimate from.

    A running cell is estimated from the epochs that it has finished. A waiting cell, or one of the `unknown` cells, is
    expected to take the mean time of the finished cells or, while there are none, of the running ones.
    """
    now = time.monotonic()
    done = [cell.ended - cell.started for cell in cells if cell.state == "done" and cell.ended and cell.started]
    running, expected = [], []
    for cell in cells:
        if cell.state != "running" or cell.started is None:
            continue
        whole = _expected_seconds(cell.facts())
        if whole is not None:
            expected.append(whole[0])
            running.append(whole[1])
        elif done:
            running.append(max(sum(done) / len(done) - (now - cell.started), 0.0))
    lengths = done or expected
    waiting = unknown + sum(cell.state == "waiting" for cell in cells)
    if not lengths or not (waiting or running):
        return None
    return max([*running, (sum(running) + waiting * sum(lengths) / len(lengths)) / at_once])


def listed(cells: Sequence[Cell]) -> str:
    """Count cells by state: `2 waiting, 1 running in another process`."""
    counts = Counter(cell.state for cell in cells)
    words: dict[State, str] = {"elsewhere": "running in another process"}
    return ", ".join(f"{counts[state]} {words.get(state, state)}" for state in STYLES if counts[state])


def _expected_seconds(facts: dict[str, Any]) -> tuple[float, float] | None:
    """Return the total and the remaining seconds of a running cell, estimated from its finished epochs."""
    epochs, planned, seconds = (facts.get(name) for name in ("epochs", "max_epochs", "seconds"))
    if facts.get("status") != "running" or not epochs or not planned or planned < 0 or not seconds:
        return None
    whole = seconds * planned / epochs
    return whole, max(whole - seconds, 0.0)


def _progress(cell: Cell) -> list[str]:
    facts, parts = cell.facts() if cell.state != "waiting" else {}, [shorten(cell.error, 80, placeholder=" ...")]
    if cell.state == "running" and facts.get("status") == "running" and facts.get("epochs"):
        planned = facts.get("max_epochs") or -1
        parts += [f"epoch {facts['epochs']}{f'/{planned}' if planned > 0 else ''}", *_metric(facts)]
    if cell.state in ("done", "skipped"):
        parts += _metric(facts)
    if cell.started is not None:
        parts.append(duration((cell.ended or time.monotonic()) - cell.started))
    return [part for part in parts if part]


def _metric(facts: dict[str, Any]) -> list[str]:
    """Return the most important metric: the leading one, or one that the practical shows while it trains."""
    metrics, sheet = facts.get("metrics", {}), sheet_of(facts.get("practical", ""))
    for name in (sheet.leads, *sheet.watched, *sorted(metrics, key=lambda name: not name.startswith("test/"))):
        if name in metrics:
            return [f"{name} {metrics[name]:.3f}"]
    return []

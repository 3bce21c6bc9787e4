"""What a layout is made of: columns, plots and pictures."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from labs.reporting.comparison import draw_rows
from labs.reporting.published import PublishedTable
from labs.reporting.recorded_run import Run
from labs.reporting.row import Row

LOWER_IS_BETTER = ("loss", "error", "fid", "kid", "lpips", "erm", "seconds", "distance")


@dataclass(frozen=True)
class Column:
    """Describe one number of a row: where it comes from in a run, and how it is written."""

    key: str
    title: str
    value: Callable[[Run], float | None]
    unit: Literal["percent", "number", "epoch"] = "number"
    group: str = ""
    interval: bool = False

    @property
    def higher_is_better(self) -> bool:
        """Say which end of the column is the good one."""
        return not any(word in self.key.rsplit("/", 1)[-1].lower() for word in LOWER_IS_BETTER)


@dataclass(frozen=True)
class Plot:
    """Describe one figure of a table. `draw` takes the rows and a title; it returns a PNG, or None without data.

    `name` is that of its file.
    """

    name: str
    title: str
    caption: str
    draw: Callable[[Sequence[Row], str], bytes | None]


CURVES = Plot(
    name="curves",
    title="Curves",
    caption="Mean over seeds, as far as every seed was trained; the band reaches from the lowest seed to the highest.",
    draw=draw_rows,
)


@dataclass(frozen=True)
class Layout:
    """Describe what a report shows of one practical and method.

    `published` and `settings` are the hand-out's numbers and hyper-parameters, where it has them; `pictures` are names
    or patterns of files in a run directory, such as `images/sample_*.png`; `observations` says in footnotes which of
    the hand-out's findings the rows confirm; `ranked` is the column that decides which row is best.
    """

    title: str
    columns: tuple[Column, ...]
    caption: str = ""
    published: PublishedTable | None = None
    settings: PublishedTable | None = None
    plots: tuple[Plot, ...] = (CURVES,)
    pictures: tuple[str, ...] = ("result.png",)
    observations: Callable[[Sequence[Row]], list[str]] | None = None
    ranked: str = "test/acc"


def metric(name: str) -> Callable[[Run], float | None]:
    """Return a reader of one final metric."""
    return lambda run: run.metrics.get(name)

"""One sheet for each practical: everything that the command line, the runs and the report must know of it.

A practical is a module of this folder, or a package where it needs more files, and defines `SHEET`. Nothing heavy is
imported here: figures and observations import what they need when they are called.
"""

import csv
import pkgutil
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    from labs.reporting.recorded_run import Run
    from labs.reporting.row import Row


HANDOUTS = {
    "000": "Hand-out 000 is practical work 2 of GLO-7030, Deep Learning, Université Laval, winter 2021.",
    "001": (
        "Hand-out 001 is Practical 2, due April 29, 2020, of a deep learning course that it does not name; "
        "its starter code is that of COMP541, Koç University."
    ),
    "002": "Hand-out 002 is a report for Deep Learning Applications, M2A, Sorbonne University; it states no year.",
    "003": (
        "Hand-out 003 is assignment 3 of CS-587, Neural Networks and Representation Learning, University of Crete, "
        "spring 2023."
    ),
    "004": (
        "Hand-out 004 is lab assignment 1 of Big Data and Artificial Intelligence, March 2023; "
        "it does not name its university."
    ),
}


class Question(NamedTuple):
    """Hold one question of a hand-out: its number there, such as `001, 1.4`, and what it asks, in our own words."""

    number: str
    text: str


@dataclass(frozen=True)
class Column:
    """Describe one number of a row in the report.

    Attributes:
        key: its name, that of a metric unless `read` says otherwise.
        title: as it stands above the column.
        better: which end is the good one; rows can be ranked by it unless neither is.
        unit: how it is written; a `count` is a whole number.
        group: the heading that it shares with its neighbors.
        interval: whether its interval is shown.
        images: which of a run's counts of images an accuracy was measured on, for the interval of a run; empty: of
            several, and a run has no interval.
        trials: the metric that says of how many trials it is the share, for the interval of a run, where these are not
            the images of a split; such a number is in [0, 1].
        read: how a run gives the number; None: it is the final metric of the name `key`.
        note: what the caption says of a column that stands only where a run has such a number, or one of its group.
    """

    key: str
    title: str
    better: Literal["higher", "lower", "neither"]
    unit: Literal["percent", "number", "count"] = "number"
    group: str = ""
    interval: bool = False
    images: str = "test"
    trials: str = ""
    read: "Callable[[Run], float | None] | None" = None
    note: str = ""

    def value(self, run: "Run") -> float | None:
        """Return the number of one run, None if it has none."""
        return self.read(run) if self.read else run.metrics.get(self.key)


@dataclass(frozen=True)
class Plot:
    """Describe one figure of a table. `draw` takes what it draws, the rows, and a title; it returns a PNG, or None.

    `name` is that of its file.
    """

    name: str
    title: str
    caption: str
    draw: Callable[[Any, str], bytes | None]


@dataclass(frozen=True)
class Panel:
    """Describe one panel of curves: what is logged as `train/<name>` or `val/<name>`, a share of one in percent."""

    name: str
    title: str
    percent: bool = False


def later(place: str) -> Callable[..., Any]:
    """Return a function by its full name; its module is imported when it is called."""
    module, _, name = place.rpartition(".")
    return lambda *arguments: getattr(import_module(module), name)(*arguments)


def final_metrics(facts: Mapping[str, Any], run_dir: Path) -> list[list[str]]:
    """Return accuracy and loss of every split, or every metric of a run without them."""
    metrics = facts["metrics"]
    if "test/acc" not in metrics:
        return [["measured", "value"], *([name, f"{value:.4g}"] for name, value in metrics.items())]
    lines = [["split", "images", "accuracy", "loss"]]
    for split, count in facts.get("counts", {}).items():
        accuracy, loss = metrics.get(f"{split}/acc"), metrics.get(f"{split}/loss")
        if accuracy is not None:
            lines.append([split, str(count), f"{100 * accuracy:.2f} %", "" if loss is None else f"{loss:.4f}"])
    return lines


def rows_of(file: str, write: Callable[[list[dict[str, str]]], list[list[str]]]) -> Callable[..., list[list[str]]]:
    """Return what writes the table at the end of a run from a file that its callback left, such as `maps.tsv`.

    Args:
        file: by its name in the run directory, tab-separated, with a head; without it the final metrics are written.
        write: writes the table from the rows, its heading first.
    """

    def results(facts: Mapping[str, Any], run_dir: Path) -> list[list[str]]:
        if not (run_dir / file).is_file():  # callbacks.pictures=null
            return final_metrics(facts, run_dir)
        with (run_dir / file).open(newline="", encoding="utf-8") as lines:
            return write(list(csv.DictReader(lines, delimiter="\t")))

    return results


def setting(name: str) -> "Callable[[Run], float | None]":
    """Return what reads a recorded setting of a run, by its full name."""
    return lambda run: run.settings.get(name)


SECONDS = Column("seconds", "seconds", "lower", read=lambda run: run.seconds)
CURVES = Plot(
    name="curves",
    title="Curves",
    caption="Mean over seeds, as far as every seed was trained; the band reaches from the lowest seed to the highest.",
    draw=later("labs.reporting.comparison.draw_rows"),
)
CLASSIFIED = ("images/predictions.png", "images/mistakes.png", "images/confusion_matrix.png")
PANELS = (Panel("acc", "accuracy (%)", percent=True), Panel("loss", "loss"))
SETTINGS = (
    "module.optimizer.lr",
    "module.optimizer.momentum",
    "module.optimizer.weight_decay",
    "datamodule.batch_size",
    "trainer.max_epochs",
)


@dataclass(frozen=True)
class Sheet:
    """Say what the command line, the runs and the report must know of one practical.

    Attributes:
        title: of its table.
        handout: which hand-out it is of, and which part.
        docs: its page.
        about: one sentence on what that part of the hand-out asks for.
        questions: those of the hand-out that a report answers, in order.
        leads: the metric shown in a grid's line; rows are ranked by it if `ranks`.
        watched: metrics shown there while it trains; the first that a run has.
        columns: of its table; none: every final metric that a run recorded.
        caption: what the columns are.
        published: the package that holds the hand-out's table, `published.yaml`; empty: there is none.
        settings: full names of the settings that are recorded whether they were typed or not.
        files: what a run leaves beyond the common files, as patterns in the run directory.
        pictures: patterns of the pictures in the report, for tables without a ranking; the first is shown first.
        best_pictures: patterns of the pictures of the best row, which replace `pictures` in ranked tables.
        plots: the figures of its table.
        panels: the curves that come first, with their titles; others follow by name.
        observations: writes which of the hand-out's findings the rows confirm.
        results: writes the table at the end of a run, its heading first, from `metrics.json` and the run
            directory.
        draw: draws the picture that is shown first, from the run directory and the metrics; None: callbacks do.
        predicts: the metric that `predictions.csv` is about; empty: a run predicts no classes.
        answers: the checkpoint that classifies an image, `best` or `last`; None: none does.
        try_out: overrides that make a run small enough to try.
    """

    title: str
    handout: str = ""
    docs: str = ""
    about: str = ""
    questions: tuple[Question, ...] = ()
    leads: str = "test/acc"
    ranks: bool = True
    watched: tuple[str, ...] = ("val/acc", "train/loss")
    columns: tuple[Column, ...] = ()
    caption: str = ""
    published: str = ""
    settings: tuple[str, ...] = SETTINGS
    files: tuple[str, ...] = ()
    pictures: tuple[str, ...] = ("result.png",)
    best_pictures: tuple[str, ...] = CLASSIFIED
    plots: tuple[Plot, ...] = (CURVES,)
    panels: tuple[Panel, ...] = PANELS
    observations: "Callable[[Sequence[Row]], list[str]] | None" = None
    results: Callable[[Mapping[str, Any], Path], list[list[str]]] = final_metrics
    draw: Callable[[Path, Mapping[str, float]], None] | None = None
    predicts: str = ""
    answers: Literal["best", "last"] | None = None
    try_out: tuple[str, ...] = ()

    @property
    def introduction(self) -> str:
        """Return which courses the practical comes from, a sentence each, and what it asks for."""
        numbers = dict.fromkeys(re.findall(r"\b00\d\b", self.handout))
        return " ".join([*(HANDOUTS[number] for number in numbers if number in HANDOUTS), self.about]).strip()

    @property
    def picture(self) -> str:
        """Return the picture that is shown first."""
        return self.pictures[0]


@cache
def sheets() -> dict[str, Sheet]:
    """Return the sheet of every practical by its name, that of its module in this folder."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    return {name: import_module(f"{__name__}.{name}").SHEET for name in names}


def sheet_of(practical: str) -> Sheet:
    """Return the sheet of a practical, or a general one for a name that has none."""
    if practical in sheets():
        return sheets()[practical]
    if not practical:
        return Sheet("What cannot be read")
    caption = "Every number is the final value that a run recorded."
    return Sheet(f"Practical {practical}", caption=caption, predicts="test/acc")

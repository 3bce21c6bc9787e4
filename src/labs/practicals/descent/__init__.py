"""Gradient descent on a curve: from which starts, with which steps it finds the minimum."""

import math
from collections import Counter
from typing import Literal

from labs.functional.quartic import Outcome, outcome, quartic
from labs.practicals import SECONDS, Column, Plot, Question, Sheet, later, rows_of, setting

_PICTURES = f"{__name__}.pictures"
LISTED = 12  # points at most that stand in the closing table, each on a line
# How a point can end, in words.
WAYS: dict[Outcome, str] = {
    "reached": "at the minimum",
    "stalled": "stalled where it is flat",
    "moving": "not settled",
    "lost": "lost",
}


def _table(rows: list[dict[str, str]]) -> list[list[str]]:
    """Return where each point began and how it ended; of many points how many ended how, and the best."""
    first, last = ([float(place) for name, place in row.items() if name != "step"] for row in (rows[0], rows[-1]))
    if len(first) <= LISTED:
        ends = [[f"{x:.6g}", f"{quartic(x):.6g}", WAYS[outcome(x)]] for x in last]
        return [["from", "x at the end", "f(x)", ""], *([f"{x:g}", *end] for x, end in zip(first, ends, strict=True))]
    counts = Counter(map(outcome, last))
    lines = [[words, f"{counts[way]} of {len(last)}"] for way, words in WAYS.items() if counts[way]]
    best = min((x for x in last if outcome(x) != "lost"), key=quartic, default=math.nan)
    return [["points", ""], *lines, ["the best", f"f({best:.6g}) = {quartic(best):.6g}"]]


def _share(way: Outcome) -> Column:
    better: Literal["higher", "lower"] = "higher" if way == "reached" else "lower"
    return Column(f"test/{way}", WAYS[way], better, "percent", "Points (%)", images="")


SHEET = Sheet(
    title="Gradient descent on a quartic",
    handout="hand-out 004, part 1.2",
    docs="docs/descent.md",
    about="Section 1.2 explains gradient descent on the curve f(x) = x^4 - 2x^3 + 2.",
    questions=(
        Question("004, 1.2a", "From which starts does the point reach the minimum, and from which does it stall at 0?"),
        Question("004, 1.2b", "Why does it help to start from many random points, and when would that be unnecessary?"),
    ),
    leads="test/reached",
    ranks=False,  # rows differ in where they start, too
    watched=("train/lowest",),
    columns=(
        Column("lr", "learning rate", "neither", read=setting("module.optimizer.lr")),
        Column("momentum", "momentum", "neither", read=setting("module.optimizer.momentum")),
        *map(_share, WAYS),
        Column("test/lowest", "f(x)", "lower", group="The best point"),
        Column("test/best_x", "x", "neither", group="The best point"),
        SECONDS,
    ),
    caption=(
        "Shares of all points of a run. At the minimum: within 0.01 of x = 1.5. Stalled: elsewhere, where the slope "
        "is at most 0.01. Not settled: where it is steeper. Lost: no longer a number. The minimum is f(1.5) = 0.3125."
    ),
    settings=("module.optimizer.lr", "module.optimizer.momentum", "steps", "datamodule.points"),
    files=("steps.tsv",),
    pictures=("result.png", "result.gif"),
    plots=(Plot("paths", "All paths", "The first seed of each row.", later(f"{_PICTURES}.draw_table_of_paths")),),
    panels=(),
    results=rows_of("steps.tsv", _table),
    draw=later(f"{_PICTURES}.draw_run"),
)

"""What stands in the cells of every format: numbers with their spread and interval, runs, the environment."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from labs.practicals import Column
from labs.quantities import quantity
from labs.reporting.each_run import RunLine
from labs.reporting.recorded_run import Run
from labs.reporting.row import Row
from labs.reporting.statistics import Estimate
from labs.reporting.tables import Table

ABSENT = "\N{EN DASH}"
COMMANDS_TITLE = "Commands that make these rows again"
FINDINGS_TITLE = "Do the hand-out's findings hold in these runs?"
PUBLISHED_TITLE = "Published numbers, on the real data"
RUNS_TITLE = "Each run"


@dataclass(frozen=True)
class Cell:
    """Hold the texts of one cell; an empty text is not shown."""

    ours: str = ABSENT
    spread: str = ""
    interval: str = ""

    def joined(self) -> str:
        """Return the cell on one line: 38.07 ± 1.20 [35.1, 41.0]."""
        return " ".join(filter(None, (self.ours, self.spread, self.interval)))


def cell(row: Row, column: Column) -> Cell:
    """Write the numbers of one row and column: accuracies in percent, epochs from 1."""
    return _cell(row.estimates.get(column.key), column)


def published(table: Table) -> list[list[str]]:
    """Return the hand-out's own numbers, its titles first: a block apart from ours; empty if there are none."""
    rows = [row.published for row in table.rows if row.published and row.published.values]
    rows = list({row.name: row for row in rows}.values())
    columns = [
        (title, column)
        for title, column in zip(headings(table), table.columns, strict=True)
        if any(column.key in row.values for row in rows)
    ]
    lines = [
        [row.name]
        + [
            f"{100 * row.values[column.key] if column.unit == 'percent' else row.values[column.key]:.6g}"
            if column.key in row.values
            else ABSENT
            for _, column in columns
        ]
        for row in rows
        if any(column.key in row.values for _, column in columns)
    ]
    return [["Row", *(title for title, _ in columns)], *lines] if columns else []


def published_caption(table: Table) -> str:
    """Say where the published numbers come from, and that nobody measured them here."""
    if not table.published:
        return ""
    labels = f", {', '.join(table.published.labels)}" if table.published.labels else ""
    ours = "on the embedded data of these runs" if table.data == "embedded" else "in these runs"
    return f"Source: {table.published.source}{labels}. Measured by others on the real data, not {ours}."


def row_title(row: Row) -> str:
    """Return the name of a row with its labels, which belong to every number in it."""
    return row.name + (f" ({', '.join(row.labels)})" if row.labels else "")


def row_size(row: Row) -> str:
    """Return the number of runs that a row's numbers come from."""
    return str(len(row.runs)) if row.runs else ABSENT


def headings(table: Table) -> list[str]:
    """Return the titles of the columns, each with its group."""
    return [f"{column.group} {column.title}".strip() for column in table.columns]


def column_groups(table: Table) -> list[tuple[str, int]]:
    """Return the groups of the columns, and how many columns each spans."""
    return [(name, len(list(same))) for name, same in groupby(column.group for column in table.columns)]


def lines_by_row(table: Table) -> list[tuple[str, list[RunLine]]]:
    """Return every run, under the title of its row."""
    return [(name, list(lines)) for name, lines in groupby(table.lines, key=lambda line: row_title(line.row))]


def runs_caption(table: Table) -> str:
    """Say what the numbers of single runs are."""
    parts = []
    if any(line.estimate and line.estimate.interval for line in table.lines):
        parts.append("Brackets give the 95 % Wilson interval over the test images.")
    if any(line.p_value is not None for line in table.lines):
        parts.append(
            "McNemar's p compares a run's predictions with those of the best row's run with the same seed, on the same "
            "images. It is corrected for the number of runs that are compared (Holm)."
        )
    return " ".join(parts)


def run_headings(table: Table) -> list[str]:
    """Return the titles of the columns of `run_cells`."""
    ranked = table.ranked
    titles = ["Seed", "Status", "Tested epoch", "Seconds"]
    titles += [f"{ranked.group} {ranked.title}".strip()] if ranked else []
    return [*titles, "McNemar's p", "Directory"]


def run_cells(table: Table, line: RunLine) -> list[str]:
    """Write one run; values that it lacks are dashes."""
    run = line.run
    epoch = (run.best_epoch or run.epochs) if run.finished else None
    folds = len({other.run.fold for other in table.lines})
    texts = [
        ABSENT if run.seed is None else str(run.sample if folds > 1 else run.seed),
        line.status,
        f"{epoch or ABSENT} of {run.epochs}" if run.epochs else ABSENT,
        ABSENT if run.seconds is None else f"{run.seconds:.0f}",
    ]
    texts += [_cell(line.estimate, table.ranked).joined()] if table.ranked else []
    return [*texts, ABSENT if line.p_value is None else f"{line.p_value:.2g}", run.place]


def pictures_title(table: Table, best: Row | None) -> str:
    """Say of which rows the pictures are."""
    if best is None or table.ranked is None or len([row for row in table.rows if row.runs]) == 1:
        return "Pictures"
    return (
        f"Pictures of the row with the {'highest' if table.ranked.better == 'higher' else 'lowest'} {table.ranked.key}"
    )


def recorded(tables: Sequence[Table]) -> list[Run]:
    """Return every run of the tables."""
    return [line.run for table in tables for line in table.lines]


def heading(tables: Sequence[Table]) -> str:
    """Return the title of the whole report."""
    return "; ".join(dict.fromkeys(table.sheet.title for table in tables if table.practical)) or "Report"


def introductions(tables: Sequence[Table]) -> list[str]:
    """Return a paragraph for each practical: its hand-out with course and year, and what it asks for."""
    return list(filter(None, dict.fromkeys(table.sheet.introduction for table in tables)))


def made_with(runs: Sequence[Run]) -> dict[str, str]:
    """Return what the head of a page says of how the runs were made: the commit and the machine."""
    facts = environment(runs)
    commits = " | ".join(commit[:10] + commit[40:] for commit in facts.get("git_commit", "").split(" | "))
    cores = f", {facts['cpu_count']} cores" if "cpu_count" in facts else ""
    device = f"{facts['device']}{cores}" if "device" in facts else ""
    return {name: text for name, text in {"Commit": commits, "Machine": device}.items() if text and text != ABSENT}


def count(runs: Sequence[Run]) -> str:
    """Say how many runs there are, and how they stand: 3 runs: 2 finished, 1 failed."""
    statuses = [run.status for run in runs]
    words = ", ".join(f"{statuses.count(status)} {status}" for status in dict.fromkeys(statuses))
    return f"{quantity(len(runs), 'run')}: {words}."


def commands(table: Table) -> list[tuple[str, list[str]]]:
    """Return the commands that make a table again: that of the whole grid, then one per run, row by row."""
    grids = dict.fromkeys(run.grid_command for run in recorded([table]) if run.grid_command)
    found = [("The whole grid (finished runs are not repeated)", list(grids))]
    found += [(row.name, [run.command for run in row.every_run if run.command]) for row in table.rows]
    return [(name, list(dict.fromkeys(lines))) for name, lines in found if lines]


def environment(runs: Sequence[Run]) -> dict[str, str]:
    """Return what the runs were made with; a fact in which they differ has every value."""
    names = dict.fromkeys(name for run in runs for name in run.environment)
    names.pop("argv", None)  # the commands stand in the report already
    facts = {}
    for name in names:
        values = dict.fromkeys(run.environment.get(name, "") or ABSENT for run in runs if run.environment)
        facts[name] = " | ".join(values)
    return facts


def _cell(estimate: Estimate | None, column: Column) -> Cell:
    if estimate is None:
        return Cell()
    if not math.isfinite(estimate.mean):
        return Cell(ours="NaN")
    interval = ""
    if column.interval and estimate.low is not None and estimate.high is not None:
        low, high = estimate.low, estimate.high
        if column.unit == "percent":  # a t interval of two seeds can leave the range that shares have
            low, high = max(low, 0.0), min(high, 1.0)
        interval = f"[{_value(low, column, True)}, {_value(high, column, True)}]"
    return Cell(
        ours=_value(estimate.mean, column, estimate.n > 1),
        spread="" if estimate.std is None else f"± {_spread(estimate.std, column)}",
        interval=interval,
    )


def _value(value: float, column: Column, averaged: bool) -> str:
    if column.unit == "percent":
        return f"{100 * value:.2f}"
    if column.unit == "count":
        return f"{value:.1f}" if averaged else f"{value:.0f}"
    if not 0.1 <= abs(value) < 1000:
        return f"{value:.3g}"
    return f"{value:.1f}" if abs(value) >= 100 else f"{value:.3f}"


def _spread(std: float, column: Column) -> str:
    return _value(std, column, True) if column.unit != "number" else f"{std:.0f}" if 10 <= std < 1000 else f"{std:.2g}"

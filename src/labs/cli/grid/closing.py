"""The end of a grid: what is missing and what to type for it, the table, and where the page is."""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table as Lines
from rich.text import Text

from labs import LabsError
from labs.cli.grid.board import listed
from labs.cli.grid.cells import Cell
from labs.cli.overrides import quote
from labs.quantities import duration, quantity
from labs.runs.directory import FORMAT, shown_path

if TYPE_CHECKING:
    from labs.reporting.tables import Table


def sum_up(cells: Sequence[Cell], grid: Path, *, interrupted: bool) -> None:
    """Print how the cells ended and what to type for those without a result; write the report of the others."""
    say("")
    for cell in cells:
        if cell.state == "failed":
            say(f"failed  {cell.name}: {cell.error}", "red")
            say(f"  traceback  {shown_path(cell.directory / 'traceback.txt')}")
            say(f"  retry      {cell.retry}")
        elif cell.state == "interrupted":
            say(f"interrupted  {cell.name}{f': {cell.error}' if cell.error else ''}", "yellow")
            say(f"  go on      {cell.retry}")
        for warning in cell.facts().get("warnings", ()) if cell.state in ("done", "skipped") else ():
            say(f"warning  {cell.name}: {warning}", "yellow")
    say(f"{grid.name}: {listed(cells).replace('waiting', 'not run')}", "bold")
    _say_what_was_saved(cells)
    if before := sum(cell.facts().get("format", FORMAT) < FORMAT for cell in cells if cell.state == "skipped"):
        say(f"{before} of the skipped cells were recorded by an earlier version of labs and identified by their words.")
    if any(cell.state not in ("done", "skipped") for cell in cells):
        is_underway = any(cell.state in ("queued", "submitted", "running") for cell in cells)
        skip = "collect" if is_underway else "skip"
        say(f"To retry failed cells, go on with stopped ones and {skip} finished ones, type:")
        say(f"  {_again(grid)}")
    if not interrupted:
        _write_report(grid)


def say(line: str, style: str = "") -> None:
    """Print a line as it is, however long."""
    Console(emoji=False).print(Text(line, style), highlight=False, soft_wrap=True)


def _say_what_was_saved(cells: Sequence[Cell]) -> None:
    """Sum up what the cells that ran now did not have to compute again."""
    caches = [cell.facts().get("feature_cache", {}) for cell in cells if cell.state == "done"]
    caches = [facts for facts in caches if "passes" in facts]
    if caches:
        passes, computed, saved = (
            sum(facts[name] for facts in caches) for name in ("passes", "computed_seconds", "saved_seconds")
        )
        say(
            f"feature cache: {quantity(len(caches), 'cell')} reused {quantity(passes, 'pass')} through frozen layers; "
            f"computing them took {duration(computed)} and saved about {duration(saved)}"
        )


def _again(grid: Path) -> str:
    """Return the command of this grid; a sweep without a name needs its directory to be found again."""
    typed = [argument for argument in sys.argv[1:] if not argument.startswith("rerun=")]
    named = any(argument.startswith(("grid=", "search=", "hydra.sweep.dir=")) for argument in typed)
    return shlex.join(
        ["python", "train.py", *typed, *([] if named else [f"hydra.sweep.dir={quote(shown_path(grid))}"])]
    )


def _write_report(grid: Path) -> None:
    from labs.reporting.write import write_report

    try:
        page, tables = write_report([grid], grid / "report")
    except LabsError as error:
        say(f"no report: {error}", "red")
        return
    for table in tables:
        say(table.title, "italic")
        Console(emoji=False).print(_short(table))
    say(f"report: {shown_path(page)}  ({shlex.join(['python', 'report.py', shown_path(grid)])} prints the whole table)")


def _short(table: "Table") -> Lines:
    """Return a table's rows with the leading number only, which fits a terminal; the page has the others."""
    from labs.reporting.texts import cell

    leading = table.ranked or next((column for column in table.columns if column.key == table.sheet.leads), None)
    lines = Lines()
    lines.add_column("row")
    lines.add_column("n", justify="right")
    if leading:
        lines.add_column(f"{leading.group} {leading.title}".strip(), justify="right", no_wrap=True)
    for row in (row for row in table.rows if row.every_run):
        mark = {"tie": "≈ "}.get(row.mark, "")
        shown = Text(mark + cell(row, leading).joined() if leading else "", "bold" if row.mark == "best" else "")
        title = ", ".join([row.name, *(label for label in row.labels if label not in table.title)])
        lines.add_row(Text(title), str(len(row.runs)), *([shown] if leading else []))
    return lines

"""The whole report: read the runs, build the tables, write every format."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from labs.errors import LabsError
from labs.reporting.figures import Curve, comparison_png
from labs.reporting.formats import to_csv, to_latex, to_markdown
from labs.reporting.page import render_page
from labs.reporting.runs import find_runs
from labs.reporting.tables import Table, build_tables


def write_report(paths: Sequence[Path], output: Path, rank_by: str | None = None) -> tuple[Path, str]:
    """Write the report of all runs under the paths; return the path of its page and the tables as Markdown.

    `output` receives report.html, table.md, table.tex, table.csv and curves.png (a second table's curves are
    `curves_<practical>_<data>.png`).

    Raises:
        LabsError: A path holds no run, `rank_by` is unknown, or the output cannot be written.
    """
    tables = build_tables(find_runs(paths), rank_by)
    figures = [_curves(table) for table in tables]
    markdown = to_markdown(tables)
    created = datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z")
    texts = {
        "table.md": markdown,
        "table.tex": to_latex(tables),
        "table.csv": to_csv(tables),
        "report.html": render_page(tables, figures, created),
    }
    try:
        output.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            (output / name).write_text(text, encoding="utf-8")
        drawn = [(table, figure) for table, figure in zip(tables, figures, strict=True) if figure is not None]
        for place, (table, figure) in enumerate(drawn):
            (output / (f"curves_{table.slug}.png" if place else "curves.png")).write_bytes(figure)
    except OSError as error:
        raise LabsError(
            f"cannot write the report to {output}: {error.strerror}; choose another directory with --output"
        ) from error
    return output / "report.html", markdown


def _curves(table: Table) -> bytes | None:
    drawn = [row for row in table.rows if any(run.log is not None for run in row.runs)]
    # labels of every row stand above the figure, those of some rows beside their names
    common = [label for label in (drawn[0].labels if drawn else ()) if all(label in row.labels for row in drawn)]
    curves = [
        Curve(
            name=", ".join([row.name, *(label for label in row.labels if label not in common)]),
            family=row.experiment,
            logs=tuple(run.log for run in row.runs if run.log is not None),
        )
        for row in drawn
    ]
    return comparison_png(curves, table.layout.title, common)

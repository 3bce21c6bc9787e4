"""The report as one HTML file: no script, no network, images inside."""

import base64
import io
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from pathlib import Path

from PIL import Image

from labs.reporting.formats import ABSENT, cell
from labs.reporting.layouts import Column
from labs.reporting.rows import NOT_RUN, Row
from labs.reporting.runs import Run
from labs.reporting.tables import Table

THUMBNAIL = (480, 360)


def render_page(tables: Sequence[Table], curves: Sequence[bytes | None], created: str) -> str:
    """Return the page: each table with its footnotes, curves, pictures and commands; then the environment.

    Args:
        tables: The tables, in the order of the page.
        curves: The figure of each table as PNG, or None where no run has curves.
        created: When the report was made, as the reader should see it.
    """
    style = files("labs.reporting").joinpath("page.css").read_text(encoding="utf-8")
    runs = [run for table in tables for row in table.rows for run in (*row.runs, *row.others)]
    titles = ", ".join(dict.fromkeys(table.practical for table in tables if table.practical))
    heading = f"Report: {titles}" if titles else "Report"
    sections = [_section(table, figure) for table, figure in zip(tables, curves, strict=True)]
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(heading)}</title>
<style>
{style}</style>
</head>
<body>
<h1>{escape(heading)}</h1>
<p class="soft">{escape(_count(runs))} Made {escape(created)} from the run directories alone.</p>
{"".join(sections)}
{_environment(runs)}
</body>
</html>
"""


def _count(runs: Sequence[Run]) -> str:
    statuses = [run.status for run in runs]
    words = ", ".join(f"{statuses.count(status)} {status}" for status in dict.fromkeys(statuses))
    return f"{len(runs)} run{'s' * (len(runs) != 1)}: {words}."


def _section(table: Table, figure: bytes | None) -> str:
    parts = [
        f'<h2 id="{escape(table.slug)}">{escape(table.title)}</h2>',
        f"<p>{escape(table.caption)}</p>",
        _table(table),
    ]
    if table.footnotes:
        parts.append('<ul class="notes">' + "".join(f"<li>{escape(note)}</li>" for note in table.footnotes) + "</ul>")
    if figure is not None:
        parts.append(
            "<h3>Curves</h3>" + _figure(figure, "Mean over seeds; the band is one standard deviation.", table.title)
        )
    pictures = [_thumbnail(run) for row in table.rows for run in row.runs]
    if any(pictures):
        parts.append(f'<h3>Each run</h3><div class="pictures">{"".join(pictures)}</div>')
    commands = [_commands(row) for row in table.rows]
    if any(commands):
        parts.append("<h3>Commands that make these rows again</h3>" + "".join(commands))
    return "\n".join(parts)


def _table(table: Table) -> str:
    columns = table.layout.columns
    groups = ""
    if any(column.group for column in columns):
        names = list(dict.fromkeys(column.group for column in columns))
        spans = [(name, sum(column.group == name for column in columns)) for name in names]
        groups = "".join(f'<th class="group" colspan="{width}">{escape(name)}</th>' for name, width in spans)
        groups = f"<tr><td colspan='2'></td>{groups}<td></td></tr>"
    titles = "".join(f"<th>{escape(column.title)}</th>" for column in columns)
    head = f'<tr><th class="left">Row</th><th>n</th>{titles}<th class="left">Notes</th></tr>'
    body = "\n".join(_row(table, row) for row in table.rows)
    content = f"<table>\n<thead>{groups}{head}</thead>\n<tbody>\n{body}\n</tbody>\n</table>"
    return f'<div class="scroll">{content}</div>'


def _row(table: Table, row: Row) -> str:
    tags = "".join(f'<span class="tag">{escape(label)}</span>' for label in row.labels)
    tags = f"<br>{tags}" if tags else ""
    details = f"<br><small>{escape(', '.join(row.details))}</small>" if row.details else ""
    cells = "".join(_cell(row, column, column.key == table.rank_by) for column in table.layout.columns)
    number = len(row.runs) or ABSENT
    bad = "bad" if row.others else ""
    kind = " ".join(filter(None, (row.mark, "none" if row.status == NOT_RUN else "", bad)))
    notes = escape("; ".join(row.notes))
    return (
        f'<tr class="{kind}"><th scope="row">{escape(row.title)}{details}{tags}</th>'
        f'<td data-label="seeds (n)">{number}</td>{cells}<td class="remarks">{notes}</td></tr>'
    )


def _cell(row: Row, column: Column, ranked: bool) -> str:
    parts = cell(row, column)
    label = escape(f"{column.group} {column.title}".strip())
    text = f"<b>{escape(' '.join(filter(None, (parts.ours, parts.spread))))}</b>"
    text += f"<small>{escape(parts.interval)}</small>" if parts.interval else ""
    text += f'<small title="published">({escape(parts.published)})</small>' if parts.published else ""
    return f'<td data-label="{label}"{" class=ranked" if ranked else ""}>{text}</td>'


def _commands(row: Row) -> str:
    runs = [run for run in (*row.runs, *row.others) if run.command]
    if not runs:
        return ""
    lines = "\n".join(escape(run.command) for run in runs)
    return f"<p><small>{escape(row.name)}</small></p><pre>{lines}</pre>"


def _thumbnail(run: Run) -> str:
    """Return the picture of a run, made small; a picture that cannot be read is said to be so."""
    if run.picture is None:
        return ""
    caption = ", ".join(filter(None, (run.place, f"seed {run.seed}", *run.labels)))
    try:
        with Image.open(run.picture) as image:
            small = image.convert("RGB")
    except OSError:
        return f"<figure><figcaption>{escape(caption)}: result.png cannot be read</figcaption></figure>"
    small.thumbnail(THUMBNAIL)
    output = io.BytesIO()
    small.quantize(128, dither=Image.Dither.NONE).save(output, format="PNG", optimize=True)
    return _figure(output.getvalue(), caption, f"result of {run.place}")


def _figure(png: bytes, caption: str, alternative: str) -> str:
    source = base64.b64encode(png).decode("ascii")
    return (
        f'<figure><img alt="{escape(alternative)}" src="data:image/png;base64,{source}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def _environment(runs: Sequence[Run]) -> str:
    """Return what the runs were made with; a fact in which they differ is listed with every value."""
    names = dict.fromkeys(name for run in runs for name in run.environment)
    if not names:
        return ""
    items = []
    for name in names:
        values = dict.fromkeys(run.environment.get(name, "") for run in runs if run.environment)
        text = " | ".join(value or ABSENT for value in values)
        items.append(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>")
    return f'<h2>Environment</h2><dl class="facts">{"".join(items)}</dl>'


def shown_path(path: Path) -> str:
    """Return a path the way the user would type it, relative to the working directory if it lies there."""
    try:
        return path.resolve().relative_to(Path.cwd()).as_posix()
    except ValueError:
        return str(path)

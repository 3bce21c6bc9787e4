"""The report as one HTML file: no script, no network, images inside."""

import base64
import io
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from itertools import groupby
from pathlib import Path

from PIL import Image

from labs.practicals import Column
from labs.reporting.drawings import Drawing
from labs.reporting.each_run import RunLine
from labs.reporting.recorded_run import MISSING, Run
from labs.reporting.row import NOT_RUN, Row
from labs.reporting.tables import Table
from labs.reporting.texts import (
    ABSENT,
    COMMANDS_TITLE,
    RUNS_TITLE,
    cell,
    commands,
    count,
    environment,
    heading,
    recorded,
    row_size,
    row_title,
    run_cells,
    run_headings,
    runs_caption,
)

THUMBNAIL = (480, 360)


def render_page(tables: Sequence[Table], drawings: Sequence[Sequence[Drawing]], created: str) -> str:
    """Return the page: each table with its footnotes, figures, runs, pictures and commands; then the environment.

    Args:
        tables: The tables, in the order of the page.
        drawings: The figures of each table.
        created: When the report was made, as the reader should see it.
    """
    style = files("labs.reporting").joinpath("page.css").read_text(encoding="utf-8")
    runs = recorded(tables)
    sections = [_section(table, figures) for table, figures in zip(tables, drawings, strict=True)]
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(heading(tables))}</title>
<style>
{style}</style>
</head>
<body>
<h1>{escape(heading(tables))}</h1>
<p class="soft">{escape(count(runs))} Made {escape(created)} from the run directories alone.</p>
{"".join(sections)}
{_environment(runs)}
</body>
</html>
"""


def _section(table: Table, drawings: Sequence[Drawing]) -> str:
    parts = [
        f'<h2 id="{escape(table.slug)}">{escape(table.title)}</h2>',
        f"<p>{escape(table.caption)}</p>",
        _table(table),
    ]
    if table.footnotes:
        parts.append('<ul class="notes">' + "".join(f"<li>{escape(note)}</li>" for note in table.footnotes) + "</ul>")
    for drawing in drawings:
        plot = drawing.plot
        parts += [f"<h3>{escape(plot.title)}</h3>", _figure(drawing.png, plot.caption, f"{plot.title}: {table.title}")]
    if table.lines:
        parts.append(f"<h3>{RUNS_TITLE}</h3><p>{escape(runs_caption(table))}</p>" + _runs(table))
    pictures = [
        _thumbnail(row, run, path)
        for row in table.rows
        for run in row.runs
        for path in run.pictures(table.sheet.pictures)
    ]
    if pictures:
        parts.append(f'<h3>Pictures</h3><div class="pictures">{"".join(pictures)}</div>')
    blocks = [
        f"<p><small>{escape(name)}</small></p><pre>{escape(chr(10).join(lines))}</pre>"
        for name, lines in commands(table)
    ]
    if blocks:
        parts.append(f"<h3>{COMMANDS_TITLE}</h3>" + "".join(blocks))
    return "\n".join(parts)


def _table(table: Table) -> str:
    columns = table.columns
    groups = ""
    if any(column.group for column in columns):
        spans = [(name, len(list(together))) for name, together in groupby(column.group for column in columns)]
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
    cells = "".join(_cell(row, column, column is table.ranked) for column in table.columns)
    bad = "bad" if any(run.status != MISSING for run in row.others) else ""
    kind = " ".join(filter(None, (row.mark, "none" if row.status in (NOT_RUN, MISSING) else "", bad)))
    notes = escape("; ".join(row.notes))
    return (
        f'<tr class="{kind}"><th scope="row">{escape(row.title)}{details}{tags}</th>'
        f'<td data-label="seeds (n)">{row_size(row)}</td>{cells}<td class="remarks">{notes}</td></tr>'
    )


def _cell(row: Row, column: Column, ranked: bool) -> str:
    parts = cell(row, column)
    label = escape(f"{column.group} {column.title}".strip())
    text = f"<b>{escape(' '.join(filter(None, (parts.ours, parts.spread))))}</b>"
    text += f"<small>{escape(parts.interval)}</small>" if parts.interval else ""
    text += f'<small title="published">({escape(parts.published)})</small>' if parts.published else ""
    return f'<td data-label="{label}"{" class=ranked" if ranked else ""}>{text}</td>'


def _runs(table: Table) -> str:
    """Return every run on its own, under the name of its row."""
    titles = run_headings(table)
    head = "".join(f'<th class="left">{escape(title)}</th>' for title in titles)
    groups = [
        f'<tbody>\n<tr><th colspan="{len(titles)}" scope="rowgroup">{escape(name)}</th></tr>\n'
        + "\n".join(_run(table, line, titles) for line in lines)
        + "\n</tbody>"
        for name, lines in groupby(table.lines, key=lambda line: row_title(line.row))
    ]
    return f'<table class="runs">\n<thead><tr>{head}</tr></thead>\n{"".join(groups)}\n</table>'


def _run(table: Table, line: RunLine, titles: Sequence[str]) -> str:
    texts = run_cells(table, line)
    kinds = ["absent" if text == ABSENT else "" for text in texts[:-1]] + ["place"]
    cells = "".join(
        f'<td data-label="{escape(title)}" class="{kind}">{escape(text)}</td>'
        for title, text, kind in zip(titles, texts, kinds, strict=True)
    )
    bad = "bad" if not line.run.finished and line.run.status != MISSING else ""
    return f'<tr class="{bad}">{cells}</tr>'


def _thumbnail(row: Row, run: Run, path: Path) -> str:
    """Return a picture of a run, made small; one that cannot be read is said to be so."""
    name = path.relative_to(run.directory).as_posix()
    caption = ", ".join((row.name, f"seed {run.seed}", *run.labels, name))
    try:
        with Image.open(path) as image:
            small = image.convert("RGB")
    except (OSError, ValueError, SyntaxError):  # Pillow raises each of them on some damaged file
        return f"<figure><figcaption>{escape(caption)}: it cannot be read</figcaption></figure>"
    small.thumbnail(THUMBNAIL)
    output = io.BytesIO()
    small.quantize(128, dither=Image.Dither.NONE).save(output, format="PNG", optimize=True)
    return _figure(output.getvalue(), caption, f"{name} of {run.place}")


def _figure(png: bytes, caption: str, alternative: str) -> str:
    source = base64.b64encode(png).decode("ascii")
    return (
        f'<figure><img alt="{escape(alternative)}" src="data:image/png;base64,{source}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def _environment(runs: Sequence[Run]) -> str:
    facts = environment(runs)
    items = "".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in facts.items())
    return f'<h2>Environment</h2><dl class="facts">{items}</dl>' if facts else ""

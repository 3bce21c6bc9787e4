"""The report as one HTML file: no script, no network, images inside. `page.html.jinja` is its template."""

import base64
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image

from labs.reporting import texts
from labs.reporting.drawings import Drawing
from labs.reporting.recorded_run import MISSING
from labs.reporting.row import NOT_RUN, Row
from labs.reporting.search import Found, conclusions, trials
from labs.reporting.tables import Table

THUMBNAIL = (480, 360)
TEMPLATES = Environment(
    loader=PackageLoader("labs.reporting", ""),
    autoescape=True,  # a run directory can hold anything
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
TEMPLATES.filters["base64"] = lambda content: base64.b64encode(content).decode("ascii")


def render_page(
    tables: Sequence[Table],
    drawings: Sequence[Sequence[Drawing]],
    created: str,
    searches: Sequence[tuple[Found, Sequence[Drawing]]] = (),
) -> str:
    """Return the page: what searches found; each table with its footnotes, figures, runs, pictures and commands.

    Args:
        tables: The tables, in the order of the page.
        drawings: The figures of each table.
        created: When the report was made, as the reader should see it.
        searches: What searches found, with their figures.
    """
    return TEMPLATES.get_template("page.html.jinja").render(
        tables=tables, drawings=drawings, created=created, searches=searches,
        conclusions=conclusions, trials=trials,
        texts=texts, row_class=_row_class, pictures=_pictures, MISSING=MISSING,
    )  # fmt: skip


def _row_class(row: Row) -> str:
    """Return what the style sheet knows a row by: its mark, and whether it has no result or a bad one."""
    bad = "bad" if any(run.status != MISSING for run in row.others) else ""
    return " ".join(filter(None, (row.mark, "none" if row.status in (NOT_RUN, MISSING) else "", bad)))


def _pictures(table: Table) -> Iterator[tuple[bytes, str, str]]:
    """Yield each picture of a table's runs as a PNG, empty if it cannot be read; its caption; its alternative text."""
    for row in table.rows:
        for run in row.runs:
            for path in run.pictures(table.sheet.pictures):
                name = path.relative_to(run.directory).as_posix()
                caption = ", ".join((row.name, f"seed {run.sample}", *run.labels, name))
                yield _thumbnail(path), caption, f"{name} of {run.place}"


def _thumbnail(path: Path) -> bytes:
    """Return a picture as a small PNG; nothing if it cannot be read."""
    try:
        with Image.open(path) as image:
            small = image.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):  # each of them on some damaged file
        return b""
    small.thumbnail(THUMBNAIL)
    output = io.BytesIO()
    small.quantize(128, dither=Image.Dither.NONE).save(output, format="PNG", optimize=True)
    return output.getvalue()

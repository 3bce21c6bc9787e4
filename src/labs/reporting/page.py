"""The report as one HTML file: no script, no network, images inside. `page.html.jinja` is its template."""

import base64
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image

from labs.reporting import texts
from labs.reporting.answers import Answer
from labs.reporting.drawings import Drawing
from labs.reporting.recorded_run import MISSING, Run
from labs.reporting.row import NOT_RUN, Row
from labs.reporting.search import Found, conclusions, trials
from labs.reporting.tables import Table

LARGEST = (1200, 1200)  # pixels of a picture
MOST_PIXELS = 50_000_000  # of a picture file: more of them could fill the memory
ROWS, PICTURES = 8, 4  # of a table without a ranking: rows whose pictures are shown, and pictures of each
MISTAKES = 8
TEMPLATES = Environment(
    loader=PackageLoader("labs.reporting", ""),
    autoescape=True,  # a run directory can hold anything
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
TEMPLATES.filters["base64"] = lambda content: base64.b64encode(content).decode("ascii")


@dataclass(frozen=True)
class Head:
    """Say whose page this is; what is empty is not shown. `answers_file` is where the answers are written."""

    title: str = ""
    student: str = ""
    course: str = ""
    answers: Sequence[Answer] = field(default=())
    answers_file: str = ""


def render_page(
    tables: Sequence[Table],
    drawings: Sequence[Sequence[Drawing]],
    created: str,
    searches: Sequence[tuple[Found, Sequence[Drawing]]] = (),
    head: Head | None = None,
) -> str:
    """Return the page: its head, what searches found, each table with its figures, the answers, and an appendix.

    Args:
        tables: The tables, in the order of the page.
        drawings: The figures of each table.
        created: When the report was made, as the reader should see it.
        searches: What searches found, with their figures.
        head: Whose page it is, and the answers.
    """
    return TEMPLATES.get_template("page.html.jinja").render(
        tables=tables, drawings=drawings, created=created, searches=searches, head=head or Head(),
        conclusions=conclusions, trials=trials,
        texts=texts, row_class=_row_class, pictures=_pictures, best=_best, mistakes=_mistakes, MISSING=MISSING,
    )  # fmt: skip


def _row_class(row: Row) -> str:
    """Return what the style sheet knows a row by: its mark, and whether it has no result or a bad one."""
    bad = "bad" if any(run.status != MISSING for run in row.others) else ""
    return " ".join(filter(None, (row.mark, "none" if row.status in (NOT_RUN, MISSING) else "", bad)))


def _best(table: Table) -> Row | None:
    """Return the row with the best value, a tie or not, or the only one; None where rows are not ranked."""
    rows = [row for row in table.rows if row.runs and table.sheet.ranks]
    rival = next((row.rival for row in rows if row.rival), None)
    return rival or (rows[0] if len(rows) == 1 else None)


def _pictures(table: Table) -> Iterator[tuple[bytes, str, str]]:
    """Yield the pictures to look at: of the best row, or of every row of a table without a ranking, the first run.

    Each is a PNG, empty if it cannot be read, with its caption and its alternative text.
    """
    best = _best(table)
    rows = [best] if best else [row for row in table.rows if row.runs][:ROWS]
    for row in rows:
        run = row.runs[0]
        found = run.pictures(table.sheet.best_pictures) if best else []
        still = [name for name in table.sheet.pictures if not name.endswith(".gif")]
        for path in found or run.pictures(still)[:PICTURES]:
            name = path.relative_to(run.directory).as_posix()
            caption = ", ".join((row.name, f"seed {run.sample}", *run.labels, name))
            yield picture_png(path), caption, f"{name} of {run.place}"


def _mistakes(table: Table) -> tuple[Run, list[tuple[str, str, str, str]]] | None:
    """Return a run of the best row with its most confident mistakes: image, class, prediction, confidence."""
    best = _best(table)
    found = best.runs[0].predictions if best else None
    if best is None or found is None or "confidence" not in found:
        return None
    confidence = pd.to_numeric(found["confidence"], errors="coerce")
    wrong = found.assign(confidence=confidence)[(found["label"] != found["prediction"]) & confidence.notna()]
    wrong = wrong.sort_values("confidence", ascending=False, kind="stable").head(MISTAKES)
    columns = (wrong[name] for name in ("name", "label", "prediction", "confidence"))
    lines = [
        (str(n), str(is_), str(answer), f"{100 * sure:.1f} %") for n, is_, answer, sure in zip(*columns, strict=True)
    ]
    return best.runs[0], lines


def picture_png(path: Path) -> bytes:
    """Return a picture as a PNG of a size that fits the page; nothing if it cannot be read."""
    try:
        with Image.open(path) as image:
            if image.width * image.height > MOST_PIXELS:
                return b""
            shown = image.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):  # each of them on some damaged file
        return b""
    shown.thumbnail(LARGEST)
    output = io.BytesIO()
    shown.quantize(256, dither=Image.Dither.FLOYDSTEINBERG).save(output, format="PNG", optimize=True)
    return output.getvalue()

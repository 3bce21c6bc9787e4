"""Style transfer in the report: all pictures on one sheet, and which published observations hold, in numbers."""

import io
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from labs.drawing.figures import Figure
from labs.drawing.picture_sheets import losses_in_words, show
from labs.reporting.row import Row
from labs.runs.directory import read_facts
from labs.storage.files import read_text

SETTINGS = ("content_layers", "style_layers", "content_weight", "style_weight")
MEASURED = ("content_start", "content", "style_start", "style", "content_lost", "style_left")
VISIBLE = 0.05  # of the way from the content to the style; less is hard to see on the sheet


def draw_table_of_pictures(rows: Sequence[Row], title: str) -> bytes | None:
    """Draw one line per row with its settings, pictures and losses; the content and the styles stand above.

    Of a row with several seeds the first is shown. Returns the PNG, or None without pictures.
    """
    lines = [
        (row, row.runs[0].directory, measured)
        for row in rows
        if (measured := read_pictures(row, first=True)) is not None
    ]
    if not lines:
        return None
    names = list(dict.fromkeys(name for _, _, measured in lines for name in measured.index))
    labels = list(dict.fromkeys(label for row, _, _ in lines for label in row.labels))
    figure = Figure(figsize=(2.4 + 2.6 * len(names), 0.6 + 2.9 * (len(lines) + 1)), layout="constrained")
    figure.suptitle("\n".join(filter(None, (title, " · ".join(labels)))), fontsize=12)
    panels = figure.subplots(len(lines) + 1, 1 + len(names), squeeze=False)
    for axes in panels.flat:
        axes.set_axis_off()
    inputs = [
        next(directory for _, directory, measured in lines if name in measured.index) / "images" / "inputs"
        for name in names
    ]
    show(panels[0][0], inputs[0] / f"{names[0]}-content.png", "content")
    for axes, name, folder in zip(panels[0][1:], names, inputs, strict=True):
        show(axes, folder / f"{name}-style.png", f"style of {name}")
    for line, (row, directory, measured) in zip(panels[1:], lines, strict=True):
        line[0].text(0.0, 0.5, _settings(row), transform=line[0].transAxes, fontsize=8, va="center")
        for axes, name in zip(line[1:], names, strict=True):
            if name in measured.index:
                words = losses_in_words(measured.loc[name].to_dict())
                show(axes, directory / "images" / f"{name}.png", words.replace(", ", "\n"))
    return figure.png(dpi=110)


def read_pictures(row: Row, *, first: bool = False) -> pd.DataFrame | None:
    """Read what was measured of each picture of a row, its name as the index: the mean over seeds, or the first."""
    files = [run.directory / "pictures.tsv" for run in row.runs[: 1 if first else None]]
    tables = [table for file in files if (table := _read(file)) is not None]
    return pd.concat(tables).groupby(level=0, sort=False).mean() if tables else None


def _read(file: Path) -> pd.DataFrame | None:
    """Read `pictures.tsv`; None if there is none, or it cannot be read."""
    try:
        table = pd.read_csv(io.StringIO(read_text(file)), sep="\t", index_col="picture").astype(float)
    except (OSError, ValueError, TypeError):  # what pandas raises for damaged files
        return None
    return table if set(MEASURED) <= set(table.columns) else None


def observations(rows: Sequence[Row]) -> list[str]:
    """Say of each observation of hand-out 000 (section 2.3) whether it holds in these runs, and by how much.

    `content_lost` and `style_left` measure every picture by the same layers, those of PyTorch's tutorial: 0 and 1 are
    the content itself, 1 and 0 would be the style.
    """
    found: dict[str, pd.DataFrame] = {}
    for row in rows:
        letter = row.experiment.removeprefix("nst_")
        measured = read_pictures(row) if len(letter) == 1 else None
        if measured is not None:
            found.setdefault(letter.upper(), measured)
    sentences = []
    for letter, other, claim, column, holds in _CLAIMS:
        if letter in found and other in found:
            ours, theirs = (found[which][column].dropna() for which in (letter, other))
            both = ours.index.intersection(theirs.index)
            if both.empty:
                continue
            right = [holds(ours[name], theirs[name]) for name in both]
            some = f"holds in {sum(right)} of {len(right)} pictures" if any(right) else "does not hold"
            verdict = "holds" if all(right) else some
            word = column.replace("_", " ")
            numbers = f"{word} {ours[both].mean():.3g} in {letter}, {theirs[both].mean():.3g} in {other}"
            faint = column == "style_left" and letter == "G" and 1 - ours[both].mean() < VISIBLE
            sentences.append(f"{claim}: {verdict} ({numbers}{'; too little to see' if faint else ''}).")
    return sentences


def _a_tenth(of: float, other: float) -> bool:
    """Say whether a picture went less than a tenth of another's way to the style."""
    return (1 - of) / max(1 - other, 1e-9) < 0.1


# experiment, the one it is compared with, what the hand-out saw, the number, and when that holds
_CLAIMS: tuple[tuple[str, str, str, str, Callable[[float, float], bool]], ...] = (
    ("C", "A", "C, a larger style weight brings more of the style", "style_left", lambda c, a: c < a),
    ("C", "A", "C, a larger style weight costs content", "content_lost", lambda c, a: c > a),
    ("D", "A", "D, a larger content weight keeps more of the content", "content_lost", lambda d, a: d < a),
    ("E", "A", "E, a small style weight all but removes the style (less than a tenth of A's)", "style_left", _a_tenth),
    ("F", "A", "F, the first layer alone hardly matters (less than a tenth of A's)", "style_left", _a_tenth),
    ("G", "F", "G, the fifth layer matters more than the first", "style_left", lambda g, f: g < f),
)


def _settings(row: Row) -> str:
    run = row.runs[0]
    settings = read_facts(run.directory).get("settings", {})
    lines = [row.title, *row.details]
    for name in SETTINGS:
        value = settings.get(f"module.{name}")
        number = f"{value:g}" if isinstance(value, (int, float)) else "?"
        shown = ", ".join(map(str, value)) if isinstance(value, list) else number
        lines.append(f"{name.replace('_', ' ')}: {shown}")
    lines += [f"{run.seconds:.0f} s"] if run.seconds is not None else []
    return "\n".join(textwrap.fill(line, 30) for line in lines)

"""Neural style transfer: settings of the loss, judged by numbers and pictures."""

import csv
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labs.practicals import CURVES, SECONDS, SETTINGS, Column, Plot, Sheet, final_metrics, later

if TYPE_CHECKING:
    from labs.reporting.recorded_run import Run

_TABLE = f"{__name__}.table_of_pictures"


def _setting(name: str) -> "Callable[[Run], float | None]":
    return lambda run: run.settings.get(f"module.{name}")


def _results(facts: Mapping[str, Any], run_dir: Path) -> list[list[str]]:
    """Return what was measured of each picture, as the run wrote it down, in the 80 columns of a terminal."""
    file = run_dir / "pictures.tsv"
    if not file.is_file():  # callbacks.pictures=null
        return final_metrics(facts, run_dir)
    with file.open(newline="", encoding="utf-8") as lines:
        heads, *rows = csv.reader(lines, delimiter="\t")
    shown = [place for place, head in enumerate(heads) if not head.endswith(("_start", "rollbacks"))][1:]
    return [
        ["picture", *(heads[place].replace("_", " ") for place in shown)],
        *([row[0], *(f"{float(row[place]):.3g}" for place in shown)] for row in rows),
    ]


SHEET = Sheet(
    title="Style transfer",
    handout="hand-outs 000, question 2, and 004, part 2",
    docs="docs/style_transfer.md",
    leads="test/style_left",
    ranks=False,  # more of the style is not better: it costs content
    watched=("train/loss",),
    columns=(
        Column("content_weight", "content weight", "neither", read=_setting("content_weight")),
        Column("style_weight", "style weight", "neither", read=_setting("style_weight")),
        Column("test/content_start", "content at the start", "neither", group="Losses"),
        Column("test/content", "content", "lower", group="Losses"),
        Column("test/style_start", "style at the start", "neither", group="Losses"),
        Column("test/style", "style", "lower", group="Losses"),
        Column("test/content_lost", "content lost", "lower", group="By the same layers"),
        Column("test/style_left", "style left", "lower", group="By the same layers"),
        Column("test/ssim", "SSIM", "higher", group="Without a net"),
        SECONDS,
    ),
    caption=(
        "Means over the pictures of a run. Losses are sums over the row's own layers before the two weights; the "
        "start is the first evaluation. Content lost is 0 for the content and 1 "
        "for the style, style left the other way round, both by the layers of PyTorch's tutorial. SSIM compares "
        "with the content, without a net."
    ),
    published=__name__,
    settings=(
        *SETTINGS,
        "module.net.name",
        "module.content_layers",
        "module.style_layers",
        "module.content_weight",
        "module.style_weight",
        "steps",
    ),
    files=("losses.tsv", "pictures.tsv", "images/*.png", "images/*.gif", "images/*/*.png"),
    pictures=("images/sheet.png",),
    plots=(
        Plot("pictures", "All pictures", "Of each row the first seed.", later(f"{_TABLE}.draw_table_of_pictures")),
        CURVES,
    ),
    observations=later(f"{_TABLE}.observations"),
    results=_results,
    try_out=("datamodule.image_size=32", "every=2", "steps=4"),
)

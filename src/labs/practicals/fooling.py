"""Fooling images: what a net says about slightly changed images, as computed and after saving."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from labs.practicals import SECONDS, Column, Question, Sheet

FORMS = {
    "test/fooled_float": "fooled, as computed",
    "test/fooled_png": "fooled, saved as PNG",
    "test/fooled_jpeg": "fooled, saved as JPEG",
}
_GROUP, _SIZE = "Fooled", "Change"


def _results(facts: Mapping[str, Any], run_dir: Path) -> list[list[str]]:
    """Return what was fooled, of how many, with Wilson's interval, and how large the changes are."""
    from labs.reporting.statistics import wilson_interval

    metrics = facts["metrics"]
    posed = round(metrics["test/problems"])
    lines = [["measured", "value", "95 % interval"]]
    for name, words in FORMS.items():
        if name in metrics:
            count = round(metrics[name] * posed)
            low, high = wilson_interval(count, posed)
            lines.append([words, f"{count} of {posed} ({metrics[name]:.1%})", f"{100 * low:.1f} to {100 * high:.1f} %"])
    if metrics["test/already"]:
        lines.append(["not counted: already the target", f"{metrics['test/already']:.0f}", ""])
    if "test/steps" in metrics:
        lines += [
            ["mean steps", f"{metrics['test/steps']:.1f}", ""],
            ["mean L2 of a change, pixels in [0, 1]", f"{metrics['test/l2']:.2f}", ""],
            ["mean L2, share of the image's", f"{metrics['test/l2_share']:.2%}", ""],
            ["mean largest change, of 255", f"{255 * metrics['test/linf']:.1f}", ""],
            ["mean confidence in the target", f"{metrics['test/confidence']:.1%}", ""],
        ]
    return lines


def _share(key: str, title: str) -> Column:
    return Column(key, f"{title} (%)", "higher", "percent", _GROUP, interval=True, trials="test/problems")


SHEET = Sheet(
    title="Fooling images",
    handout="hand-out 002, 2-b, questions 5 to 7",
    docs="docs/fooling.md",
    about="These questions change an image so little that nobody sees it, until a net answers something else.",
    questions=(
        Question("002, 2-b 5", "How well are the images fooled, and how visible is the change?"),
        Question("002, 2-b 6", "What do such images mean in practice?"),
        Question("002, 2-b 7", "What are the limits of this simple method, and which others are there?"),
    ),
    leads="test/fooled",
    ranks=False,  # more steps fool more, and change more
    columns=(
        Column("test/problems", "problems", "neither", "count"),
        Column("test/already", "already the target", "neither", "count"),
        _share("test/fooled", "as asked for"),
        _share("test/fooled_float", "as computed"),
        _share("test/fooled_png", "as PNG"),
        _share("test/fooled_jpeg", "as JPEG"),
        Column("test/steps", "steps", "lower", group=_SIZE),
        Column("test/l2", "L2", "lower", group=_SIZE),
        Column("test/l2_share", "L2, share of the image's (%)", "lower", "percent", group=_SIZE),
        Column("test/linf", "largest, of 1", "lower", group=_SIZE),
        Column("test/confidence", "confidence in the target (%)", "neither", "percent"),
        SECONDS,
    ),
    caption=(
        "A problem is an image and a target. Fooled: the share of problems whose changed image the net takes for the "
        "target, in the form that the run asks for (`module.survive`), as computed, saved in 8 bits, and as JPEG. "
        "Intervals are over problems. Images that the net takes for the target before any change are counted "
        "separately. Steps, sizes (of pixels in [0, 1]) and confidence are means over the images that fool the net."
    ),
    settings=(
        "module.net.name",
        "module.target",
        "module.method",
        "module.survive",
        "module.lr",
        "module.steps",
        "module.epsilon",
        "module.jpeg_quality",
    ),
    files=("fooled.tsv", "images/*.png", "images/*.jpg", "images/targets/*.png"),
    pictures=("images/sheet.png",),
    plots=(),
    panels=(),
    results=_results,
    try_out=("module.steps=2",),
)

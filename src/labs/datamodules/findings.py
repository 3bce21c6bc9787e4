"""The report on a user's images: images per class and split, skipped and converted files, and copies."""

import io
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from lightning.pytorch.utilities import rank_zero_only
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from labs.datamodules.folder_listing import Skipped
from labs.quantities import quantity

if TYPE_CHECKING:
    from labs.datamodules.sources import LabeledImages

FEW = 5  # classes with fewer training images are marked
SHOWN = 30  # classes and sets of copies to print; the files in the run directory have all of them
LEAKED = "copies of training images in the test"  # the label of such a run


class Findings(NamedTuple):
    """What reading the images found, apart from the images; rows are those of the images."""

    place: str  # as typed by the user
    skipped: list[Skipped]
    converted: list[list[str]]  # the conversions of each image
    copies: list[list[int]]  # rows of identical images
    near_copies: list[list[int]]  # rows of identical or nearly identical images
    notes: list[str]


def counts_of(found: Findings, rows: Mapping[str, np.ndarray]) -> dict[str, int]:
    """Return the counts for `metrics.json`."""
    train, test = (set(rows[split].tolist()) for split in ("train", "test"))
    return {
        "files skipped": len(found.skipped),
        "images converted": sum(map(bool, found.converted)),
        "copies": sum(len(copies) - 1 for copies in found.copies),
        "near copies": sum(len(copies) - 1 for copies in found.near_copies),
        LEAKED: sum(len(test & set(copies)) for copies in found.copies if train & set(copies)),
    }


@rank_zero_only
def print_report(images: "LabeledImages", rows: Mapping[str, np.ndarray]) -> None:
    """Print a short report."""
    _console().print(*_report(images, rows, SHOWN), sep="\n")


def documents_of(images: "LabeledImages", rows: Mapping[str, np.ndarray]) -> dict[str, str]:
    """Return the files for the run directory: the full report, and a table with one row per file."""
    text = io.StringIO()
    _console(file=text, width=160).print(*_report(images, rows, None), sep="\n")
    return {"data.txt": text.getvalue(), "data.tsv": _table(images, rows)}


def _console(**options: Any) -> Console:
    return Console(markup=False, highlight=False, emoji=False, soft_wrap=False, **options)


def _report(images: "LabeledImages", rows: Mapping[str, np.ndarray], most: int | None) -> list[RenderableType]:
    found = images.findings
    assert found is not None
    split_of = _split_of(images, rows)
    parts: list[RenderableType] = [_classes(images, rows, most)]
    if found.skipped:
        parts.append(_by_words(f"Skipped files and folders: {len(found.skipped)}", _grouped(found.skipped), most))
    done = [Skipped(name, word) for name, words in zip(images.names, found.converted) for word in words]
    if done:
        count = sum(map(bool, found.converted))
        parts.append(_by_words(f"Converted to upright 8-bit RGB: {quantity(count, 'image')}", _grouped(done), most))
    near = [copies for copies in found.near_copies if copies not in found.copies]
    for what, sets in (("Copies", found.copies), ("Near copies", near)):
        parts += _copies(what, sets, images, split_of, most)
    idle = sum(split == "" for split in split_of)
    notes = [*found.notes, *([f"{idle} validation images are not used: datamodule.validation=test"] if idle else [])]
    return [*parts, *(Text(f"note: {note}", style="yellow") for note in notes)]


def _split_of(images: "LabeledImages", rows: Mapping[str, np.ndarray]) -> list[str]:
    """Return the split of each image; with `datamodule.validation=test` an image is in both, and counts as test."""
    splits = [""] * len(images.names)
    for split in ("train", "val", "test"):
        for row in rows[split]:
            splits[row] = split
    return splits


def _classes(images: "LabeledImages", rows: Mapping[str, np.ndarray], most: int | None) -> Table:
    """Return the table of images by class and split; of many classes, show only the smallest."""
    shown = [split for split in rows if split != "val" or not np.array_equal(rows["val"], rows["test"])]
    counts = {split: np.bincount(images.labels[rows[split]], minlength=len(images.classes)) for split in shown}
    order = np.arange(len(images.classes))
    table = Table("class", title="Images by class and split", title_justify="left")
    for split in shown:
        table.add_column(split, justify="right")
    table.add_column()
    if most is not None and len(order) > most:
        order = np.argsort(counts["train"], kind="stable")[:most]
        table.title = f"Images in the {most} smallest of {len(images.classes)} classes; data.txt lists all"
    for label in order:
        few = counts["train"][label] < FEW
        notes = ["few"] if few else []
        notes += [f"no {split} images" for split in shown if counts[split][label] == 0]
        values = [str(counts[split][label]) for split in shown]
        table.add_row(Text(images.classes[label]), *values, ", ".join(notes), style="yellow" if notes else "")
    table.add_section()
    table.add_row("all", *(str(len(rows[split])) for split in shown), "")
    return table


def _grouped(items: Iterable[Skipped]) -> dict[str, list[str]]:
    """Return the names by reason, most frequent reason first; text in parentheses belongs to a single file."""
    groups: dict[str, list[str]] = {}
    for name, why in items:
        groups.setdefault(why.partition(" (")[0], []).append(name)
    return dict(sorted(groups.items(), key=lambda item: -len(item[1])))


def _by_words(title: str, groups: Mapping[str, Sequence[str]], most: int | None) -> Table:
    table = Table("", "files", "such as" if most else "", title=title, title_justify="left")
    table.columns[1].justify = "right"
    for why, names in groups.items():
        listed = names if most is None else names[:3]
        table.add_row(why, str(len(names)), Text(", ".join(listed) + (", ..." if len(listed) < len(names) else "")))
    return table


def _copies(
    what: str, sets: Sequence[Sequence[int]], images: "LabeledImages", split_of: Sequence[str], most: int | None
) -> list[RenderableType]:
    """Return the table of one kind of copies; sets in several splits or classes come first."""
    if not sets:
        return []
    marked = []
    for rows in sets:
        splits = sorted({split_of[row] for row in rows} - {""}, key=["train", "val", "test"].index)
        labels = {int(images.labels[row]) for row in rows}
        marks = [f"in {' and '.join(splits)}"] if len(splits) > 1 else []
        marked.append((marks + (["in several classes"] if len(labels) > 1 else []), rows))
    marked.sort(key=lambda item: -len(item[0]))
    title = f"{what}: {len(sets)} set{'s' * (len(sets) > 1)} of images"
    table = Table("", "", title=title, title_justify="left", show_header=False)
    for marks, rows in marked[:most]:
        names = [images.names[row] for row in rows]
        listed = names if most is None else names[:4]
        more = f", ... ({len(names)} in all)" if len(listed) < len(names) else ""
        table.add_row(Text(", ".join(listed) + more), Text(", ".join(marks), style="bold red"))
    if most is not None and len(marked) > most:
        table.add_row(f"... ({len(marked)} in all; data.txt lists them)", "")
    return [table]


def _table(images: "LabeledImages", rows: Mapping[str, np.ndarray]) -> str:
    """Return one row per file: its path, class and split, and what was done with it."""
    found = images.findings
    assert found is not None
    same_as: dict[int, str] = {}
    for what, sets in (("nearly", found.near_copies), ("the same as", found.copies)):
        same_as |= {row: f"{what} {images.names[copies[0]]}" for copies in sets for row in copies[1:]}
    lines = [("file", "class", "split", "skipped", "converted", "copy")]
    for row, split in enumerate(_split_of(images, rows)):
        label, words = images.classes[images.labels[row]], ", ".join(found.converted[row])
        lines.append((images.names[row], label, split, "", words, same_as.get(row, "")))
    lines += [(skip.name, "", "", skip.why, "", "") for skip in found.skipped]
    return "".join("\t".join(line) + "\n" for line in lines)

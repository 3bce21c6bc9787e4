"""List a folder of the user's images: the class and split of each file, and what is skipped and why.

Only names are read, no files are opened, and no slow modules are imported, because the command line needs the number of
classes before anything else.
"""

import os
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

from labs import LabsError
from labs.quantities import quantity
from labs.storage.files import printable

Split = Literal["train", "val", "test"]

KEY = "datamodule.source.path"
# Names of splits, for folders and in tables, in any capitalization.
SPLITS: dict[str, Split] = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
TABLES = (".csv", ".tsv")
# Files that operating systems and programs leave in folders. Names that begin with a dot are hidden, too.
LEFTOVERS = ("__MACOSX", "Thumbs.db", "ehthumbs.db", "desktop.ini", "Icon\r", "@eaDir", "$RECYCLE.BIN")
HIDDEN, NO_CLASS, DANGLING, LOOP, NO_FILE = (
    "hidden, or a system file",
    "not in a class folder",
    "a broken link",
    "a link to one of its own parent folders",
    "not a regular file",
)


class Listed(NamedTuple):
    """A file to read as an image."""

    path: Path
    name: str  # printable path inside the folder
    label: str  # the name of its class
    split: Split | None  # None: not assigned yet


class Skipped(NamedTuple):
    """A skipped file or folder."""

    name: str
    why: str


@dataclass
class Listing:
    """The files that were found, before any of them is opened."""

    root: Path
    files: list[Listed] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)  # messages for the user

    @property
    def classes(self) -> list[str]:
        """The names of the classes, sorted."""
        return sorted({file.label for file in self.files})

    @property
    def splits(self) -> set[Split]:
        """The splits that the user provides."""
        return {file.split for file in self.files if file.split is not None}


def list_images(path: str, columns: Sequence[str] = ("path", "label", "split"), others: str = "refuse") -> Listing:
    """List the images of a folder with class folders, of one with `train/`, `val/` and `test/`, or of a table.

    Args:
        path: a folder, or a .csv or .tsv file.
        columns: names of a table's columns for path, class and split; the last one is optional.
        others: `refuse` or `ignore` other columns of a table.

    Raises:
        LabsError: The folder does not exist, cannot be read, or does not have one of these layouts.
    """
    typed = f"{KEY}={path}"
    try:
        root = Path(path).expanduser()
        is_folder, is_file = root.is_dir(), root.is_file()
    except (OSError, ValueError, RuntimeError) as error:  # no permission, a name too long, an unknown home directory
        raise LabsError(f"{typed}: cannot be opened ({error}); type a folder of images that you can read.") from error
    if is_folder:
        listing = _in_folder(root, typed)
    elif is_file and root.suffix.lower() in TABLES:
        from labs.datamodules.table_listing import in_table

        listing = in_table(root, typed, columns, others)
    elif is_file:
        raise LabsError(
            f"{typed}: this file is neither a folder of images nor a table (.csv, .tsv). Type the folder that contains "
            "your class folders; unpack an archive first."
        )
    else:
        raise LabsError(f"{typed}: no such folder or file in {Path.cwd()}; type the path of your images.")
    _check_classes(listing, typed)
    return listing


def class_name(name: str) -> str:
    """Return the name of a class: composed letters (NFC) and single spaces, so that equal names are one class."""
    return printable(" ".join(unicodedata.normalize("NFC", name).split()))


def _in_folder(root: Path, typed: str) -> Listing:
    listing = Listing(root)
    folders, loose = _children(root, root, listing)
    by_split = {SPLITS[folder.name.lower()]: folder for folder in folders if folder.name.lower() in SPLITS}
    if by_split:
        _check_splits(folders, by_split, typed)
        for split, folder in by_split.items():
            inner, stray = _children(folder, root, listing)
            if stray and not inner:
                raise LabsError(
                    f"{typed}: {folder.name}/ has {quantity(len(stray), 'file')}, such as "
                    f"{printable(stray[0].name)}, but no class folders; put the images "
                    "of each class into their own folder in it, or move it away."
                )
            loose += stray
            _in_classes(inner, split, listing)
    else:
        if loose and not folders:
            raise LabsError(
                f"{typed}: the folder has {quantity(len(loose), 'file')}, such as {printable(loose[0].name)}, but no "
                "class folders; put the images of each class into their own folder, or type a table (.csv) with the "
                "columns path and label."
            )
        _in_classes(folders, None, listing)
    listing.skipped += [Skipped(_place(path, root), NO_CLASS) for path in loose]
    if not listing.files:
        raise LabsError(f"{typed}: the folder has no images; it should contain one folder of images per class.")
    return listing


def _check_splits(folders: Sequence[Path], by_split: dict[Split, Path], typed: str) -> None:
    """Raise an error if the folders train, val and test are not a complete set of splits."""
    named = [folder.name for folder in folders if folder.name.lower() in SPLITS]
    others = [printable(folder.name) for folder in folders if folder.name.lower() not in SPLITS]
    if others:
        raise LabsError(
            f"{typed}: the folder has {', '.join(named)} and other folders ({_some(others)}), so it is not clear "
            "which are splits and which are classes; move the others away, or rename them."
        )
    if len(named) > len(by_split):
        raise LabsError(f"{typed}: {' and '.join(sorted(named))} are the same split; keep one of them.")
    if "train" not in by_split:
        raise LabsError(f"{typed}: the folder has {', '.join(named)}, but no train folder; add train/.")


def _in_classes(folders: Sequence[Path], split: Split | None, listing: Listing) -> None:
    """List the images of class folders, at any depth."""
    written: dict[str, list[str]] = {}
    for folder in folders:
        label = class_name(folder.name)
        written.setdefault(label, []).append(printable(folder.name))
        found = len(listing.files)
        for path in _below(folder, listing, frozenset({os.path.realpath(listing.root)})):
            listing.files.append(Listed(path, _place(path, listing.root), label, split))
        if len(listing.files) == found:
            listing.notes.append(f"{_place(folder, listing.root)}/ has no files, so it is not a class")
    for label, names in written.items():
        if len(names) > 1:
            listing.notes.append(
                f"{len(names)} folders are one class, {label}: their names differ only in spaces or in how accents are "
                "stored (NFC, NFD)"
            )


def _below(folder: Path, listing: Listing, above: frozenset[str]) -> Iterator[Path]:
    """Yield the files under a folder; follow links, but not in circles."""
    real = os.path.realpath(folder)
    if real in above:
        listing.skipped.append(Skipped(_place(folder, listing.root), LOOP))
        return
    folders, files = _children(folder, listing.root, listing)
    yield from files
    for inner in folders:
        yield from _below(inner, listing, above | {real})


def _children(folder: Path, root: Path, listing: Listing) -> tuple[list[Path], list[Path]]:
    """Return the folders and the files in a folder, sorted; record what is skipped."""
    folders: list[Path] = []
    files: list[Path] = []
    try:
        with os.scandir(folder) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        where = f"{KEY}: {folder}"
        raise LabsError(f"{where} cannot be read ({error.strerror}); type a folder that you can read.") from error
    for entry in found:
        path, why = folder / entry.name, ""
        if entry.name.startswith(".") or entry.name in LEFTOVERS:
            why = HIDDEN
        elif entry.is_dir():
            folders.append(path)
        elif entry.is_file():
            files.append(path)
        else:
            why = DANGLING if entry.is_symlink() else NO_FILE
        if why:
            listing.skipped.append(Skipped(_place(path, root), why))
    return folders, files


def _check_classes(listing: Listing, typed: str) -> None:
    """Raise an error if training is impossible, and note what looks wrong."""
    classes = listing.classes
    if len(classes) < 2:
        inner = next((folder for folder in sorted(listing.root.glob("*/")) if folder.name == classes[0]), None)
        below = [p for p in sorted(inner.iterdir()) if p.is_dir() and p.name[0] != "."] if inner else []
        hint = f" Did you mean {KEY}={inner}?" if len(below) > 1 else ""
        count = len(listing.files)
        raise LabsError(f"{typed}: all {count} files are in one class, {classes[0]}; at least two are needed.{hint}")
    images = Counter(file.label for file in listing.files if file.split in (None, "train"))
    for label in classes:
        if images[label] == 0:
            raise LabsError(f"{typed}: class {label} has no training images; add some to train/, or remove the class.")
        if images[label] == 1 and "val" not in listing.splits:  # none would be left for validation
            only = next(f.name for f in listing.files if f.label == label and f.split in (None, "train"))
            raise LabsError(
                f"{typed}: class {label} has only one training image, {only}; add images, or remove the class."
            )
    folded = Counter(label.casefold() for label in classes)
    alike = [label for label in classes if folded[label.casefold()] > 1]
    if alike:
        listing.notes.append(f"classes {', '.join(alike)} differ only in capital letters; are they different classes?")


def _place(path: Path, root: Path) -> str:
    return printable(path.relative_to(root).as_posix())


def _some(names: Sequence[str], most: int = 3) -> str:
    return ", ".join(names[:most]) + (f", ... ({len(names)} in all)" if len(names) > most else "")

"""What lies in a folder of the user's images: which files, of which class and split, and what is passed over and why.

Names alone are looked at here, nothing is opened, and nothing heavy is imported: the command line asks how many classes
there are before anything else happens.
"""

import os
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

from labs import LabsError
from labs.storage.files import printable

Split = Literal["train", "val", "test"]

KEY = "datamodule.source.path"
# What a folder or a value in a table may be called that holds one split, in any case.
SPLITS: dict[str, Split] = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
TABLES = (".csv", ".tsv")
# Names that systems and programs leave in folders of images. Whatever begins with a dot is hidden.
LEFTOVERS = ("__MACOSX", "Thumbs.db", "ehthumbs.db", "desktop.ini", "Icon\r", "@eaDir", "$RECYCLE.BIN")
HIDDEN, NO_CLASS, DANGLING, LOOP, NO_FILE = (
    "hidden, or a program's own",
    "in no class folder",
    "a link that leads nowhere",
    "a link back to a folder it lies in",
    "no ordinary file",
)


class Listed(NamedTuple):
    """A file that is to be read as an image."""

    path: Path
    name: str  # its place in the folder, as it can be printed
    label: str  # the name of its class
    split: Split | None  # None: it is still to be cut


class Skipped(NamedTuple):
    """Something that was passed over."""

    name: str
    why: str


@dataclass
class Listing:
    """What was found, before any file is opened."""

    root: Path
    files: list[Listed] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)  # what the user should know

    @property
    def classes(self) -> list[str]:
        """The names of the classes, sorted."""
        return sorted({file.label for file in self.files})

    @property
    def splits(self) -> set[Split]:
        """The splits that the user has made."""
        return {file.split for file in self.files if file.split is not None}


def list_images(path: str, columns: Sequence[str] = ("path", "label", "split"), others: str = "refuse") -> Listing:
    """List the images of a folder with class folders, of one with `train/`, `val/` and `test/`, or of a table.

    Args:
        path: of the folder, or of a .csv or .tsv file.
        columns: of a table: the names of those for path, class and split; the last need not be there.
        others: `refuse` or `ignore` further columns of a table.

    Raises:
        LabsError: There is no such folder, it cannot be read, or what lies there cannot be meant.
    """
    typed = f"{KEY}={path}"
    try:
        root = Path(path).expanduser()
        is_folder, is_file = root.is_dir(), root.is_file()
    except (OSError, ValueError, RuntimeError) as error:  # may not be entered, a name too long, a home of nobody
        raise LabsError(f"{typed}: cannot be opened ({error}); type a folder of images that you may read.") from error
    if is_folder:
        listing = _in_folder(root, typed)
    elif is_file and root.suffix.lower() in TABLES:
        from labs.datamodules.table_listing import in_table

        listing = in_table(root, typed, columns, others)
    elif is_file:
        raise LabsError(
            f"{typed}: this is a file, neither a folder of images nor a table (.csv, .tsv). Type the folder that holds "
            "your class folders; unpack an archive first."
        )
    else:
        raise LabsError(f"{typed}: there is no such folder or file here ({Path.cwd()}); type the path of your images.")
    _check_classes(listing, typed)
    return listing


def class_name(name: str) -> str:
    """Return the name of a class: composed letters (NFC) and plain spaces, so that one name is one class."""
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
                    f"{typed}: {folder.name}/ holds {len(stray)} files, such as {printable(stray[0].name)}, and no "
                    "class folders; put the images of each class into a folder of its own in there, or move it away."
                )
            loose += stray
            _in_classes(inner, split, listing)
    else:
        if loose and not folders:
            raise LabsError(
                f"{typed}: the folder holds {len(loose)} files, such as {printable(loose[0].name)}, and no class "
                "folders; put the images of each class into a folder of its own, or type a table with the columns "
                "path and label (.csv)."
            )
        _in_classes(folders, None, listing)
    listing.skipped += [Skipped(_place(path, root), NO_CLASS) for path in loose]
    if not listing.files:
        raise LabsError(f"{typed}: the folder holds no images; it should hold a folder of images for each class.")
    return listing


def _check_splits(folders: Sequence[Path], by_split: dict[Split, Path], typed: str) -> None:
    """Refuse folders named train, val and test that are not the splits, or not all of it."""
    named = [folder.name for folder in folders if folder.name.lower() in SPLITS]
    others = [printable(folder.name) for folder in folders if folder.name.lower() not in SPLITS]
    if others:
        raise LabsError(
            f"{typed}: it holds {', '.join(named)} and other folders ({_some(others)}), so nobody can say which are "
            "splits and which are classes; move the others away, or rename them."
        )
    if len(named) > len(by_split):
        raise LabsError(f"{typed}: {' and '.join(sorted(named))} name one split twice; leave one of them.")
    if "train" not in by_split:
        raise LabsError(f"{typed}: it holds {', '.join(named)}, and no train folder to learn from; add train/.")


def _in_classes(folders: Sequence[Path], split: Split | None, listing: Listing) -> None:
    """List the images of class folders, however deep they lie."""
    written: dict[str, list[str]] = {}
    for folder in folders:
        label = class_name(folder.name)
        written.setdefault(label, []).append(printable(folder.name))
        found = len(listing.files)
        for path in _below(folder, listing, frozenset({os.path.realpath(listing.root)})):
            listing.files.append(Listed(path, _place(path, listing.root), label, split))
        if len(listing.files) == found:
            listing.notes.append(f"{_place(folder, listing.root)}/ holds no files, so it is no class")
    for label, names in written.items():
        if len(names) > 1:
            listing.notes.append(
                f"{len(names)} folders are one class, {label}: their names are the same but for spaces at the ends or "
                "the way accents are stored (NFC, NFD)"
            )


def _below(folder: Path, listing: Listing, above: frozenset[str]) -> Iterator[Path]:
    """Yield the files under a folder; links are followed, once on each way."""
    real = os.path.realpath(folder)
    if real in above:
        listing.skipped.append(Skipped(_place(folder, listing.root), LOOP))
        return
    folders, files = _children(folder, listing.root, listing)
    yield from files
    for inner in folders:
        yield from _below(inner, listing, above | {real})


def _children(folder: Path, root: Path, listing: Listing) -> tuple[list[Path], list[Path]]:
    """Return the folders and the files of a folder, sorted; note what is passed over."""
    folders: list[Path] = []
    files: list[Path] = []
    try:
        with os.scandir(folder) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        where = f"{KEY}: {folder}"
        raise LabsError(f"{where} cannot be read ({error.strerror}); type a folder that you may read.") from error
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
    """Refuse what nothing can be learned from, and note what is odd."""
    classes = listing.classes
    if len(classes) < 2:
        inner = next((folder for folder in sorted(listing.root.glob("*/")) if folder.name == classes[0]), None)
        below = [p for p in sorted(inner.iterdir()) if p.is_dir() and p.name[0] != "."] if inner else []
        hint = f" Did you mean {KEY}={inner}?" if len(below) > 1 else ""
        count = len(listing.files)
        raise LabsError(f"{typed}: all {count} files are of one class, {classes[0]}; two or more are needed.{hint}")
    images = Counter(file.label for file in listing.files if file.split in (None, "train"))
    for label in classes:
        if images[label] == 0:
            raise LabsError(
                f"{typed}: class {label} has no training images; add some to train/, or take the class out."
            )
        if images[label] == 1 and "val" not in listing.splits:  # none to validate on would be left
            only = next(f.name for f in listing.files if f.label == label and f.split in (None, "train"))
            raise LabsError(
                f"{typed}: class {label} has one image to learn from, {only}; add images, or take the class out."
            )
    folded = Counter(label.casefold() for label in classes)
    alike = [label for label in classes if folded[label.casefold()] > 1]
    if alike:
        listing.notes.append(f"classes {', '.join(alike)} differ in capital letters alone; are they meant to be two?")


def _place(path: Path, root: Path) -> str:
    return printable(path.relative_to(root).as_posix())


def _some(names: Sequence[str], most: int = 3) -> str:
    return ", ".join(names[:most]) + (f", ... ({len(names)} in all)" if len(names) > most else "")

"""A table of images, a .csv or .tsv file with their paths, their classes and, optionally, their splits."""

import csv
import difflib
import os
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path

from labs import LabsError
from labs.datamodules.folder_listing import SPLITS, Listed, Listing, class_name
from labs.storage.files import printable


def in_table(table: Path, typed: str, columns: Sequence[str], others: str) -> Listing:
    """List the images in a table; see `labs.datamodules.folder_listing.list_images`.

    Paths are relative to the table's folder, or absolute.

    Raises:
        LabsError: The table cannot be read, a column is missing or unknown, or a file is missing or listed twice.
    """
    rows = _rows(table, typed)
    header = [name.strip() for name in next(rows, (0, []))[1]]
    path, label, split = _columns(header, typed, columns, others)
    listing = Listing(table.parent)
    lines: dict[str, int] = {}
    for number, row in rows:
        where = f"{typed}, line {number}"
        if len(row) != len(header):
            raise LabsError(
                f"{where}: {len(row)} values for {len(header)} columns; put quotes around a value that contains a "
                "separator."
            )
        if not row[path].strip() or not row[label].strip():
            raise LabsError(f"{where}: {columns[0 if not row[path].strip() else 1]} is empty; fill it in.")
        file = find_file(table.parent, row[path])
        if file is None:
            raise LabsError(
                f"{where}: {row[path]}: no such file in {table.parent.absolute()}; paths are relative to the folder of "
                "the table."
            )
        place = os.path.realpath(file)
        if place in lines:
            raise LabsError(f"{where}: {row[path]} is already in line {lines[place]}; list each image once.")
        lines[place] = number
        word = None if split is None else row[split].strip()
        if word is not None and word.lower() not in SPLITS:
            raise LabsError(f"{where}: {columns[2]} is {word!r}; expected train, val or test in every line.")
        name = printable(Path(os.path.normpath(row[path])).as_posix())
        listing.files.append(Listed(file, name, class_name(row[label]), None if word is None else SPLITS[word.lower()]))
    if not listing.files:
        raise LabsError(f"{typed}: the table has no images; write one line with path and label per image.")
    if listing.splits and "train" not in listing.splits:
        raise LabsError(f"{typed}: column {columns[2]} has no train in any line, so there is nothing to train on.")
    return listing


def _rows(table: Path, typed: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the number and values of each nonempty line; the separator is the most frequent one in the first line."""
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            first = file.readline()
            file.seek(0)
            reader = csv.reader(file, delimiter=max(",;\t", key=first.count), strict=True)
            for row in reader:
                if any(value.strip() for value in row):
                    yield reader.line_num, row
    except UnicodeDecodeError as error:
        raise LabsError(f"{typed}: the table is not in UTF-8 ({error.reason}); save it as CSV UTF-8.") from error
    except csv.Error as error:
        raise LabsError(f"{typed}, line {reader.line_num}: not a valid line of a table ({error}).") from error
    except OSError as error:
        raise LabsError(f"{typed}: cannot be read ({error.strerror}).") from error


def _columns(header: Sequence[str], typed: str, columns: Sequence[str], others: str) -> tuple[int, int, int | None]:
    """Return the indices of the columns for path, class and split."""
    there = f"the table has the columns {', '.join(header) or '(none)'}"
    for name, what in zip(columns[:2], ("path", "label")):
        if name not in header:
            raise LabsError(
                f"{typed}: column {name} is missing; {there}. Add {name} to its first line, or type "
                f"datamodule.source.{what}_column=<the column's name>."
            )
    if twice := [name for name in columns if header.count(name) > 1]:
        raise LabsError(f"{typed}: column {twice[0]} occurs twice; {there}.")
    unknown = [name for name in header if name not in columns]
    if unknown and others == "refuse":
        close = difflib.get_close_matches(unknown[0], columns, n=1)
        hint = f" (did you mean {close[0]}?)" if close else ""
        raise LabsError(
            f"{typed}: unknown column {', '.join(unknown)}{hint}; the known ones are {', '.join(columns)}. Remove it, "
            "rename it, or type datamodule.source.other_columns=ignore."
        )
    path, label = (header.index(name) for name in columns[:2])
    return path, label, header.index(columns[2]) if columns[2] in header else None


def find_file(folder: Path, written: str) -> Path | None:
    """Return a file that is named in a table or list, whichever way its accents are stored."""
    for name in dict.fromkeys((written, written.strip(), *(unicodedata.normalize(f, written) for f in ("NFC", "NFD")))):
        path = folder / Path(name).expanduser()
        try:
            if path.is_file():
                return path
        except (OSError, ValueError):  # a name that is too long or contains a zero byte
            continue
    return None

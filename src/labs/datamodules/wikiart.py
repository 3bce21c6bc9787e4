"""WikiArt, paintings in ten styles (CS-587, University of Crete): images from a list of addresses, or your own.

The course provides a list of 10,000 addresses with labels and splits. It does not contain the names of the styles,
which are inferred from the painters and years of each label.
"""

import csv
import gzip
import io
import re
import zlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from labs import LabsError
from labs.datamodules.embedded.paintings import PAINTINGS_VERSION, write_paintings
from labs.datamodules.folder import read_listing
from labs.datamodules.folder_listing import KEY, SPLITS, Listed, Listing, Skipped, Split, class_name, list_images
from labs.datamodules.image_files import fault_of
from labs.datamodules.small_images import fetch_or_suggest_embedded
from labs.datamodules.sources import LabeledImages
from labs.datamodules.table_listing import find_file
from labs.storage.fetch import Archive
from labs.storage.fetch_many import Wanted, fetch_many
from labs.storage.files import check_file, cut, printable, typed_path, written_once

STYLES = (  # by label
    *("Art Nouveau", "Baroque", "Expressionism", "Impressionism", "Neoclassicism", "Post-Impressionism"),
    *("Realism", "Romanticism", "Surrealism", "Symbolism"),
)
_COMMIT = "41ec01a16cc5f22eee918dc01fa9e286d5827b4b"
LIST = Archive(
    name="wikiart.csv.gz",
    urls=(
        f"https://raw.githubusercontent.com/georgerififi/cs587_assignments/{_COMMIT}/CS587-assignment3/Utilities/"
        "wikiart.csv.gz",
    ),
    sha256="d0cbef995655c2d4256f1761f45fe154a3a6ac5689d4e07bb3419b2cfb10d59b",
    size=281_433,
)
COLUMNS = ("image_id", "image_url", "label", "_split")
INSTEAD = "Without them, add data=embedded to the same command: it uses drawn paintings, and the results say so."
LONGEST = 200  # maximum bytes of an image_id, which becomes a file name
LISTS: dict[str, Split] = {"train.txt": "train", "test.txt": "test"}


class Address(NamedTuple):
    """One row of the list of addresses."""

    image_id: str
    url: str
    label: str
    split: Split


class WikiArt:
    """Read paintings and their styles.

    Args:
        folder: folder of all datasets; this one uses `<folder>/wikiart/`, or `<folder>/embedded/` if drawn.
        path: None downloads the course's list and its images. Otherwise a list of addresses with the same columns (.csv
            or .csv.gz), a list of `path label` (.txt), or a folder that contains such files or class folders.
        paintings: number of paintings to use from a list of addresses, drawn with seed 0 as in the course's script;
            None uses all.
        retry: whether to retry failed downloads of earlier runs.
        embedded: draw paintings instead of downloading them.
        group: group of drawn styles: `downstream` for the practical, `upstream` for pretraining.
        images_per_class: number of drawn paintings per class.
    """

    def __init__(
        self,
        *,
        folder: str,
        path: str | None = None,
        paintings: int | None = 4005,
        retry: bool = False,
        embedded: bool = False,
        group: Literal["downstream", "upstream"] = "downstream",
        images_per_class: int = 68,
    ) -> None:
        path = path or None  # an empty value counts as none
        if embedded and path is not None:
            raise LabsError(f"{KEY}={path}: data=embedded uses drawn paintings; remove data=embedded to use yours.")
        for name, number, least in (("paintings", paintings, 20), ("images_per_class", images_per_class, 10)):
            if number is not None and number < least:
                raise LabsError(f"datamodule.source.{name}={number}: expected {least} or more.")
        self.path, self.paintings, self.retry, self.embedded = path, paintings, retry, embedded
        self.group, self.images_per_class = group, images_per_class
        drawn = f"drawn paintings{' (upstream)' if group == 'upstream' else ''}"
        self.name = drawn if embedded else "WikiArt (10 styles)"
        self.folder = Path(folder)
        self.cache = self.folder / "cache"

    def load(self, size: int) -> LabeledImages:
        """Return the images at `size` pixels, with the test set of the lists.

        Raises:
            LabsError: A list cannot be read, or a style has no readable image.
        """
        listing = self._listing()
        return read_listing(listing, size, self.cache / "pixels", place=self.path or str(listing.root), near=0)

    def _listing(self) -> Listing:
        if self.embedded:
            return self._fetched(self._drawn() / "wikiart.csv", None)
        if self.path is None:
            root = self.folder / "wikiart"
            return self._fetched(fetch_or_suggest_embedded(LIST, root), self.paintings)
        path, typed = typed_path(self.path, KEY), f"{KEY}={self.path}"
        if path.is_dir():
            found = [path / name for name in ("wikiart.csv", "wikiart.csv.gz", *LISTS) if (path / name).is_file()]
            if not found:
                return list_images(self.path)
            path = found[0]
        if path.name.endswith((".csv", ".csv.gz")):
            return self._fetched(path, self.paintings)
        if path.suffix == ".txt":
            return in_lists(path, typed)
        return list_images(self.path)

    def _fetched(self, table: Path, paintings: int | None) -> Listing:
        """List the images of a list of addresses; download missing ones, except those that failed before."""
        rows = read_addresses(table)
        if paintings is not None and paintings < len(rows):
            rows = [rows[place] for place in np.random.RandomState(0).permutation(len(rows))[:paintings]]
        wanted = [Wanted(row.url, f"images/{row.image_id}.jpg") for row in rows]
        try:
            outcomes = fetch_many(wanted, table.parent, accept=fault_of, retry=self.retry and not self.embedded)
        except LabsError as error:
            raise LabsError(f"{error}\n{INSTEAD}") from error
        listing = Listing(table.parent)
        for row, outcome in zip(rows, outcomes):
            name = outcome.wanted.name
            if outcome.path is None:
                listing.skipped.append(Skipped(name, outcome.why))
            else:
                listing.files.append(Listed(outcome.path, name, style(row.label), row.split))
        if not listing.files:
            raise LabsError(
                f"{table}: none of its {len(rows)} images could be downloaded: {outcomes[0].wanted.url}: "
                f"{outcomes[0].why}. {INSTEAD}"
            )
        _check_styles(listing, str(table))
        return listing

    def _drawn(self) -> Path:
        root = self.folder / "embedded" / f"paintings_{self.group}_{self.images_per_class}_v{PAINTINGS_VERSION}"
        return written_once(root, partial(write_paintings, group=self.group, images_per_class=self.images_per_class))


def style(label: str) -> str:
    """Return the style's name for a label.

    Examples:
        >>> style("4"), style("Cubism")
        ('Neoclassicism', 'Cubism')
    """
    return STYLES[int(label)] if re.fullmatch(r"[0-9]", label) else class_name(label)


def read_addresses(table: Path) -> list[Address]:
    """Read a list of addresses, compressed or not.

    Raises:
        LabsError: The file is not such a list, lacks a column, or has a row that is not valid.
    """
    try:
        check_file(table)
        content = table.read_bytes()
        text = (gzip.decompress(content) if table.suffix == ".gz" else content).decode("utf-8-sig")
        return list(_addresses(csv.DictReader(io.StringIO(text)), table))
    except (OSError, EOFError, ValueError, zlib.error, csv.Error) as error:
        raise LabsError(f"{table}: cannot be read as a list of addresses ({error}).") from error


def _addresses(reader: "csv.DictReader[str]", table: Path) -> Iterator[Address]:
    missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
    if missing:
        raise LabsError(
            f"{table}: column {missing[0]} is missing; expected {', '.join(COLUMNS)}. For a table of files, type "
            "datamodule=folder."
        )
    seen: dict[str, int] = {}
    for cells in reader:
        where, values = f"{table}, line {reader.line_num}", [cells[name] for name in COLUMNS]
        if any(not value for value in values) or None in cells:
            raise LabsError(f"{where}: a row needs {', '.join(COLUMNS)}, one value under each column.")
        number, url, label, split = (value.strip() for value in values)
        if not re.fullmatch(r"[\w-][\w.-]*", number) or cut(number, LONGEST) != number:
            raise LabsError(f"{where}: image_id {number!r} cannot be a file name; expected letters, digits, - and _.")
        if split.lower() not in SPLITS:
            raise LabsError(f"{where}: _split is {split!r}; expected train or test.")
        if number.lower() in seen:
            raise LabsError(f"{where}: image_id {number} is already in line {seen[number.lower()]}.")
        seen[number.lower()] = reader.line_num
        yield Address(number, url, label, SPLITS[split.lower()])
    if not seen:
        raise LabsError(f"{table}: the list is empty.")


def in_lists(path: Path, typed: str) -> Listing:
    """List the images of `train.txt` and `test.txt`, or of one list without splits.

    A line is `path label`; the label follows the last space, so that paths may contain spaces. Paths are absolute, or
    relative to the list's folder.

    Raises:
        LabsError: A line has no label, or a file is missing or listed twice.
    """
    pair = [path.with_name(name) for name in LISTS]
    paths = pair if path in pair and all(file.is_file() for file in pair) else [path]
    listing = Listing(path.parent)
    seen: dict[Path, str] = {}
    for file in paths:
        for where, name, label in _lines(file):
            image = find_file(path.parent, name)
            if image is None:
                raise LabsError(f"{where}: {name}: no such file in {path.parent.absolute()}.")
            if image in seen:
                raise LabsError(f"{where}: {name} is already in {seen[image]}; list each image once.")
            seen[image] = where
            split = LISTS[file.name] if len(paths) > 1 else None
            listing.files.append(Listed(image, printable(name), style(label), split))
    if not listing.files:
        raise LabsError(f"{typed}: the list has no images; write one line with path and label per image.")
    _check_styles(listing, typed)
    return listing


def _lines(file: Path) -> Iterator[tuple[str, str, str]]:
    try:
        check_file(file)
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        raise LabsError(f"{file}: cannot be read as a list ({error}).") from error
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        name, blank, label = line.strip().rpartition(" ")
        if not blank or not name.strip():
            raise LabsError(f"{file}, line {number}: {line.strip()!r}: expected a path, a space and a label.")
        yield f"{file}, line {number}", name.strip().strip('"'), label


def _check_styles(listing: Listing, where: str) -> None:
    if len(listing.classes) < 2:
        raise LabsError(f"{where}: all images have one style, {listing.classes[0]}; at least two are needed.")

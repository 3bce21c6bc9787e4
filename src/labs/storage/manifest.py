"""The table `manifest.tsv` beside downloaded files: which files were requested, and the outcome of each."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from labs.storage.files import printable, write_text

NAME = "manifest.tsv"
Key = tuple[str, str]  # address and name


class Wanted(NamedTuple):
    """A file to download: its address, its path in the folder, and its SHA-256 if known."""

    url: str
    name: str
    sha256: str | None = None

    @property
    def key(self) -> Key:
        """Return the key of its row."""
        return printable(self.url), printable(self.name)


class Row(NamedTuple):
    """The outcome for one file. If it failed, digest and length are empty and `why` gives the reason."""

    url: str
    name: str
    sha256: str
    bytes: str
    status: str  # `ok` or `failed`
    why: str

    @classmethod
    def of(cls, file: Wanted, *, sha256: str = "", length: int | None = None, why: str = "") -> "Row":
        """Describe a downloaded file, or the reason `why` it failed."""
        return cls(*file.key, sha256, "" if length is None else str(length), "failed" if why else "ok", printable(why))


def read_manifest(folder: Path) -> dict[Key, Row]:
    """Return the last row of each file; skip a line that a killed process left incomplete."""
    if not (folder / NAME).is_file():
        return {}
    found = [cells.split("\t") for cells in (folder / NAME).read_text(encoding="utf-8", errors="replace").split("\n")]
    rows = [Row(*cells) for cells in found if len(cells) == len(Row._fields)]
    return {(row.url, row.name): row for row in rows if row.status in ("ok", "failed")}


def write_manifest(folder: Path, rows: Iterable[Row]) -> None:
    """Write the whole table, sorted by name, atomically."""
    write_text(folder / NAME, "".join(map(line, [Row._fields, *sorted(rows, key=lambda row: row.name)])))


def line(cells: Iterable[str]) -> str:
    """Return one line of the table."""
    return "\t".join(cells) + "\n"

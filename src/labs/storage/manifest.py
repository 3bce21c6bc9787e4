"""The table of what was wanted, what came, and why the rest did not: `manifest.tsv` beside the files."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from labs.storage.files import printable, write_text

NAME = "manifest.tsv"
Key = tuple[str, str]  # address and name


class Wanted(NamedTuple):
    """A file to bring: where it is, its path in the folder, and its SHA-256 if that is known."""

    url: str
    name: str
    sha256: str | None = None

    @property
    def key(self) -> Key:
        """Return what its row is found by."""
        return printable(self.url), printable(self.name)


class Row(NamedTuple):
    """What is known of one file. Digest and length are empty, and `why` is not, where it did not come."""

    url: str
    name: str
    sha256: str
    bytes: str
    status: str  # `ok` or `failed`
    why: str

    @classmethod
    def of(cls, file: Wanted, *, sha256: str = "", length: int | None = None, why: str = "") -> "Row":
        """Describe a file that is there, or say why it is not."""
        return cls(*file.key, sha256, "" if length is None else str(length), "failed" if why else "ok", printable(why))


def read_manifest(folder: Path) -> dict[Key, Row]:
    """Return the rows, the last one of each file; a line that a killed process left torn is passed over."""
    if not (folder / NAME).is_file():
        return {}
    found = [cells.split("\t") for cells in (folder / NAME).read_text(encoding="utf-8", errors="replace").split("\n")]
    rows = [Row(*cells) for cells in found if len(cells) == len(Row._fields)]
    return {(row.url, row.name): row for row in rows if row.status in ("ok", "failed")}


def write_manifest(folder: Path, rows: Iterable[Row]) -> None:
    """Write the whole table, sorted by name, in one move."""
    write_text(folder / NAME, "".join(map(line, [Row._fields, *sorted(rows, key=lambda row: row.name)])))


def line(cells: Iterable[str]) -> str:
    """Write one line."""
    return "\t".join(cells) + "\n"

"""FaceScrub's lists: one line per face, with the address of the photograph, its SHA-256 and the box of the face."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from labs import LabsError
from labs.storage.files import check_file, cut, portable, printable

COLUMNS = ("name", "image_id", "face_id", "url", "bbox", "sha256")
PATTERN = "*act*.txt"  # facescrub_actors.txt, facescrub_actresses.txt, and the courses' versions
INSTEAD = "Without them, add data=embedded to the same command: it uses drawn faces, and the results say so."
Box = tuple[int, int, int, int]
_SUFFIXES = (".jpg", ".jpeg", ".png", ".gif", ".bmp", ".tif", ".tiff", ".webp")


class Face(NamedTuple):
    """One line of a list."""

    person: str
    image_id: str
    face_id: str
    url: str
    box: Box  # x1, y1, x2, y2: the top left and bottom right corners, in pixels
    sha256: str  # of the file at the address
    place: str  # file and line number, for messages

    @property
    def photograph(self) -> str:
        """Return the path of the photograph, named as by the dataset's own script."""
        suffix = Path(self.url.partition("?")[0]).suffix.lower()
        return f"{self._stem}_{self.image_id}{suffix if suffix in _SUFFIXES else '.jpg'}"

    @property
    def crop(self) -> str:
        """Return the path of the cropped face."""
        return f"{self._stem}_{self.image_id}_{self.face_id}.png"

    @property
    def _stem(self) -> str:
        folder = portable(cut(re.sub(r"[^\w-]+", "_", self.person), 100))
        return f"{folder}/{folder}"


def read_lists(folder: Path) -> list[Face]:
    """Read all lists in a folder, with or without a header line; repeated lines count once.

    Raises:
        LabsError: There is no list, or a line is not valid; the message names the file and the line.
    """
    files = sorted(path for path in folder.glob(PATTERN) if not path.name.startswith("."))
    if not files:
        raise LabsError(
            f"FaceScrub's lists are not in {folder.absolute()}. Put facescrub_actors.txt and facescrub_actresses.txt "
            "there (to get them, fill in the form at http://vintage.winklerbros.net/facescrub.html), or the lists of "
            f"your course, subset_actors.txt and subset_actresses.txt.\n{INSTEAD}"
        )
    found: dict[str, Face] = {}
    photographs: dict[str, Face] = {}
    for face in (face for path in files for face in _faces(path)):
        before = found.setdefault(face.crop.casefold(), face)
        if before[:-1] != face[:-1]:
            raise LabsError(
                f"{face.place}: this line and {before.place} are different faces with the same name and numbers "
                f"({face.person}, {face.image_id}, {face.face_id}). Delete one of them."
            )
        other = photographs.setdefault(face.photograph.casefold(), face)
        if (other.url, other.sha256) != (face.url, face.sha256):
            raise LabsError(
                f"{face.place}: this line and {other.place} are different photographs with the same name and number "
                f"({face.person}, {face.image_id}). Delete one of them."
            )
    return list(found.values())


def _faces(path: Path) -> Iterator[Face]:
    """Yield the faces of one list; the first line is a header if its second column is not a number."""
    try:
        check_file(path)
        text = path.read_bytes().decode("utf-8-sig", "replace")
    except OSError as error:
        raise LabsError(f"{path}: cannot be read ({error.strerror or error}).") from error
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        cells = [cell.strip() for cell in line.split("\t")]
        place = f"{path.name}, line {number}"
        if len(cells) < len(COLUMNS):
            page = " This is an HTML page: save the list itself." if line.lstrip().startswith("<") else ""
            raise LabsError(
                f"{path}, line {number}: expected {len(COLUMNS)} columns separated by tabs "
                f"({', '.join(COLUMNS)}), found {len(cells)}: {printable(line[:80])}{page}"
            )
        if number == 1 and not cells[1].isdigit():
            continue
        yield _face(cells, f"{path}, line {number}", place)


def _face(cells: list[str], where: str, place: str) -> Face:
    person, image_id, face_id, url, bbox, sha256 = cells[: len(COLUMNS)]
    if not (person and re.fullmatch(r"\d{1,20}", image_id) and re.fullmatch(r"\d{1,20}", face_id)):
        raise LabsError(
            f"{where}: expected a name, an image number and a face number, found {printable(' '.join(cells[:3]))}."
        )
    if not re.fullmatch(r"\s*-?\d{1,7}\s*(,\s*-?\d{1,7}\s*){3}", bbox):
        raise LabsError(f"{where}: expected a box x1,y1,x2,y2 in pixels, such as 10,20,110,120; found {bbox!r}.")
    left, top, right, bottom = (int(number) for number in bbox.split(","))
    if right <= left or bottom <= top:
        raise LabsError(
            f"{where}: the box {bbox} has no area: x2 must be larger than x1, and y2 larger than y1. Correct "
            "or delete the line."
        )
    if not re.fullmatch(r"[0-9a-fA-F]{64}", sha256):
        raise LabsError(f"{where}: expected a SHA-256 with 64 hex digits, found {printable(sha256)!r}.")
    return Face(printable(person), image_id, face_id, url, (left, top, right, bottom), sha256.lower(), place)

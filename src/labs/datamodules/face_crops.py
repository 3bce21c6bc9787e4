"""Crop faces from photographs, once: `faces/` beside `images/`, with a table of outcomes."""

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from labs.datamodules.facescrub_lists import Box, Face
from labs.datamodules.image_files import LEAST_PIXELS, UnreadableImageError, read_rgb
from labs.storage.bars import image_bar
from labs.storage.files import replacing, write_text

TABLE = "faces.tsv"
HEAD = ("face", "person", "photograph", "sha256", "box", "cut", "status", "why", "line")


def cut_faces(faces: Sequence[Face], photographs: Mapping[str, Path | str], folder: Path) -> list[str]:
    """Crop each face from its photograph into `folder`; return why it failed, or an empty string, for each.

    A box refers to the pixels as stored in the file, so that a photograph is not rotated by its EXIF tag. It is clamped
    to the photograph. A face that an earlier call cropped from the same file with the same box is left unchanged.

    Args:
        faces: Lines of the lists.
        photographs: The path of each photograph by name, or why it is missing.
        folder: Folder of the cropped faces and the table.
    """
    kept = _read(folder / TABLE)
    rows: list[tuple[str, ...]] = [()] * len(faces)

    def cut(number: int) -> None:
        face = faces[number]
        found = photographs[face.photograph]
        known = (face.crop, face.person, face.photograph, face.sha256, _words(face.box))
        row = kept.get(face.crop, ())
        if row[:5] == known and row[6] == "ok" and isinstance(found, Path) and (folder / face.crop).is_file():
            rows[number] = row
            return
        done, why = cut_face(found, face.box, folder / face.crop) if isinstance(found, Path) else (None, found)
        rows[number] = (*known, _words(done) if done else "", "failed" if why else "ok", why, face.place)

    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool, image_bar() as bar:
        for _ in bar.track(pool.map(cut, range(len(faces))), len(faces), description="cropping faces"):
            pass
    wanted = {face.crop for face in faces}
    others = [row for name, row in kept.items() if name not in wanted]
    table = sorted([*others, *rows])
    if {row[0]: row for row in table} != kept:
        folder.mkdir(parents=True, exist_ok=True)
        write_text(folder / TABLE, "".join("\t".join(row) + "\n" for row in [HEAD, *table]))
    return [row[7] for row in rows]


def cut_face(photograph: Path, box: Box, target: Path) -> tuple[Box | None, str]:
    """Crop one face; return the clamped box, or None and the reason."""
    try:
        image, _ = read_rgb(photograph, upright=False)
    except UnreadableImageError as error:
        return None, error.why
    left, top, right, bottom = clamped(box, image.size)
    if right <= left or bottom <= top:
        return None, f"its box is outside the photograph ({_words(box)} of {image.width}x{image.height} pixels)"
    if min(right - left, bottom - top) < LEAST_PIXELS:
        return None, f"its box is smaller than {LEAST_PIXELS} pixels ({_words((left, top, right, bottom))})"
    target.parent.mkdir(parents=True, exist_ok=True)
    with replacing(target) as staged:
        image.crop((left, top, right, bottom)).save(staged, format="PNG", compress_level=3)
    return (left, top, right, bottom), ""


def clamped(box: Box, size: tuple[int, int]) -> Box:
    """Clamp a box to an image of (width, height) pixels.

    Examples:
        >>> clamped((-3, 5, 120, 90), (100, 80))
        (0, 5, 100, 80)
    """
    return max(box[0], 0), max(box[1], 0), min(box[2], size[0]), min(box[3], size[1])


def _read(table: Path) -> dict[str, tuple[str, ...]]:
    """Return the rows of the table by face; skip incomplete or invalid rows."""
    if not table.is_file():
        return {}
    rows = (tuple(line.split("\t")) for line in table.read_text(encoding="utf-8", errors="replace").split("\n")[1:])
    return {row[0]: row for row in rows if len(row) == len(HEAD)}


def _words(box: Box) -> str:
    return ",".join(map(str, box))

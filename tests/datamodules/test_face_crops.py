from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from labs.datamodules.face_crops import HEAD, TABLE, cut_faces
from labs.datamodules.facescrub_lists import Box, Face

WHITE = 255


@pytest.fixture
def photograph(tmp_path: Path) -> Path:
    """60 pixels wide and 40 high, each of its own color; it says that it lies on its side."""
    rows, columns = np.mgrid[:40, :60]
    pixels = np.stack([rows, columns, rows * 0 + 9], axis=2).astype(np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(tmp_path / "photo.png", exif=exif)
    return tmp_path / "photo.png"


def face(box: Box, number: int = 1) -> Face:
    return Face("Ada", "7", str(number), "http://a.invalid/b.png", box, "0" * 64, f"list.txt, line {number}")


@pytest.mark.parametrize(
    ("box", "taken"),
    [
        ((10, 5, 30, 35), (10, 5, 30, 35)),
        ((-7, -2, 30, 35), (0, 0, 30, 35)),
        ((40, 20, 999, 50), (40, 20, 60, 40)),
        ((-9, -9, 99, 99), (0, 0, 60, 40)),
    ],
)
def test_a_box_is_cut_from_the_pixels_as_they_are_stored(
    photograph: Path, tmp_path: Path, box: Box, taken: Box
) -> None:
    one = face(box)
    assert cut_faces([one], {one.photograph: photograph}, tmp_path / "faces") == [""]
    with Image.open(tmp_path / "faces" / one.crop) as cut:
        pixels = np.asarray(cut)
    left, top, right, bottom = taken
    assert pixels.shape == (bottom - top, right - left, 3)
    assert pixels[0, 0].tolist() == [top, left, 9]
    assert pixels[-1, -1].tolist() == [bottom - 1, right - 1, 9]


def test_what_cannot_be_cut_says_why(photograph: Path, tmp_path: Path) -> None:
    faces = [face((70, 5, 90, 35), 1), face((-9, -9, -1, -1), 2), face((57, 5, 80, 35), 3)]
    assert cut_faces(faces, {faces[0].photograph: photograph}, tmp_path / "faces") == [
        "its box is outside the photograph (70,5,90,35 of 60x40 pixels)",
        "its box is outside the photograph (-9,-9,-1,-1 of 60x40 pixels)",
        "its box is smaller than 8 pixels (57,5,60,35)",
    ]
    assert cut_faces(faces[:1], {faces[0].photograph: "404 Not Found"}, tmp_path / "faces") == ["404 Not Found"]
    (tmp_path / "page.jpg").write_text("<html>")
    assert cut_faces(faces[:1], {faces[0].photograph: tmp_path / "page.jpg"}, tmp_path / "faces") == ["an HTML page"]
    assert not list((tmp_path / "faces").rglob("*.png"))


def test_what_is_cut_is_left_alone_until_its_line_changes(photograph: Path, tmp_path: Path) -> None:
    folder = tmp_path / "faces"
    one, two = face((10, 5, 30, 35)), face((0, 0, 20, 20), 2)
    where = {one.photograph: photograph}
    cut_faces([one, two], where, folder)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.*")}
    cut_faces([one, two], where, folder)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*.*")} == before
    cut_faces([one._replace(box=(10, 5, 50, 35))], where, folder)  # and the table keeps what is not asked for now
    with Image.open(folder / one.crop) as cut:
        assert cut.size == (40, 30)
    head, *rows = [line.split("\t") for line in (folder / TABLE).read_text().splitlines()]
    assert tuple(head) == HEAD
    assert [(row[0], row[4], row[6]) for row in rows] == [
        (one.crop, "10,5,50,35", "ok"),
        (two.crop, "0,0,20,20", "ok"),
    ]

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from labs.datamodules.embedded.face_drawing import draw_face
from labs.datamodules.embedded.face_people import person
from labs.datamodules.embedded.faces import LOST, write_facescrub
from labs.datamodules.facescrub_lists import read_lists
from labs.storage.manifest import read_manifest


def test_the_same_seed_writes_the_same_files_in_the_layout_of_a_fetch(tmp_path: Path) -> None:
    trees = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        write_facescrub(tmp_path / name, people=3, per_person=9, seed=seed)
        trees.append({p.relative_to(tmp_path / name): p.read_bytes() for p in (tmp_path / name).rglob("*.*")})
    assert trees[0] == trees[1] != trees[2]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "c"]

    root = tmp_path / "a"
    heads = [(root / f"facescrub_{who}.txt").read_text().startswith("name\t") for who in ("actors", "actresses")]
    assert heads == [True, False]  # both kinds that are in circulation
    faces, rows = read_lists(root), read_manifest(root / "images")
    assert len(faces) == len(rows) == 9 + 9 + 3
    for face in faces:
        row = rows[face.url, face.photograph]
        file = root / "images" / face.photograph
        assert (row.status == "ok") is file.is_file()
        if file.is_file():
            assert row.sha256 == face.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    assert {row.why for row in rows.values()} == {"", *LOST}


def test_nothing_is_left_of_a_folder_that_could_not_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("labs.datamodules.embedded.faces.write_manifest", full)
    with pytest.raises(OSError, match="No space"):
        write_facescrub(tmp_path / "faces", people=2, per_person=6)
    assert list(tmp_path.iterdir()) == []


def test_relatives_share_their_colors_and_nobody_their_form() -> None:
    people = [person(index) for index in range(12)]
    assert len({one.name for one in people}) == 12
    for one, other in zip(people[::2], people[1::2], strict=True):
        assert (one.skin, one.hair, one.style) == (other.skin, other.hair, other.style)
    forms = np.array([list(one.forms.values()) for one in people])
    spread = np.abs(forms[:, None] - forms[None]) / np.ptp(forms, axis=0)
    assert spread.mean(axis=2)[~np.eye(12, dtype=bool)].min() > 0.15
    with pytest.raises(ValueError, match="80 people"):
        person(80)


def test_a_box_holds_most_of_a_face() -> None:
    """Where the box is, the photographs of one person are more alike than elsewhere."""
    shares = []
    for number in range(20):
        picture, (left, top, right, bottom) = draw_face(person(2), np.random.default_rng([0, 2, number]))
        assert 110 <= min(picture.size) <= max(picture.size) <= 200
        assert right - left == pytest.approx(bottom - top, abs=1)
        shares.append((right - left) / min(picture.size))
    assert 0.4 < min(shares) < max(shares) < 1.0

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from labs.datamodules.embedded.photo_tiles import CLASSES, write_tiles
from labs.datamodules.embedded.photographs import PHOTOGRAPHS


def test_the_same_seed_writes_the_same_files(tmp_path: Path) -> None:
    trees = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        write_tiles(tmp_path / name, per_class=2, seed=seed)
        trees.append({p.relative_to(tmp_path / name): p.read_bytes() for p in (tmp_path / name).rglob("*.*")})
    assert trees[0] == trees[1] != trees[2]
    assert len(trees[0]) == 2 * len(CLASSES)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "c"]


def test_no_two_images_of_a_class_overlap(tmp_path: Path) -> None:
    """Each lies where no other of its class does: the place in the photograph that it is most like."""
    write_tiles(tmp_path / "tiles")
    photograph = np.asarray(Image.open(PHOTOGRAPHS["gravel"].path)).astype(float)
    corners = []
    for path in sorted((tmp_path / "tiles" / "gravel").iterdir()):
        piece = np.asarray(Image.open(path)).astype(float)
        side = len(piece)
        places = [(y, x) for y in range(0, 512 - side + 1, side) for x in range(0, 512 - side + 1, side)]
        alike = [np.corrcoef(photograph[y : y + side, x : x + side].ravel(), piece.ravel())[0, 1] for y, x in places]
        assert max(alike) > 0.9
        corners.append(places[int(np.argmax(alike))])
    assert len(set(corners)) == len(corners) == 20


def test_nothing_is_left_of_a_folder_that_could_not_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("labs.datamodules.embedded.photo_tiles._write", full)
    with pytest.raises(OSError, match="No space"):
        write_tiles(tmp_path / "tiles")
    assert list(tmp_path.iterdir()) == []

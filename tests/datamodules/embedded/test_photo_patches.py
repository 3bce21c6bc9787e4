"""Gray patches of photographs: two halves, and none of one in the other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from labs.datamodules.embedded import photo_patches
from labs.datamodules.embedded.photo_patches import CLASSES, write_patches
from labs.datamodules.embedded.photographs import PHOTOGRAPHS


def test_they_lie_as_the_real_dataset_does(tmp_path: Path) -> None:
    write_patches(tmp_path / "patches", train=3, test=2)
    for split, count in (("train", 3), ("test", 2)):
        folder = tmp_path / "patches" / "15SceneData" / split
        assert sorted(path.name for path in folder.iterdir()) == sorted(CLASSES)
        for name in CLASSES:
            files = sorted(path.name for path in (folder / name).iterdir())
            assert files == [f"image_{number:04d}.jpg" for number in range(1, count + 1)]
    with Image.open(tmp_path / "patches" / "15SceneData" / "train" / "brick" / "image_0001.jpg") as image:
        assert image.mode == "L"
        assert min(image.size) >= photo_patches.SMALLEST
    assert all(PHOTOGRAPHS[name].license for name in CLASSES)
    write_patches(tmp_path / "again", train=3, test=2)
    one, two = ((tmp_path / root / "15SceneData/test/china/image_0002.jpg") for root in ("patches", "again"))
    assert one.read_bytes() == two.read_bytes()


def test_training_and_test_have_no_pixel_in_common(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    halves: list[np.ndarray] = []

    def patch(half: np.ndarray, draw: np.random.Generator) -> bytes:
        halves.append(half)
        return b"patch"

    monkeypatch.setattr(photo_patches, "_patch", patch)
    monkeypatch.setattr(photo_patches, "CLASSES", ("brick",))
    write_patches(tmp_path / "patches", train=1, test=1)
    assert not np.shares_memory(*halves)
    with Image.open(PHOTOGRAPHS["brick"].path) as image:
        assert sum(half.size for half in halves) == image.width * image.height


def test_a_folder_is_whole_or_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> bytes:
        raise OSError("no space left")

    monkeypatch.setattr(photo_patches, "_patch", full)
    with pytest.raises(OSError, match="no space"):
        write_patches(tmp_path / "patches", train=1, test=1)
    assert not list(tmp_path.iterdir())

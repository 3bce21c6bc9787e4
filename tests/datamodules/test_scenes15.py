"""15-Scene in the layouts that go round, with the counts of the real one where that matters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from labs import LabsError
from labs.datamodules import scenes15
from labs.datamodules.scenes15 import IMAGES, TRAIN, Scenes15, plain_name

CLASSES = ("MITcoast", "bedroom", "CALsuburb")


def write(folder: Path, count: int, start: int = 0) -> None:
    folder.mkdir(parents=True)
    for number in range(start, start + count):
        value = np.full((12, 10), 20 * number % 256, np.uint8)
        Image.fromarray(value).save(folder / f"image_{number:04d}.jpg")


def class_folders(root: Path, names: tuple[str, ...] = CLASSES, count: int = 5) -> Path:
    for name in names:
        write(root / name, count)
    return root


def scenes(root: Path | None, **options: Any) -> Scenes15:
    path = None if root is None else str(root)
    folder = str(root.parent / "data") if root else "data"
    return Scenes15(**{"path": path, "folder": folder, "train_per_class": 3, **options})


def test_the_counts_are_those_of_the_dataset() -> None:
    assert (len(IMAGES), sum(IMAGES.values())) == (15, 4485)
    assert sum(IMAGES.values()) - len(IMAGES) * TRAIN == 2985


@pytest.mark.parametrize("around", ["", "scene_categories", "a/15-Scene"])
@pytest.mark.parametrize("names", [CLASSES, ("00", "01", "02")])
def test_class_folders_are_found_and_training_images_drawn(around: str, names: tuple[str, ...], tmp_path: Path) -> None:
    class_folders(tmp_path / "root" / around, names)
    (tmp_path / "root" / ".DS_Store").touch()
    images = scenes(tmp_path / "root").load(8)
    assert images.classes == sorted(names)
    assert np.bincount(images.labels[~images.is_test]).tolist() == [3, 3, 3]
    assert np.bincount(images.labels[images.is_test]).tolist() == [2, 2, 2]
    assert (images.pixels[:, 0] == images.pixels[:, 1]).all()
    assert (images.pixels[:, 0] == images.pixels[:, 2]).all()
    again, other = scenes(tmp_path / "root").load(8), scenes(tmp_path / "root", seed=5).load(8)
    assert (images.is_test == again.is_test).all()
    assert (images.is_test != other.is_test).any()


def test_the_first_names_are_taken_on_request(tmp_path: Path) -> None:
    images = scenes(class_folders(tmp_path / "root"), split="first").load(8)
    assert {Path(images.names[row]).name for row in np.flatnonzero(images.is_test)} == {
        "image_0003.jpg",
        "image_0004.jpg",
    }


@pytest.mark.parametrize("around", ["", "15SceneData"])
def test_train_and_test_of_the_folder_are_kept(around: str, tmp_path: Path) -> None:
    for name in CLASSES:
        write(tmp_path / "root" / around / "train" / name, 4)
        write(tmp_path / "root" / around / "test" / name, 2, start=4)
    images = scenes(tmp_path / "root").load(8)
    assert [images.names[row].startswith("test/") for row in range(18)] == images.is_test.tolist()
    assert images.is_test.sum() == 6


def test_other_counts_are_said_of_the_users_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scenes(class_folders(tmp_path / "root")).load(8)
    said = " ".join(capsys.readouterr().out.split())
    assert (
        "found 15 images in 3 classes; 15-Scene has 4,485 in 15 (bedroom 5 instead of 216, suburb 5 instead of 241"
        in said
    )


def test_other_counts_are_refused_in_the_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scenes15.Scenes15, "_online", lambda self: class_folders(tmp_path / "archive"))
    with pytest.raises(LabsError, match=r"15-Scene has 4,485 in 15 .*Delete the folder"):
        scenes(None).load(8)


def test_the_counts_of_the_whole_dataset_are_nothing_to_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(scenes15, "IMAGES", {"coast": 5, "bedroom": 5, "suburb": 5})
    scenes(class_folders(tmp_path / "root")).load(8)
    assert not capsys.readouterr().out.strip()


@pytest.mark.parametrize(
    ("name", "plain"),
    [("MITinsidecity", "insidecity"), ("PARoffice", "office"), ("CALsuburb", "suburb"), ("living_room", "livingroom")],
)
def test_names_of_classes_are_those_of_all_archives(name: str, plain: str) -> None:
    assert plain_name(name) == plain
    assert plain in IMAGES


def test_offline_it_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABS_OFFLINE", "1")
    with pytest.raises(LabsError, match=r"scene_categories.zip(.|\n)*datamodule.source.path=<folder>.*data=embedded"):
        Scenes15(path=None, folder=str(tmp_path)).load(8)


def empty(root: Path) -> None:
    root.mkdir()


def of_one_class(root: Path) -> None:
    write(root / "bedroom", 5)


def too_few(root: Path) -> None:
    class_folders(root, count=3)


def html(root: Path) -> None:
    (class_folders(root) / "bedroom" / "image_0002.jpg").write_text("<!DOCTYPE html><html>404</html>")


def of_one_pixel(root: Path) -> None:
    Image.new("L", (1, 1)).save(class_folders(root) / "bedroom" / "image_0002.jpg")


def huge(root: Path) -> None:
    header = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\1\x86\xa0\0\1\x86\xa0\x08\0\0\0\0"  # 100,000 x 100,000 gray
    (class_folders(root) / "bedroom" / "image_0002.png").write_bytes(header + b"\x73\x95\x80\x49" + bytes(50))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (empty, "the folder has no images"),
        (of_one_class, "in one class, bedroom; at least two are needed"),
        (too_few, "class CALsuburb has 3 images: 3 are for training, so none would be left"),
        (html, "image_0002.jpg: an HTML page"),
        (of_one_pixel, "image_0002.jpg: smaller than 8 pixels"),
        (huge, "image_0002.png: (too many pixels|damaged|not an image)"),
        (lambda root: None, "no such folder"),
    ],
)
def test_bad_folders_are_refused(make: Any, message: str, tmp_path: Path) -> None:
    make(tmp_path / "root")
    with pytest.raises(LabsError, match=message):
        scenes(tmp_path / "root").load(8)


def test_unreadable_images_can_be_left_out(tmp_path: Path) -> None:
    html(tmp_path / "root")
    with pytest.warns(UserWarning, match="skipped 1 unreadable"):
        images = scenes(tmp_path / "root", skip_unreadable=True).load(8)
    assert len(images.labels) == 14


def test_embedded_patches_are_read_as_any_folder(tmp_path: Path) -> None:
    source = Scenes15(path=None, folder=str(tmp_path), embedded=True, train_per_class=2, test_per_class=1)
    images = source.load(16)
    assert len(images.classes) == 13
    assert np.bincount(images.labels[~images.is_test]).tolist() == [2] * 13
    assert np.bincount(images.labels[images.is_test]).tolist() == [1] * 13
    other = Scenes15(path=None, folder=str(tmp_path), embedded=True, train_per_class=2, test_per_class=1, seed=1)
    assert (other.load(16).pixels != images.pixels).any()
    with pytest.raises(LabsError, match="data=embedded uses its own images"):
        Scenes15(path="mine", folder=str(tmp_path), embedded=True)

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from messy_folder import CAT, NFC, ODD, make_messy

from labs import LabsError
from labs.datamodules.folder_listing import list_images


def touch(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def listed(root: Path) -> dict[str, tuple[str, str | None]]:
    return {file.name: (file.label, file.split) for file in list_images(str(root)).files}


def test_a_messy_folder_has_three_classes_and_says_what_was_passed_over(tmp_path: Path) -> None:
    make_messy(tmp_path)
    listing = list_images(str(tmp_path))
    assert listing.classes == [ODD, CAT, NFC]
    assert sum(file.label == NFC for file in listing.files) == 16  # of both folders
    assert all((tmp_path / file.name).is_file() for file in listing.files)
    skipped = {skip.name: skip.why for skip in listing.skipped}
    hidden = {"__MACOSX", "cat/.DS_Store", "cat/._0.png", "cat/.ipynb_checkpoints", "cat/Thumbs.db"}
    assert {name for name, why in skipped.items() if "hidden" in why} == hidden
    assert skipped["loose.png"] == "not in a class folder"
    assert skipped["cat/dangling.png"] == "a broken link"
    assert skipped["cat/loop"] == "a link to one of its own parent folders"
    notes = "\n".join(listing.notes)
    assert "empty class/ has no files" in notes
    assert "2 folders are one class, été" in notes


@pytest.mark.parametrize("names", [("train", "val", "test"), ("Training", "VALID", "testing")])
def test_splits_that_the_user_has_made(tmp_path: Path, names: tuple[str, str, str]) -> None:
    files = [f"{split}/{label}/{n}.jpg" for split in names for label in ("a", "b") for n in range(2)]
    touch(tmp_path, *files, f"{names[0]}/a/deep/er.jpg")
    found = listed(tmp_path)
    assert set(found) == {*files, f"{names[0]}/a/deep/er.jpg"}
    for name, (label, split) in found.items():
        assert name.split("/")[1] == label
        assert split == dict(zip(names, ("train", "val", "test")))[name.split("/")[0]]


def test_links_are_followed(tmp_path: Path) -> None:
    touch(tmp_path / "elsewhere", "1.jpg", "2.jpg")
    root = touch(tmp_path / "photos", "b/1.jpg", "b/2.jpg")
    (root / "a").symlink_to(tmp_path / "elsewhere")
    (root / "b" / "3.jpg").symlink_to(tmp_path / "elsewhere" / "1.jpg")
    assert set(listed(root)) == {"a/1.jpg", "a/2.jpg", "b/1.jpg", "b/2.jpg", "b/3.jpg"}


def test_names_that_no_terminal_can_show(tmp_path: Path) -> None:
    raw = os.fsencode(tmp_path / "a") + b"/\xff\n.jpg"
    touch(tmp_path, "a/1.jpg", "b/1.jpg", "b/2.jpg")
    Path(os.fsdecode(raw)).touch()
    assert r"a/\udcff\n.jpg" in listed(tmp_path)


def test_classes_that_differ_in_capitals_are_pointed_out(tmp_path: Path) -> None:
    touch(tmp_path, "Cat/1.jpg", "Cat/2.jpg", "cat/1.jpg", "cat/2.jpg")
    assert "Cat, cat differ only in capital letters" in list_images(str(tmp_path)).notes[0]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ((), "the folder has no images"),
        (("a/.hidden.jpg", "b/._1.jpg"), "the folder has no images"),
        (("1.jpg", "2.jpg"), "has 2 files, such as 1.jpg, but no class folders"),
        (("a/1.jpg", "a/2.jpg"), "all 2 files are in one class, a; at least two are needed"),
        (("p/a/1.jpg", "p/b/2.jpg"), r"in one class, p; .*Did you mean datamodule\.source\.path=.*/p\?"),
        (("a/1.jpg", "b/1.jpg", "b/2.jpg"), "class a has only one training image, a/1.jpg; add images"),
        (("train/a/1.jpg", "train/b/1.jpg", "notes/1.jpg"), r"the folder has train and other folders \(notes\)"),
        (("train/a/1.jpg", "Train/b/1.jpg"), "Train and train are the same split"),
        (("test/a/1.jpg", "test/b/1.jpg"), "no train folder"),
        (("train/a/1.jpg", "train/b/1.jpg", "test/1.jpg"), "test/ has 1 file, such as 1.jpg, but no class folders"),
        (
            ("train/a/1.jpg", "train/a/2.jpg", "train/b/1.jpg", "train/b/2.jpg", "test/c/1.jpg"),
            "class c has no training images",
        ),
    ],
)
def test_what_cannot_be_meant_is_one_line(tmp_path: Path, names: tuple[str, ...], message: str) -> None:
    touch(tmp_path, *names)
    with pytest.raises(LabsError, match=message) as caught:
        list_images(str(tmp_path))
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"datamodule.source.path={tmp_path}: ")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "no such folder or file in"),
        (lambda path: path.write_text("PK"), "this file is neither a folder of images nor a table"),
        (lambda path: path.symlink_to("nowhere"), "no such folder or file in"),
    ],
    ids=["missing", "a file", "a dangling link"],
)
def test_a_path_that_is_no_folder(tmp_path: Path, make: Callable[[Path], object], message: str) -> None:
    path = tmp_path / "photos.zip"
    make(path)
    with pytest.raises(LabsError, match=message):
        list_images(str(path))


def test_the_home_of_nobody() -> None:
    with pytest.raises(LabsError, match="cannot be opened"):
        list_images("~nobody of this name/photos")


def test_a_folder_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "a/1.jpg", "b/1.jpg")
    listing = os.scandir

    def refuse(path: Path) -> object:
        if Path(path).name == "b":
            raise PermissionError(13, "Permission denied")
        return listing(path)

    monkeypatch.setattr("labs.datamodules.folder_listing.os.scandir", refuse)
    with pytest.raises(LabsError, match=r"/b cannot be read \(Permission denied\); type a folder"):
        list_images(str(tmp_path))

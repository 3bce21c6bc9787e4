from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from labs import LabsError
from labs.datamodules.folder_listing import Listing, list_images

LINES = "path,label\na 1.jpg,cat\nsub/b.jpg,dog\nc.jpg,cat\nd.jpg,dog\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a 1.jpg", "sub/b.jpg", "c.jpg", "d.jpg", "été.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def table(folder: Path, text: str, name: str = "labels.csv", **settings: object) -> Listing:
    (folder / name).write_bytes(text.encode("utf-8-sig"))
    return list_images(str(folder / name), **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", [LINES, LINES.replace(",", ";"), LINES.replace(",", "\t"), LINES + "\n ,\n"])
def test_path_and_label(folder: Path, text: str) -> None:
    files = table(folder, text).files
    found = [(file.name, file.label, file.split) for file in files]
    assert found[:2] == [("a 1.jpg", "cat", None), ("sub/b.jpg", "dog", None)]
    assert [file.path for file in files] == [folder / name for name, _, _ in found]


def test_splits_and_names_of_columns(folder: Path) -> None:
    text = "part,file,class\nTrain,a 1.jpg,cat\nvalidation,sub/b.jpg,dog\ntraining,c.jpg,dog\nTEST,d.jpg,cat\n"
    listing = table(folder, text, columns=("file", "class", "part"))
    assert [file.split for file in listing.files] == ["train", "val", "train", "test"]
    assert [file.label for file in listing.files] == ["cat", "dog", "dog", "cat"]


def test_absolute_paths_and_accents_stored_in_another_way(folder: Path) -> None:
    decomposed = unicodedata.normalize("NFD", "été.jpg")
    listing = table(folder, LINES.replace("c.jpg", decomposed).replace("d.jpg", str(folder / "d.jpg")))
    assert [file.path.name for file in listing.files] == ["a 1.jpg", "b.jpg", "été.jpg", "d.jpg"]


def test_other_columns_can_be_ignored(folder: Path) -> None:
    text = LINES.replace("label\n", "label,width\n").replace("cat\n", "cat,3\n").replace("dog\n", "dog,3\n")
    assert len(table(folder, text, others="ignore").files) == 4
    with pytest.raises(LabsError, match=r"unknown column width; .* are path, label, split.*other_columns=ignore"):
        table(folder, text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"column path is missing; the table has the columns \(none\)"),
        ("path,label\n", "the table has no images"),
        (LINES.replace("label", "class"), r"column label is missing; .*path, class.*source\.label_column="),
        (
            LINES.replace("path,label", "path,label,splt").replace("cat\n", "cat,x\n"),
            "unknown column splt .*mean split",
        ),
        (LINES.replace("path,label", "path,label,label"), "column label occurs twice"),
        (LINES.replace("c.jpg", "nowhere.jpg"), r"line 4: nowhere\.jpg: no such file in"),
        (LINES.replace("c.jpg", "./a 1.jpg"), r"line 4: \./a 1\.jpg is already in line 2"),
        (LINES.replace("c.jpg,cat", "c.jpg,"), "line 4: label is empty"),
        (LINES.replace("c.jpg,cat", ",cat"), "line 4: path is empty"),
        (LINES.replace("c.jpg,cat", "c.jpg,cat,dog"), "line 4: 3 values for 2 columns"),
        (LINES.replace("c.jpg", '"c.jpg'), "not a valid line of a table|no such file"),
        (
            LINES.replace("label\n", "label,split\n").replace("cat\n", "cat,train\n").replace("dog\n", "dog,dev\n"),
            "line 3: split is 'dev'; expected train, val or test",
        ),
        (
            LINES.replace("label\n", "label,split\n").replace("cat\n", "cat,test\n").replace("dog\n", "dog,test\n"),
            "column split has no train in any line",
        ),
        (LINES.replace("dog", "cat"), "in one class, cat"),
        (LINES.replace("d.jpg,dog", "d.jpg,cat"), r"class dog has only one training image, sub/b\.jpg"),
    ],
)
def test_mistakes_are_one_line(folder: Path, text: str, message: str) -> None:
    with pytest.raises(LabsError, match=message) as caught:
        table(folder, text)
    assert "\n" not in str(caught.value)
    assert str(folder / "labels.csv") in str(caught.value)


def test_a_table_in_another_encoding(folder: Path) -> None:
    (folder / "labels.csv").write_bytes("path,label\né.jpg,cat\n".encode("latin-1"))
    with pytest.raises(LabsError, match="not in UTF-8"):
        list_images(str(folder / "labels.csv"))

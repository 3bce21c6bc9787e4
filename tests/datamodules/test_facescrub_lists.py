from __future__ import annotations

import os
from pathlib import Path

import pytest

from labs import LabsError
from labs.datamodules.facescrub_lists import COLUMNS, read_lists

HEAD = "\t".join(COLUMNS)
SHA = "c9E2" * 16
LINE = f"Ada Quillmoor\t4959\t2789\thttp://photographs.invalid/a.JPG?x=1\t147,111,348,312\t{SHA}"


def written(folder: Path, *lines: str, name: str = "facescrub_actors.txt", end: str = "\n") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes("".join(line + end for line in lines).encode())
    return folder


@pytest.mark.parametrize("head", [[HEAD], [], ["\ufeff" + HEAD], ["name\timage\tface\turl\tbox\tsha\tmore"]])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_list_is_read_with_and_without_a_header(tmp_path: Path, head: list[str], end: str) -> None:
    (face,) = read_lists(written(tmp_path, *head, LINE, "", end=end))
    assert face[:-1] == (
        "Ada Quillmoor",
        "4959",
        "2789",
        "http://photographs.invalid/a.JPG?x=1",
        (147, 111, 348, 312),
        SHA.lower(),
    )
    assert face.place == f"facescrub_actors.txt, line {1 + len(head)}"
    assert face.photograph == "Ada_Quillmoor/Ada_Quillmoor_4959.jpg"
    assert face.crop == "Ada_Quillmoor/Ada_Quillmoor_4959_2789.png"


def test_all_lists_in_the_folder_count_and_a_line_twice_counts_once(tmp_path: Path) -> None:
    other = LINE.replace("Ada Quillmoor", "Bram Brindlewick")
    written(tmp_path, HEAD, LINE)
    written(tmp_path, LINE, other, LINE, name="subset_actresses.txt")
    written(tmp_path, "no list at all", name="readme.txt")
    assert [face.person for face in read_lists(tmp_path)] == ["Ada Quillmoor", "Bram Brindlewick"]


def test_a_name_leads_to_no_place_outside_the_folder(tmp_path: Path) -> None:
    (face,) = read_lists(written(tmp_path, LINE.replace("Ada Quillmoor", "../../Ada: O'Moor/..")))
    assert face.photograph == "_Ada_O_Moor_/_Ada_O_Moor__4959.jpg"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("Ada\t1\t2\thttp://a/b.jpg\t1,2,3,4", r"line 2: expected 6 columns .*\(name, .* sha256\), found 5: Ada"),
        ("<html><body>Please log in", "found 1: <html><body>Please log in This is an HTML page"),
        (LINE.replace("4959", "x"), "line 2: expected a name, an image number and a face number"),
        (LINE.replace("4959", "4" * 300), "line 2: expected a name, an image number"),
        (LINE.replace("Ada Quillmoor", " "), "expected a name"),
        (LINE.replace("147,111,348,312", "147,111,147,312"), r"line 2: the box 147,111,147,312 has no area"),
        (LINE.replace("147,111,348,312", "147,312,348,111"), "has no area: x2 must be larger than x1, and y2 larger"),
        (LINE.replace("147,111,348,312", "147 111 348 312"), "expected a box x1,y1,x2,y2 in pixels"),
        (LINE.replace("147,111,348,312", "1,2,3"), "expected a box"),
        (LINE.replace(SHA, "abc"), "expected a SHA-256 with 64 hex digits, found 'abc'"),
        (LINE.replace("2789", "1").replace(SHA, "0" * 64), r"line 1 are different photographs with the same"),
        (LINE.replace("111,", "112,"), r"line 2: this line and .*line 1 are different faces with the same name"),
    ],
)
def test_a_line_that_cannot_be_one_is_named(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(LabsError, match=message) as error:
        read_lists(written(tmp_path, LINE, line))
    assert "facescrub_actors.txt" in str(error.value)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "subset_actors.txt")
    with pytest.raises(LabsError, match=r"subset_actors\.txt: cannot be read \(it is not a file\)"):
        read_lists(tmp_path)


def test_without_lists_it_says_which_files_go_where(tmp_path: Path) -> None:
    (tmp_path / "._facescrub_actors.txt").write_text("macOS")
    with pytest.raises(
        LabsError, match=r"facescrub_actors.txt and facescrub_actresses.txt(.|\n)*data=embedded"
    ) as error:
        read_lists(tmp_path)
    assert str(tmp_path) in str(error.value)

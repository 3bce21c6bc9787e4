from __future__ import annotations

import gzip
import hashlib
import io
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from archive_server import ArchiveServer
from PIL import Image

from labs import LabsError
from labs.datamodules import wikiart
from labs.datamodules.embedded import paintings
from labs.datamodules.embedded.other_hands import OTHER_HANDS
from labs.datamodules.embedded.painting_hands import HANDS, paint
from labs.datamodules.embedded.painting_motifs import MOTIFS
from labs.datamodules.wikiart import STYLES, WikiArt, read_addresses
from labs.storage.fetch_many import fetch_many
from labs.storage.manifest import read_manifest

HEADER = "image_id,page_url,image_url,label,_split\n"


def painting(color: int, size: tuple[int, int] = (30, 20)) -> bytes:
    packed = io.BytesIO()
    Image.new("RGB", size, (color, 255 - color, 90)).save(packed, "JPEG")
    return packed.getvalue()


@pytest.fixture
def at_home(server: ArchiveServer, monkeypatch: pytest.MonkeyPatch) -> ArchiveServer:
    """Let images be fetched from 127.0.0.1, without patience."""

    def fetched(*args: Any, **options: Any) -> Any:
        return fetch_many(*args, allow_private=True, timeout=1.0, retries=0, progress=False, **options)

    monkeypatch.setattr(wikiart, "fetch_many", fetched)
    return server


def course(server: ArchiveServer, count: int = 24) -> str:
    """Serve paintings of two styles, and return the list of their addresses."""
    lines = []
    for number in range(count):
        url = server.serve(f"{number}.jpg", painting(10 * number))
        split = "test" if number % 4 == 0 else "train"
        lines.append(f"painter_{number}-of-the.year,{url},{url},{1 + 2 * (number % 2)},{split}\n")
    return HEADER + "".join(lines)


def test_the_course_s_list_is_fetched_and_its_images(
    at_home: ArchiveServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = gzip.compress(course(at_home).encode(), mtime=0)
    url = at_home.serve("wikiart.csv.gz", packed)
    digest = hashlib.sha256(packed).hexdigest()
    monkeypatch.setattr(wikiart, "LIST", replace(wikiart.LIST, urls=(url,), sha256=digest, size=len(packed)))
    at_home.entries["3.jpg"].status = 404
    at_home.entries["5.jpg"].body = b"<!DOCTYPE html> not found"
    at_home.entries["7.jpg"].body = painting(70, (1, 1))
    found = WikiArt(folder=str(tmp_path)).load(16)
    assert found.pixels.shape == (21, 3, 16, 16)
    assert found.classes == ["Baroque", "Impressionism"]
    assert found.is_test.tolist() == [int(n.partition("_")[2].partition("-")[0]) % 4 == 0 for n in found.names]
    assert found.findings is not None
    whys = {skip.name: skip.why for skip in found.findings.skipped}
    assert whys == {
        "images/painter_3-of-the.year.jpg": "404 Not Found",
        "images/painter_5-of-the.year.jpg": "an HTML page",
        "images/painter_7-of-the.year.jpg": "smaller than 8 pixels (1x1, height x width)",
    }
    assert len(read_manifest(tmp_path / "wikiart")) == 24
    asked = len(at_home.requests)
    WikiArt(folder=str(tmp_path)).load(16)
    assert len(at_home.requests) == asked, "what is settled is not asked again"
    at_home.entries["3.jpg"].status = None
    assert len(WikiArt(folder=str(tmp_path), retry=True).load(16).pixels) == 22
    few = WikiArt(folder=str(tmp_path), paintings=20)
    chosen = {f"painter_{n}-of" for n in np.random.RandomState(0).permutation(24)[:20]}
    listed = few._listing()
    names = [file.name for file in listed.files] + [skip.name for skip in listed.skipped]
    assert {name.removeprefix("images/").partition("-the")[0] for name in names} == chosen


def test_a_list_of_one_s_own_and_no_image_of_it(at_home: ArchiveServer, tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text(course(at_home))
    assert len(WikiArt(folder=str(tmp_path / "data"), path=str(tmp_path / "mine.csv")).load(16).pixels) == 24
    for entry in at_home.entries.values():
        entry.status = 410
    (tmp_path / "gone").mkdir()
    (tmp_path / "gone/wikiart.csv").write_text(course(at_home).replace(".jpg,1,", ".jpg?,1,"))
    for entry in at_home.entries.values():
        entry.status = 410
    with pytest.raises(LabsError, match=r"none of its 24 images could be downloaded: .*: 4\d\d .*data=embedded"):
        WikiArt(folder=str(tmp_path / "data"), path=str(tmp_path / "gone")).load(16)


def test_without_a_network_the_error_says_what_to_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABS_OFFLINE", "1")
    with pytest.raises(LabsError, match=r"LABS_OFFLINE forbids(.|\n)*data=embedded"):
        WikiArt(folder=str(tmp_path)).load(16)
    (tmp_path / "mine.csv").write_text("image_id,image_url,label,_split\n1,http://a.test/1.jpg,1,train\n")
    with pytest.raises(LabsError, match=r"LABS_OFFLINE forbids(.|\n)*data=embedded"):
        WikiArt(folder=str(tmp_path), path=str(tmp_path / "mine.csv")).load(16)


@pytest.fixture
def gallery(tmp_path: Path) -> Path:
    """Write eight paintings, names with blanks among them, and both lists, as the course's script does."""
    lists: dict[str, list[str]] = {"train": [], "test": []}
    for number in range(8):
        name = f"my images/the  old man {number}.jpg" if number % 2 else f"images/{number}.jpg"
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(painting(30 * number))
        quoted = f'"{name}"' if number == 3 else name
        lists["test" if number < 2 else "train"].append(f"{quoted} {4 if number % 4 < 2 else 8}\n")
    for split, lines in lists.items():
        (tmp_path / f"{split}.txt").write_text("".join([*lines, "\n"]))
    return tmp_path


@pytest.mark.parametrize("path", ["", "train.txt", "test.txt"])
def test_lists_keep_blanks_in_paths(gallery: Path, tmp_path: Path, path: str) -> None:
    found = WikiArt(folder=str(tmp_path / "data"), path=str(gallery / path)).load(16)
    assert found.classes == ["Neoclassicism", "Surrealism"]
    assert sorted(name for name, test in zip(found.names, found.is_test) if test) == [
        "images/0.jpg",
        "my images/the  old man 1.jpg",
    ]
    assert "my images/the  old man 3.jpg" in found.names


def test_one_list_and_class_folders(gallery: Path, tmp_path: Path) -> None:
    (gallery / "train.txt").rename(gallery / "all.txt")
    found = WikiArt(folder=str(tmp_path / "data"), path=str(gallery / "all.txt")).load(16)
    assert found.is_test.sum() == 2, "a fifth of each class, one at least"
    for style, numbers in (("Cubism", (0, 2, 4)), ("Fauvism", (1, 3, 5))):
        (tmp_path / "classes" / style).mkdir(parents=True)
        for number in numbers:
            (tmp_path / "classes" / style / f"{number}.jpg").write_bytes(painting(40 * number))
    found = WikiArt(folder=str(tmp_path / "data"), path=str(tmp_path / "classes")).load(16)
    assert found.classes == ["Cubism", "Fauvism"]


LISTS: list[tuple[str, str]] = [
    ("images/2.jpg\n", r"line 1: 'images/2.jpg': expected a path, a space and a label"),
    ("images/2.jpg 4\nimages/9.jpg 4\n", "line 2: images/9.jpg: no such file"),
    ("images/2.jpg 4\nimages/2.jpg 8\n", "line 2: images/2.jpg is already in .*line 1"),
    ("images/2.jpg 4\nimages/4.jpg 4\n", "all images have one style, Neoclassicism"),
    ("images/2.jpg 4\n" + "a" * 300 + ".jpg 4\n", "line 2: a+.jpg: no such file"),
    ("images/2.jpg " + "9" * 5000 + "\n", "all images have one style, 9999"),
    ("\n", "the list has no images"),
]


@pytest.mark.parametrize(("text", "said"), LISTS)
def test_lists_that_cannot_be_meant(gallery: Path, tmp_path: Path, text: str, said: str) -> None:
    (gallery / "one.txt").write_text(text)
    with pytest.raises(LabsError, match=said):
        WikiArt(folder=str(tmp_path / "data"), path=str(gallery / "one.txt")).load(16)


TABLES: list[tuple[str, str]] = [
    ("image_id,image_url,label\n1,http://a,2\n", "column _split is missing"),
    (HEADER, "the list is empty"),
    (f"{HEADER}1,p,http://a,2\n", "line 2: a row needs image_id, image_url, label, _split"),
    (f"{HEADER}1,p,http://a,2,train,more\n", "line 2: a row needs"),
    (f"{HEADER}1,p,http://a,2,dev\n", "line 2: _split is 'dev'"),
    (f"{HEADER}../1,p,http://a,2,train\n", r"line 2: image_id '\.\./1' cannot be a file name"),
    (f"{HEADER}a,p,http://a,2,train\nA,p,http://b,2,train\n", "line 3: image_id A is already in line 2"),
    ("\xff\xfe\0", "column image_id is missing"),
    (f"{HEADER}{'a' * 300},p,http://a,2,train\n", "line 2: image_id 'a+' cannot be a file name"),
    (f"{HEADER}1,p,http://a/{'a' * 200_000},2,train\n", "cannot be read as a list of addresses"),
]


@pytest.mark.parametrize(("text", "said"), TABLES)
def test_lists_of_addresses_that_cannot_be_meant(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "list.csv").write_text(text, encoding="utf-8")
    with pytest.raises(LabsError, match=said):
        read_addresses(tmp_path / "list.csv")
    packed = gzip.compress(text.encode())
    for damaged in (text.encode(), packed[:-9], packed[:10] + b"\xff" * 9 + packed[10:]):
        (tmp_path / "list.csv.gz").write_bytes(damaged)
        with pytest.raises(LabsError, match="cannot be read as a list of addresses"):
            read_addresses(tmp_path / "list.csv.gz")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"path": "nowhere"}, "no such folder or file"),
        ({"paintings": 3}, "paintings=3: expected 20 or more"),
        ({"embedded": True, "path": "x"}, "data=embedded uses drawn paintings"),
    ],
)
def test_options_that_cannot_be(tmp_path: Path, options: dict[str, Any], said: str) -> None:
    with pytest.raises(LabsError, match=said):
        WikiArt(folder=str(tmp_path), **options).load(16)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    for name in ("list.csv", "list.txt"):
        os.mkfifo(tmp_path / name)
        with pytest.raises(LabsError, match="cannot be read as a list"):
            WikiArt(folder=str(tmp_path / "data"), path=str(tmp_path / name)).load(16)


def test_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(LabsError, match="the folder has no images"):
        WikiArt(folder=str(tmp_path / "data"), path=str(tmp_path)).load(16)


class TestDrawnPaintings:
    @pytest.fixture
    def folder(self, made_once: Callable[[str, Callable[[Path], None]], Path]) -> Path:
        def draw(folder: Path) -> None:
            WikiArt(folder=str(folder), embedded=True, images_per_class=20).load(32)

        return made_once("drawn_paintings", draw)

    def test_they_lie_as_the_fetched_ones_do(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("LABS_OFFLINE", "1")
        found = WikiArt(folder=str(folder), embedded=True, images_per_class=20).load(32)
        assert found.classes == list(STYLES)
        assert np.bincount(found.labels).tolist() == [19] * 10
        assert np.bincount(found.labels[found.is_test]).tolist() == [6] * 10
        assert found.findings is not None
        assert {skip.why for skip in found.findings.skipped} == {"404 Not Found"}
        assert found.findings.copies == []

    def test_hands_differ_and_color_alone_does_not_tell_them(self, folder: Path) -> None:
        """The mean color of a painting does not tell its hand: about half are known by it."""
        found = WikiArt(folder=str(folder), embedded=True, images_per_class=20).load(32)
        colors = found.pixels.reshape(len(found.pixels), 3, -1).mean(2)
        train = ~found.is_test
        means = np.stack([colors[train & (found.labels == label)].mean(0) for label in range(10)])
        preds = ((colors[:, None] - means) ** 2).sum(2).argmin(1)
        assert (preds == found.labels)[found.is_test].mean() < 0.7

    @pytest.mark.parametrize("hand", [*HANDS, *OTHER_HANDS])
    def test_a_painting_is_a_function_of_its_numbers(self, hand: str) -> None:
        for motif in list(MOTIFS)[::4]:
            how = {**HANDS, **OTHER_HANDS}[hand]
            first, again = (np.asarray(paint(how, motif, np.random.default_rng(3))) for _ in range(2))
            assert np.array_equal(first, again)
            assert max(first.shape) <= 160
            assert first.std() > 5

    def test_the_folder_appears_whole_or_not_at_all(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(paintings, "paint", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            paintings.write_paintings(tmp_path / "new", group="downstream", images_per_class=10, progress=False)
        assert list(tmp_path.iterdir()) == []

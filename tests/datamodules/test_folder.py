"""Images of the user's own, from the files to the splits and the report of what was found."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from messy_folder import CAT, NFC, ODD, fill, make_messy, picture

from labs import LabsError
from labs.datamodules import folder_pixels
from labs.datamodules.folder import Folder
from labs.datamodules.image_classification import ImageClassification
from labs.datamodules.sources import LabeledImages

SIZE = 16


@pytest.fixture(scope="module")
def messy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("my photos, a=b")
    make_messy(root)
    return root


def source(path: Path, data: Path, **settings: Any) -> Folder:
    return Folder(path=str(path), folder=str(data), **settings)


def datamodule(folder: Folder, classes: int, **settings: Any) -> ImageClassification:
    fixed: dict[str, Any] = {"image_size": SIZE, "batch_size": 4, "augment": {}, "embedded": folder.embedded}
    data = ImageClassification(source=folder, num_classes=classes, normalization="imagenet", **fixed, **settings)
    data.setup("fit")
    return data


def names(images: LabeledImages, rows: np.ndarray) -> set[str]:
    return {images.names[row] for row in rows}


class TestMessy:
    def test_what_is_read_is_what_its_name_says(self, messy: Path, tmp_path: Path) -> None:
        images = source(messy, tmp_path).load(48)
        assert images.classes == [ODD, CAT, NFC]
        assert len(images.names) == len(set(images.names)) == len(images.pixels) == 43
        row = images.names.index(f"{ODD}/3.png")
        assert np.array_equal(images.pixels[row].transpose(1, 2, 0), np.asarray(picture(2003)))
        assert images.classes[images.labels[row]] == ODD

    def test_what_was_skipped_and_why(self, messy: Path, tmp_path: Path) -> None:
        found = source(messy, tmp_path).load(SIZE).findings
        assert found is not None
        why = {skip.name: skip.why.partition(" (")[0] for skip in found.skipped}
        assert why["cat/zero.png"] == "zero bytes"
        assert why["cat/page.jpg"] == "an HTML page"
        assert why["cat/notes.txt"] == "not an image that Pillow can read"
        assert why["cat/cut.jpg"] == "truncated"
        assert why["cat/tiny.png"] == "smaller than 8 pixels"
        assert len(why) == 13

    def test_what_was_converted(self, messy: Path, tmp_path: Path) -> None:
        images = source(messy, tmp_path).load(SIZE)
        assert images.findings is not None
        words = {n.partition("/")[2]: w for n, w in zip(images.names, images.findings.converted) if w}
        assert words == {
            "animated.gif": ["palette", "first frame of 2"],
            "cmyk.Jpeg": ["CMYK"],
            "grey.PNG": ["gray"],
            "palette.gif": ["palette"],
            "rotated.jpg": ["rotated by EXIF"],
            "sixteen.tiff": ["gray", "16 bits to 8"],
            "transparent.webp": ["transparent on white"],
        }

    @pytest.mark.parametrize("seed", range(5))
    def test_copies_are_found_and_stay_on_one_side(self, messy: Path, tmp_path: Path, seed: int) -> None:
        data = datamodule(source(messy, tmp_path, split_seed=seed), 3, split_seed=seed, validation_fraction=0.3)
        images = data._loaded
        assert images is not None
        assert images.findings is not None
        exact = [{images.names[row] for row in rows} for rows in images.findings.copies]
        near = [{images.names[row] for row in rows} for rows in images.findings.near_copies]
        assert exact == [
            {f"{ODD}/of the cat.png", "cat/2.png"},
            {"cat/0.png", "cat/a link.png"},
            {"cat/1 again.bmp", "cat/1.png"},
        ]
        assert near == [{"cat/3 smaller.jpg", "cat/3.png"}]
        splits = [names(images, rows) for rows in data.rows.values()]
        for copies in (*exact, *near):
            assert sum(bool(copies & split) for split in splits) == 1
        assert data.found["copies of training images in the test"] == 0
        assert data.labels == []

    def test_the_report_says_all_of_it(self, messy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        data = datamodule(source(messy, tmp_path), 3)
        printed, report, table = capsys.readouterr().out, data.documents["data.txt"], data.documents["data.tsv"]
        for text in (printed, report):
            for part in (CAT, NFC, "zero bytes", "rotated by EXIF", "in several classes", "2 folders are one class"):
                assert part in text
        lines = [line.split("\t") for line in table.splitlines()]
        assert all(len(line) == 6 for line in lines)
        assert len(lines) == 1 + 43 + 13
        assert ["cat/1.png", CAT, "the same as cat/1 again.bmp"] in [[line[0], line[1], line[5]] for line in lines]
        assert data.facts()["found"]["files skipped"] == 13

    def test_files_are_decoded_once(self, messy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        first = source(messy, tmp_path).load(SIZE)
        monkeypatch.setattr(folder_pixels, "read_rgb", None)
        again = source(messy, tmp_path).load(SIZE)
        assert again.names == first.names
        assert again.findings == first.findings
        assert np.array_equal(again.pixels, first.pixels)

    def test_splits_are_the_same_at_every_size(self, messy: Path, tmp_path: Path) -> None:
        assert np.array_equal(*(source(messy, tmp_path).load(size).is_test for size in (8, 40)))


class TestSplits:
    @pytest.fixture
    def photos(self, tmp_path: Path) -> Path:
        for number, (split, count) in enumerate({"train": 10, "val": 3, "test": 4}.items()):
            for label in range(2):
                fill(tmp_path / "photos" / split / f"class {label}", 10 * number + label, count)
        return tmp_path / "photos"

    def test_those_of_the_user_are_kept(self, photos: Path, tmp_path: Path) -> None:
        data = datamodule(source(photos, tmp_path), 2)
        for split, rows in data.rows.items():
            assert {name.partition("/")[0] for name in names(data._loaded, rows)} == {split}  # type: ignore[arg-type]
        assert [len(rows) for rows in data.rows.values()] == [20, 6, 8]

    def test_what_is_missing_is_cut_from_the_training_images(self, photos: Path, tmp_path: Path) -> None:
        shutil.rmtree(photos / "val")
        data = datamodule(source(photos, tmp_path), 2, validation_fraction=0.2)
        assert {split: len(rows) for split, rows in data.rows.items()} == {"train": 16, "val": 4, "test": 8}
        shutil.rmtree(photos / "test")
        data = datamodule(source(photos, tmp_path, test_fraction=0.3), 2, validation_fraction=0.2)
        assert {split: len(rows) for split, rows in data.rows.items()} == {"train": 12, "val": 2, "test": 6}

    def test_a_cut_is_stratified_and_seeded(self, photos: Path, tmp_path: Path) -> None:
        (photos / "train").rename(tmp_path / "all")
        cuts = [source(tmp_path / "all", tmp_path, split_seed=seed).load(SIZE) for seed in (0, 0, 1)]
        assert np.array_equal(cuts[0].is_test, cuts[1].is_test)
        assert not np.array_equal(cuts[0].is_test, cuts[2].is_test)
        assert all(np.bincount(cut.labels[cut.is_test]).tolist() == [2, 2] for cut in cuts)

    def test_copies_between_the_users_own_splits_are_said(
        self, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        shutil.copy(photos / "train/class 0/1.png", photos / "test/class 0/again.png")
        data = datamodule(source(photos, tmp_path), 2)
        assert "in train and test" in capsys.readouterr().out
        assert data.labels == ["copies of training images in the test"]
        assert data.facts()["found"]["copies of training images in the test"] == 1

    def test_selecting_on_the_test_set_leaves_val_unused(
        self, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        data = datamodule(source(photos, tmp_path), 2, validation="test")
        assert np.array_equal(data.rows["val"], data.rows["test"])
        assert "6 validation images are not used" in capsys.readouterr().out

    def test_a_class_of_copies_alone(self, tmp_path: Path) -> None:
        fill(tmp_path / "photos" / "a", 1, 6)
        fill(tmp_path / "photos" / "b", 2, 1)
        for number in range(5):
            shutil.copy(tmp_path / "photos/b/0.png", tmp_path / f"photos/b/again {number}.png")
        with pytest.raises(LabsError, match="class b cannot be split: all 6 images are copies"):
            source(tmp_path / "photos", tmp_path).load(SIZE)


class TestMistakes:
    def test_a_class_without_an_image_that_can_be_read(self, tmp_path: Path) -> None:
        fill(tmp_path / "photos" / "a", 1, 4)
        fill(tmp_path / "photos" / "b", 2, 4)
        for number in range(2):
            (tmp_path / "photos" / "b").joinpath(f"{number}.png")
        pages = tmp_path / "photos" / "c"
        pages.mkdir()
        for name in ("1.jpg", "2.jpg"):
            (pages / name).write_text("<html>")
        with pytest.raises(LabsError, match=r"class c has no readable image: c/1\.jpg is an HTML page; 2 files"):
            source(tmp_path / "photos", tmp_path).load(SIZE)

    def test_no_image_at_all(self, tmp_path: Path) -> None:
        for label in ("a", "b"):
            (tmp_path / "photos" / label).mkdir(parents=True)
            for name in ("1.jpg", "2.jpg"):
                (tmp_path / "photos" / label / name).touch()
        with pytest.raises(LabsError, match=r"none of the 4 files is an image: a/1\.jpg is zero bytes"):
            source(tmp_path / "photos", tmp_path).load(SIZE)
        assert not list((tmp_path / "cache").rglob("*.npy"))

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"path": None}, r"which images\? Type their folder"),
            ({"path": ""}, r"which images\? Type their folder"),
            ({"path": "a", "embedded": True}, "data=embedded uses its own images"),
            ({"path": "a", "test_fraction": 0}, "test_fraction=0: expected a fraction"),
            ({"path": "a", "near": 1.0}, "near=1.0: expected a fraction"),
        ],
    )
    def test_settings(self, tmp_path: Path, settings: dict[str, Any], message: str) -> None:
        with pytest.raises(LabsError, match=message):
            Folder(folder=str(tmp_path), **settings)


def test_the_embedded_images_are_written_once_and_read_as_any_others(tmp_path: Path) -> None:
    images = Folder(path=None, folder=str(tmp_path), embedded=True).load(SIZE)
    assert images.pixels.shape == (200, 3, SIZE, SIZE)
    assert len(images.classes) == 10
    assert images.findings is not None
    assert images.findings.near_copies == images.findings.copies == []
    (written,) = (tmp_path / "embedded").glob("photo_tiles_v*/")
    before = sorted((path, path.stat().st_mtime_ns) for path in written.rglob("*"))
    Folder(path=None, folder=str(tmp_path), embedded=True).load(SIZE)
    assert before == sorted((path, path.stat().st_mtime_ns) for path in written.rglob("*"))

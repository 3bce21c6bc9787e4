"""The course's folder of paintings: however its artists are spelled, with its damaged files, never with others."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from labs import LabsError
from labs.datamodules.artists import PAINTINGS, Artists, check_table, known
from labs.datamodules.image_classification import ImageClassification

FEW = dict.fromkeys(PAINTINGS, 3)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three small paintings of each artist, in several formats, as the course's folder has them."""
    root = tmp_path_factory.mktemp("paintings") / "art_data" / "artists"
    draw = np.random.default_rng(0)
    for artist, count in FEW.items():
        (root / artist).mkdir(parents=True)
        for number in range(count):
            picture = Image.fromarray(draw.integers(0, 256, (30, 40, 3), dtype=np.uint8))
            picture.save(root / artist / f"{number}.{('png', 'jpg', 'bmp')[number % 3]}")
    return root


@pytest.fixture
def mine(tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("labs.datamodules.artists.PAINTINGS", FEW)
    return Path(shutil.copytree(tree, tmp_path / "data" / "art_data" / "artists"))


def read(tmp_path: Path, **options: Any) -> Any:
    return Artists(folder=str(tmp_path / "data"), **options).load(20)


def test_labels_follow_the_sorted_names_of_the_folders(mine: Path, tmp_path: Path) -> None:
    """The starter code took the order of os.listdir, which is another on another disk."""
    images = read(tmp_path)
    assert images.classes == sorted(FEW)
    assert images.pixels.shape == (33, 3, 20, 20)
    for name, label in zip(images.names, images.labels, strict=True):
        assert name.startswith(f"{images.classes[label]}/")


@pytest.mark.parametrize("typed", ["art_data/artists", "art_data", ""])
def test_the_folder_is_found_from_above(mine: Path, tmp_path: Path, typed: str) -> None:
    assert len(read(tmp_path, path=str(tmp_path / "data" / typed)).names) == 33


def test_truncated_files_are_read_with_a_warning_that_names_them(mine: Path, tmp_path: Path) -> None:
    file = mine / "Rembrandt" / "1.jpg"
    whole = read(tmp_path).pixels.copy()
    file.write_bytes(file.read_bytes()[: file.stat().st_size * 2 // 3])
    for _ in range(2):  # from the files, then from the store
        with pytest.warns(UserWarning, match=r"1 truncated files:\n.*Rembrandt/1.jpg"):
            images = read(tmp_path)
        row = images.names.index("Rembrandt/1.jpg")
        assert (images.pixels[row][:, :4] == whole[row][:, :4]).mean() > 0.7
        assert (images.pixels[row] != whole[row]).any()
    file.write_text("no picture at all")
    with pytest.raises(LabsError, match=r"Rembrandt/1\.jpg: not an image"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda root: shutil.rmtree(root / "Rembrandt"), "found 10 folders .*missing: Rembrandt"),
        (lambda root: (root / "Paul Klee").mkdir(), "Paul Klee: the artist's folder has no images"),
        (lambda root: (root / "Rembrandt" / "0.png").unlink(), "Rembrandt 2 instead of 3"),
        (lambda root: (root / "Rembrandt").rename(root / "cezanne"), "expected one for each of the 11"),
    ],
)
def test_what_is_not_the_set_is_refused(mine: Path, tmp_path: Path, change: Any, words: str) -> None:
    change(mine)
    with pytest.raises(LabsError, match=words):
        read(tmp_path)


def test_other_numbers_and_other_names_can_be_read(mine: Path, tmp_path: Path) -> None:
    (mine / "Rembrandt" / "0.png").unlink()
    (mine / "Canaletto").rename(mine / "Antonio Canal")
    with pytest.warns(UserWarning, match="Antonio Canal: not in the hand-out's table"):
        assert len(read(tmp_path, check_counts=False).names) == 32


def test_a_missing_folder_says_what_to_type(tmp_path: Path) -> None:
    with pytest.raises(LabsError, match=r"art_data/artists.*datamodule\.source\.path=<folder>.*data=embedded"):
        read(tmp_path)
    (tmp_path / "photos" / "cats").mkdir(parents=True)
    with pytest.raises(LabsError, match="found no folders of artists"):
        read(tmp_path, path=str(tmp_path / "photos"))
    with pytest.raises(LabsError, match="data=embedded uses its own paintings"):
        read(tmp_path, path="x", embedded=True)


@pytest.mark.parametrize("name", ["J. M. W. Turner", "JMW_Turner", "turner", "Joseph Turner"])
def test_an_artist_is_known_however_spelled(name: str) -> None:
    assert known(name) == ("J. M. W. Turner" if name != "Joseph Turner" else None)
    assert sum(PAINTINGS.values()) == 451
    assert all(known(artist) == artist for artist in PAINTINGS)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_table(Path("x"), PAINTINGS, check_counts=True)


def folds(folder: Path, **options: Any) -> ImageClassification:
    arguments: dict[str, Any] = {
        "source": Artists(folder=str(folder)), "num_classes": 11, "image_size": 20, "batch_size": 8,
        "normalization": "half", "augment": {}, "embedded": False, "validation_fraction": 0.4,
    }  # fmt: skip
    data = ImageClassification(**(arguments | options))
    data.prepare_data()
    data.setup("fit")
    return data


def test_every_painting_is_tested_in_one_fold_and_a_split_is_that_of_its_seed(mine: Path, tmp_path: Path) -> None:
    """The starter code cut with an unseeded permutation."""
    parts = [folds(tmp_path / "data", fold=fold, folds=3) for fold in range(3)]
    tested = np.concatenate([data.rows["test"] for data in parts])
    assert sorted(tested) == list(range(33))
    assert all(np.bincount(data._loaded.labels[data.rows["test"]]).tolist() == [1] * 11 for data in parts)
    again, other = folds(tmp_path / "data", fold=1, folds=3), folds(tmp_path / "data", fold=1, folds=3, split_seed=1)
    assert parts[1].split_hash == again.split_hash != other.split_hash
    assert parts[1].facts()["fold"] == 1
    everything = folds(tmp_path / "data", fold=0, folds=3, stratified=False, validation="test")
    assert len(everything.rows["test"]) == 11
    for wrong in ({"fold": 3, "folds": 3}, {"fold": -1}, {"fold": 0, "folds": 1}, {}):
        with pytest.raises(LabsError, match=r"datamodule\.fold"):
            folds(tmp_path / "data", **wrong)

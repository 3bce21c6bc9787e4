import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labs.datamodules import cached_statistics as module
from labs.datamodules.cached_statistics import cached_statistics
from labs.functional.normalization import channel_statistics
from labs.storage.seals import sealed

KEY = ("birds", "0123abcd", 9)


def random_images(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (5, 3, 9, 7)).astype(np.uint8)


def test_the_second_call_measures_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels, rows = random_images(), np.arange(5)
    first = cached_statistics(pixels, rows, tmp_path / "statistics", KEY)
    assert first == channel_statistics(pixels, rows)
    monkeypatch.setattr(module, "channel_statistics", None)
    assert cached_statistics(pixels, rows, tmp_path / "statistics", KEY) == first


@pytest.mark.parametrize("other", [("bees", "0123abcd", 9), ("birds", "0123abce", 9), ("birds", "0123abcd", 8)])
def test_another_dataset_split_or_size_is_measured_anew(tmp_path: Path, other: tuple[str, str, int]) -> None:
    first, second = random_images(seed=0), random_images(seed=1)
    rows = np.arange(5)
    cached_statistics(first, rows, tmp_path, KEY)
    assert cached_statistics(second, rows, tmp_path, other) == channel_statistics(second, rows)
    assert len(list(tmp_path.iterdir())) == 2


def test_other_pixels_under_the_same_names_are_measured_anew(tmp_path: Path) -> None:
    first, second = random_images(seed=0), random_images(seed=1)
    rows = np.arange(5)
    cached_statistics(first, rows, tmp_path, KEY)
    assert cached_statistics(second, rows, tmp_path, KEY) == channel_statistics(second, rows)


@pytest.mark.parametrize("content", ["", '{"mean": [0.1, 0.2', '{"mean": [0.1, 0.2, 0.3]}', "\x00\xff"])
def test_a_damaged_file_is_measured_anew_and_mended(tmp_path: Path, content: str) -> None:
    pixels, rows = random_images(), np.arange(5)
    expected = cached_statistics(pixels, rows, tmp_path, KEY)
    (file,) = tmp_path.iterdir()
    file.write_text(content)
    assert cached_statistics(pixels, rows, tmp_path, KEY) == expected
    assert json.loads(file.read_text())["mean"] == list(expected.mean)
    assert list(tmp_path.iterdir()) == [file]  # no temporary file stays behind


@pytest.mark.parametrize(
    "change",
    [
        {"mean": [0.9, 0.9, 0.9]},
        {"std": [5.0, 5.0, 5.0]},
        {"std": [0.0, 0.1, 0.1]},
        {"mean": [math.nan, 0.5, 0.5]},
        {"mean": ["NaN", 0.5, 0.5]},
        {"mean": ["a", "b", "c"]},
        {"mean": [0.5, 0.5], "std": [0.1, 0.1]},
        {"mean": None},
        {"seal": None},
        {"seal": [1]},
    ],
    ids=str,
)
def test_an_edited_file_is_measured_anew_with_a_line(
    tmp_path: Path, change: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    pixels, rows = random_images(), np.arange(5)
    expected = cached_statistics(pixels, rows, tmp_path, KEY)
    (file,) = tmp_path.iterdir()
    facts = json.loads(file.read_text()) | change
    file.write_text(json.dumps(facts))
    assert cached_statistics(pixels, rows, tmp_path, KEY) == expected
    why = "is damaged, was changed, or is of an earlier version"
    assert capsys.readouterr().err == f"{file} {why}; the statistics are measured again.\n"
    assert json.loads(file.read_text())["mean"] == list(expected.mean)


@pytest.mark.parametrize("text", ["[" * 100_000, "null", '{"mean": ' + "1" * 5000 + "}", None])
def test_a_file_that_nobody_can_read_is_measured_anew(tmp_path: Path, text: str | None) -> None:
    pixels, rows = random_images(), np.arange(5)
    expected = cached_statistics(pixels, rows, tmp_path, KEY)
    (file,) = tmp_path.iterdir()
    file.unlink()
    os.mkfifo(file) if text is None else file.write_text(text)
    assert cached_statistics(pixels, rows, tmp_path, KEY) == expected


def test_where_nothing_can_be_written_they_are_measured(tmp_path: Path) -> None:
    (tmp_path / "a file").write_text("")
    pixels, rows = random_images(), np.arange(5)
    assert cached_statistics(pixels, rows, tmp_path / "a file" / "x", KEY) == channel_statistics(pixels, rows)


@pytest.mark.parametrize("mean", [[math.nan, 0.5, 0.5], ["a", "b", "c"], [0.5, 0.5], [[0.5], 0.5, 0.5]], ids=str)
def test_impossible_values_are_not_used_even_with_a_right_seal(tmp_path: Path, mean: list[Any]) -> None:
    pixels, rows = random_images(), np.arange(5)
    expected = cached_statistics(pixels, rows, tmp_path, KEY)
    (file,) = tmp_path.iterdir()
    file.write_text(json.dumps(sealed(json.loads(file.read_text()) | {"mean": mean})))
    assert cached_statistics(pixels, rows, tmp_path, KEY) == expected

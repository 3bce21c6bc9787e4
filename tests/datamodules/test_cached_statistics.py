import json
from pathlib import Path

import numpy as np
import pytest

from labs.datamodules import cached_statistics as module
from labs.datamodules.cached_statistics import cached_statistics
from labs.functional.normalization import channel_statistics

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

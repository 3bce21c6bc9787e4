"""The sheet of changed images: its factor, and how much stands on it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from labs.drawing.before_after import Shown, changes_sheet, magnification


@pytest.mark.parametrize(("largest", "factor"), [(0.5, 1), (0.9, 1), (0.2, 2), (0.02, 20), (0.05, 10), (1e-4, 5000)])
def test_the_factor_is_round_and_fills_the_range(largest: float, factor: float) -> None:
    assert magnification([np.full((4, 4, 3), largest), np.full((4, 4, 3), -largest)]) == factor


def test_no_change_at_all_is_not_magnified_to_nonsense() -> None:
    assert magnification([np.zeros((4, 4, 3))]) == 1


@pytest.mark.parametrize("count", [1, 7, 8])
def test_wide_or_in_bands(count: int, tmp_path: Path) -> None:
    original = np.random.default_rng(0).random((16, 16, 3))
    words = ("Egyptian cat\n55 %", "a class with a very long name indeed, $ and all\n51 %", "7 steps\nPNG ✓  JPEG ✗")
    columns = [Shown(original, original + 0.01, words, good=(True, False, None)[place % 3]) for place in range(count)]
    changes_sheet(columns, tmp_path / "sheet.png", "a net", ["embedded data"])
    with Image.open(tmp_path / "sheet.png") as sheet:
        width, height = sheet.size
    assert (width > height) == (count == 7)
    assert width < 1800

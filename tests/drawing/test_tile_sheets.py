from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from labs.drawing.tile_sheets import MARK, Section, Tile, filter_colors, map_colors, tile_sheet

GRAY = np.full((20, 20, 3), 0.5)


@pytest.mark.parametrize(("tiles", "aside"), [(1, False), (3, True), (64, True), (64, False), (500, False)])
def test_a_sheet_is_as_wide_as_a_slide_and_no_higher(tiles: int, aside: bool, tmp_path: Path) -> None:
    picture = Tile(GRAY, "a cat with $ signs\n$x$ of a very long name that needs many lines") if aside else None
    tile_sheet([Section("", [Tile(GRAY, "1  50%")] * tiles)], tmp_path / "sheet.png", "title", ["a"], aside=picture)
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width == 1408
        assert sheet.height <= 793


def yellow(path: Path) -> np.ndarray:
    """Return where the color of marks is in a picture."""
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    color = np.array([int(MARK[place : place + 2], 16) for place in (1, 3, 5)])
    return np.argwhere(np.abs(pixels - color).sum(2) < 30)


def test_a_small_box_is_enlarged_and_a_large_one_has_a_dot(tmp_path: Path) -> None:
    boxes = {"none": (None, None), "small": ((2, 2, 5, 5), (3.5, 3.5)), "large": ((0, 0, 18, 18), (9.0, 9.0)),
             "plain": ((0, 0, 18, 18), None), "padding": ((-9, -9, -2, -2), None)}  # fmt: skip
    found = {}
    for name, (box, dot) in boxes.items():
        tile_sheet([Section("unit", [Tile(GRAY, "1", box, dot)])], tmp_path / f"{name}.png", "t", [], columns=4)
        found[name] = yellow(tmp_path / f"{name}.png")
    assert len(found["none"]) == 0
    assert len(found["large"]) > len(found["plain"]) > 0
    middle = found["small"].mean(0)
    assert len(found["small"][(found["small"] > middle).all(1)]) > 0, "the enlarged view is in the other corner"


def test_colors_of_maps_have_zero_where_they_say() -> None:
    positive = map_colors(np.array([[0.0, 1.0], [2.0, 0.5]]))
    assert positive[0, 0].argmax() == 2  # dark blue
    assert positive[1, 0].sum() > 1.7
    signed = map_colors(np.array([[0.0, -2.0], [2.0, 1.0]]))
    assert signed[0, 0].min() > 0.95  # white
    assert signed[0, 1].argmax() == 2
    assert signed[1, 0].argmax() == 0
    peaked = np.zeros((40, 40))
    peaked[:20], peaked[0, 0] = 1.0, 1000.0
    np.testing.assert_array_equal(map_colors(peaked)[5, 5], map_colors(peaked)[0, 0])  # a single peak hides nothing
    assert np.isfinite(map_colors(np.array([[np.nan, 1.0]]))).all()
    assert map_colors(np.zeros((2, 2))).shape == (2, 2, 3)


def test_colors_of_filters() -> None:
    weights = np.array([[[0.0, 2.0]], [[0.0, -2.0]], [[0.0, 1.0]]])
    np.testing.assert_allclose(filter_colors(weights), [[[0.5, 0.5, 0.5], [1.0, 0.0, 0.75]]])
    assert filter_colors(weights[:1]).shape == (1, 2, 3)
    assert np.isfinite(filter_colors(np.zeros((3, 2, 2)))).all()

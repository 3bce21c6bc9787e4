"""Sheets of pictures for classes."""

from pathlib import Path

import pytest
from PIL import Image

from labs.drawing.class_sheets import classes_sheet, on_white


@pytest.mark.parametrize(("count", "lines"), [(1, 1), (3, 1), (4, 2), (5, 1)])
def test_a_sheet_is_white_and_holds_every_picture(tmp_path: Path, count: int, lines: int) -> None:
    columns = [[Image.new("RGB", (32, 32), (20 * place, 0, 200))] * lines for place in range(count)]
    path = tmp_path / "sheet.png"
    classes_sheet(columns, [f"class {p}" for p in range(count)], ["a: 9 %\nb: 1 %"] * count, path, "T", ["label"])
    with Image.open(path) as image:
        assert image.convert("RGB").getpixel((0, 0)) == (255, 255, 255)
        found = {color for _, color in image.convert("RGB").getcolors(image.width * image.height) or []}
    assert {(20 * place, 0, 200) for place in range(count)} <= found


def test_what_is_not_opaque_is_white() -> None:
    shown = on_white(Image.new("RGB", (2, 1)), Image.frombytes("L", (2, 1), bytes([0, 255])))
    assert [shown.getpixel(place) for place in ((0, 0), (1, 0))] == [(255, 255, 255), (0, 0, 0)]

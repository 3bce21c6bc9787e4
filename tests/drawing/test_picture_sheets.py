"""Sheets of pictures, growing pictures and their curves, drawn from pictures of one colour each."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from labs.drawing.curves import PALETTE
from labs.drawing.picture_sheets import growth_gif, losses_in_words, losses_png, pairs_sheet

LABELS = ["embedded data", "random weights"]


def plain(colour: tuple[int, int, int], size: tuple[int, int] = (40, 40)) -> Image.Image:
    return Image.new("RGB", size, colour)


def measured(name: str, **changes: object) -> dict[str, object]:
    return {"picture": name, "content": 0.25, "content_start": 0.0, "style_start": 5.0, "style": 0.013, **changes}


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def where(picture: np.ndarray, colour: tuple[int, ...], tolerance: int = 0) -> tuple[slice, slice]:
    """Return the rectangle that a colour fills: rows and columns."""
    found = (np.abs(picture - colour) <= tolerance).all(axis=-1)
    assert found.any(), f"{colour} is not there"
    rows, columns = (np.flatnonzero(found.any(axis=axis)) for axis in (1, 0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def ink(picture: np.ndarray) -> np.ndarray:
    """Return where something is drawn on white."""
    return (picture < 200).any(axis=-1)


def sheet(folder: Path, rows: int, size: tuple[int, int] = (40, 40), **changes: object) -> np.ndarray:
    """Draw a sheet of rows with colours (row, column) of their own, and return its pixels."""
    pictures = [[plain((20 * row + 5, 80 * column + 5, 105), size) for column in range(3)] for row in range(rows)]
    numbers = [measured(f"pair_{row}", **changes) for row in range(rows)]
    path = folder / f"{rows}.png"
    pairs_sheet(pictures, numbers, path, "a run", LABELS)
    return pixels(path)


def test_a_sheet_has_a_line_a_pair(tmp_path: Path) -> None:
    sheets = {rows: sheet(tmp_path, rows) for rows in (1, 2, 3)}
    heights = {rows: len(picture) for rows, picture in sheets.items()}
    assert heights[3] - heights[2] == pytest.approx(heights[2] - heights[1], abs=2)
    assert heights[2] - heights[1] > 200
    for rows, picture in sheets.items():
        boxes = [[where(picture, (20 * row + 5, 80 * column + 5, 105)) for column in range(3)] for row in range(rows)]
        for line in boxes:  # content, style, result: from left to right, at one height, without overlap
            assert all(left[1].stop < right[1].start for left, right in pairwise(line))
            assert len({(rectangle[0].start, rectangle[0].stop) for rectangle in line}) == 1
        for upper, lower in pairwise(boxes):
            assert upper[0][0].stop < lower[0][0].start


def test_pictures_keep_their_shape(tmp_path: Path) -> None:
    for width, height in ((80, 40), (30, 60), (120, 32)):
        rows, columns = where(sheet(tmp_path, 1, (width, height)), (5, 165, 105))
        ratio = (columns.stop - columns.start) / (rows.stop - rows.start)
        assert ratio == pytest.approx(width / height, rel=0.03)
        assert columns.stop - columns.start > 150, "large enough to look at"


def test_what_was_measured_stands_above_the_result(tmp_path: Path) -> None:
    """Ink above the third picture, more of it than above the first, which is only called content."""
    picture = sheet(tmp_path, 1)
    above = [ink(picture[slice(55, rows.start), columns]).sum() for rows, columns in (
        where(picture, (5, 80 * column + 5, 105)) for column in range(3)
    )]  # fmt: skip
    assert min(above) > 0
    assert above[2] > 2 * max(above[:2])


def test_an_interrupted_run_has_no_numbers_yet(tmp_path: Path) -> None:
    pairs_sheet([[plain((9, 9, 9))] * 3], [{"picture": "a_b"}], tmp_path / "sheet.png", "a run", [])
    assert where(pixels(tmp_path / "sheet.png"), (9, 9, 9))


def test_a_long_name_stays_above_its_picture(tmp_path: Path) -> None:
    pictures = [plain((5, 5, 105), (64, 48)) for _ in range(3)]
    name = "IMG_2019_our_holiday_at_the_lake_of_garda_starry_night_over_the_rhone_1888"
    pairs_sheet([pictures], [measured(name)], tmp_path / "sheet.png", "a run", [])
    picture = pixels(tmp_path / "sheet.png")
    rows, columns = where(picture, (5, 5, 105))
    above = np.flatnonzero(ink(picture[30 : rows.start]).any(axis=0))
    assert above.max() < columns.stop, "not cut at the edge of the sheet"


def test_losses_in_words() -> None:
    said = losses_in_words(measured("a", content=0.12345, style_start=12345.6, style=1.5e-7))
    assert said == "content loss 0 to 0.12, style loss 1.2e+04 to 1.5e-07"


def losses(names: list[str], evaluations: int, *, content: float = 0.5) -> pd.DataFrame:
    return pd.DataFrame(
        [
            (number, name, content * (number > 1), 5.0 / number + place, 50.0 / number + place)
            for number in range(1, evaluations + 1)
            for place, name in enumerate(names)
        ],
        columns=["evaluation", "picture", "content", "style", "total"],
    )


def test_every_picture_has_a_curve_in_every_panel(tmp_path: Path) -> None:
    losses_png(losses(["a", "b", "c"], 9), tmp_path / "losses.png", "a run", LABELS)
    curves = pixels(tmp_path / "losses.png")
    for colour in PALETTE[1:3]:
        rgb = [int(colour[place : place + 2], 16) for place in (1, 3, 5)]
        for panel in np.array_split(curves, 3, axis=1)[1:]:
            assert (np.abs(panel - rgb) < 12).all(axis=-1).sum() > 50
    assert ink(curves[:45]).any(), "the title"


@pytest.mark.parametrize(
    "table",
    [
        losses(["a"], 1),
        losses(["a"], 3, content=0.0),  # a content layer's loss that is zero all the way: no logarithm of it
        losses([f"pair_{number}" for number in range(12)], 2),  # more pictures than colours
        losses(["a", "b"], 3).replace(5.0, np.nan).replace(50.0, np.inf),
    ],
    ids=["one evaluation", "zero", "many", "not finite"],
)
def test_curves_of_any_run_are_drawn(table: pd.DataFrame, tmp_path: Path) -> None:
    losses_png(table, tmp_path / "losses.png", "a run", [])
    assert ink(pixels(tmp_path / "losses.png")).mean() > 0.005


def strips(folder: Path, colours: dict[int, tuple[int, int, int]], size: tuple[int, int] = (300, 60)) -> list[Path]:
    paths = [folder / f"{number:06d}.png" for number in colours]
    for path, colour in zip(paths, colours.values(), strict=True):
        plain(colour, size).save(path)
    return paths


def frames(path: Path) -> tuple[list[np.ndarray], list[int]]:
    with Image.open(path) as animation:
        found, durations = [], []
        for place in range(getattr(animation, "n_frames", 1)):
            animation.seek(place)
            found.append(np.asarray(animation.convert("RGB")).astype(int))
            durations.append(animation.info.get("duration", 0))
    return found, durations


def test_a_gif_shows_every_frame_and_holds_the_last(tmp_path: Path) -> None:
    colours = {3: (250, 20, 20), 6: (20, 250, 20), 7: (20, 20, 250)}
    growth_gif(strips(tmp_path, colours), tmp_path / "growth.gif", LABELS)
    shown, durations = frames(tmp_path / "growth.gif")
    assert len(shown) == 3
    assert durations == [120, 120, 2500]
    for frame, colour in ((shown[0], colours[3]), (shown[-1], colours[7])):
        assert np.abs(frame[30, 150] - colour).max() < 30
    assert (ink(shown[0]) != ink(shown[1])).any(), "the number of evaluations goes on"


@pytest.mark.parametrize(("count", "expected"), [(1, 1), (60, 60), (61, 60), (150, 60)])
def test_a_long_run_grows_by_several_frames_at_a_time(count: int, expected: int, tmp_path: Path) -> None:
    colours = {10 * number: (number, 255 - number, 0) for number in range(1, count + 1)}
    growth_gif(strips(tmp_path, colours, (240, 16)), tmp_path / "growth.gif", [])
    shown, _ = frames(tmp_path / "growth.gif")
    assert len(shown) == expected
    assert np.abs(shown[0][8, 100] - colours[10]).max() < 12
    assert np.abs(shown[-1][8, 100] - colours[10 * count]).max() < 12


def test_without_frames_there_is_no_gif(tmp_path: Path) -> None:
    growth_gif([], tmp_path / "growth.gif", LABELS)
    assert not (tmp_path / "growth.gif").exists()


@pytest.mark.parametrize("width", [32, 128, 384, 768])
def test_the_labels_below_a_frame_are_never_cut(width: int, tmp_path: Path) -> None:
    growth_gif(strips(tmp_path, {9: (9, 9, 9), 12345: (9, 9, 9)}, (width, 32)), tmp_path / "growth.gif", LABELS)
    shown, _ = frames(tmp_path / "growth.gif")
    for frame in shown:
        assert frame.shape[1] >= width
        caption = ink(frame[32:])
        assert caption.any()
        assert not caption[:, -2:].any(), "it ends before the picture does"
        assert not caption[-1].any()
    lines = ink(shown[-1][32:]).any(axis=1).astype(int)
    count = (np.diff(np.concatenate([[0], lines])) == 1).sum()
    assert (count == 1) == (width >= 384), "a line for each label where they do not fit side by side"

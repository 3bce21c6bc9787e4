"""Sheets of maps: colors that mean something, and every number where it belongs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

from labs.drawing import map_sheets
from labs.drawing.map_sheets import ShownMap, map_picture, overlay, sheet_of_map, sheet_of_maps
from labs.inspection.map_checks import CheckedMap


def shown(name: str, *, spearman: float = 0.1, deletion: float = 0.1) -> ShownMap:
    draw = torch.Generator().manual_seed(0)
    curve = torch.linspace(1, 0, 5)
    checked = CheckedMap(
        position=0, label=1, target=0, probabilities=torch.tensor([0.75, 0.25]), map=torch.rand(8, 8, generator=draw),
        random_map=torch.zeros(8, 8), shares=torch.tensor([0.5, 1.0]), spearman=torch.tensor([0.6, spearman]),
        ssim=torch.tensor([0.5, 0.2]), deletion=curve * 2 * deletion, insertion=curve, random_deletion=curve,
        random_insertion=curve,
    )  # fmt: skip
    top = [("cost $5 cat", 0.75), ("dog", 0.25)]
    return ShownMap(name, torch.rand(3, 8, 8, generator=draw), top, "cost $5 cat", "dog", checked)


@pytest.fixture
def words(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Everything that is written on the figures that are saved."""
    found: list[str] = []
    save = Figure.savefig

    def listen(figure: Figure, *arguments: object, **options: object) -> None:
        texts = figure.findobj(lambda part: hasattr(part, "get_text"))
        found.extend(part.get_text() for part in texts)  # type: ignore[attr-defined]
        save(figure, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Figure, "savefig", listen)
    return found


def test_bright_is_much_and_dark_is_little() -> None:
    values = torch.linspace(0, 1, 100).view(10, 10)
    picture = map_picture(values).astype(int).sum(2).flatten()
    assert (np.diff(picture) >= 0).all()
    assert picture[0] < 20
    assert picture[-1] > 500
    assert map_picture(torch.zeros(4, 4)).max() < 10


def test_where_the_map_is_dark_the_image_is_grey() -> None:
    values = torch.zeros(4, 4)
    values[0, 0] = 1
    picture = overlay(torch.rand(3, 4, 4), values).astype(int)
    assert (np.ptp(picture, axis=2)[1:] <= 1).all()
    assert np.ptp(picture[0, 0]) > 50


def test_a_map_that_fails_is_marked_in_words(tmp_path: Path, words: list[str]) -> None:
    sheet_of_map(shown("a", spearman=0.8, deletion=0.9), tmp_path / "a.png", "title", ["embedded data"])
    sheet_of_map(shown("b"), tmp_path / "b.png", "title", ["embedded data"])
    verdicts = [text for text in words if text.startswith(("fails", "passes"))]
    assert verdicts[0] == (
        "fails: random weights give a similar map (Spearman 0.80); deleting its pixels removes the class no faster "
        "than random deletion"
    )
    assert verdicts[1].startswith("passes: random weights give a different map (Spearman 0.10)")
    assert "cost $5 cat  75.0%" in words
    assert "title\nembedded data" in words
    with Image.open(tmp_path / "a.png") as image:
        assert image.width > 1000


def test_a_sheet_shows_eight_images_and_says_of_more(tmp_path: Path, words: list[str]) -> None:
    sheet_of_maps([shown(f"image {n}") for n in range(map_sheets.MOST + 3)], tmp_path / "all.png", "title", [])
    assert "title; 3 more images have their own sheets" in words
    assert sum(text.startswith("passes") for text in words) == map_sheets.MOST

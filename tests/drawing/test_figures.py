"""Names of classes have any letters: they are drawn where a font has them, and nothing is said where none has."""

from __future__ import annotations

import io
import re
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from PIL import Image
from project import ROOT

from labs.drawing import figures
from labs.drawing.answer_sheets import Answered, answer_sheet
from labs.drawing.figures import Figure

SHEEP = "\u7f8a"  # a letter of Chinese
HOOKED = "\u1d81"  # one that STIX has, which matplotlib brings, and that matplotlib's usual font has not


def drawn(letter: str) -> np.ndarray:
    figure, file = Figure(figsize=(1, 1)), io.BytesIO()
    figure.text(0.3, 0.3, letter, fontsize=30)
    figure.savefig(file, format="png", dpi=50)
    return np.asarray(Image.open(file))


def test_a_letter_comes_from_another_font_if_the_machine_has_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(matplotlib.rcParams, "font.family", ["sans-serif"])
    monkeypatch.setattr(figures, "WITH_MORE_LETTERS", ("No such font",))
    figures.use_more_letters()
    assert matplotlib.rcParams["font.family"] == ["sans-serif"]
    box, usual = drawn(HOOKED), drawn("g")
    monkeypatch.setattr(figures, "WITH_MORE_LETTERS", ("No such font", "STIXGeneral"))
    figures.use_more_letters()
    figures.use_more_letters()
    assert matplotlib.rcParams["font.family"] == ["sans-serif", "STIXGeneral"]
    assert not np.array_equal(drawn(HOOKED), box)
    assert np.array_equal(drawn("g"), usual), "what the usual font has stays in it"


def test_names_with_any_letters_are_drawn_without_a_word(tmp_path: Path) -> None:
    names = [SHEEP * 60, "$x", "a\\b", "кот", "\U0001f600"]
    shown = Answered(np.zeros((8, 8, 3)), f"{SHEEP}.png", [(name, 0.2) for name in names])
    answer_sheet([shown] * 3, tmp_path / "a.png", SHEEP, ["embedded data"])
    with Image.open(tmp_path / "a.png") as sheet:
        assert sheet.width == 1408


def test_every_figure_is_one_of_these() -> None:
    own = ROOT / "src" / "labs" / "drawing" / "figures.py"
    others = [path for path in (ROOT / "src").rglob("*.py") if path != own]
    found = [
        path.name for path in others if re.search(r"matplotlib(\.figure import|.* import .*pyplot)", path.read_text())
    ]
    assert not found, "type from labs.drawing.figures import Figure"


def test_a_name_with_dollar_signs_is_drawn_as_it_is(tmp_path: Path) -> None:
    """One of a run that somebody handed over kept the whole report from being written."""
    for number, title in enumerate([r"$\frac{$", "costs $1 or $2", r"\$x\$"]):
        figure = Figure(figsize=(3, 2), layout="constrained")
        axes = figure.subplots()
        axes.set(title=title, xlabel=title)
        axes.set_xticks([0, 1], [title, "b"])
        axes.plot([0, 1], label=title)
        axes.legend()
        figure.savefig(tmp_path / f"{number}.png")


def test_a_logarithmic_axis_has_powers_of_ten(tmp_path: Path) -> None:
    for name, kind in {"ours": Figure, "theirs": matplotlib.figure.Figure}.items():
        figure = kind(figsize=(3, 2))
        figure.subplots().loglog([1, 10, 1000], [1e-5, 1, 20])
        figure.savefig(tmp_path / f"{name}.png")
    assert (tmp_path / "ours.png").read_bytes() == (tmp_path / "theirs.png").read_bytes()

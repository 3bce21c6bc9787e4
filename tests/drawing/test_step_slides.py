from pathlib import Path

import pytest
from matplotlib.figure import Figure

from labs.drawing.step_slides import frames_of, over_steps, read_steps, subtitle_of, written


@pytest.mark.parametrize("steps", [0, 1, 7, 1000, 99_999])
def test_frames_begin_before_the_first_step_and_end_after_the_last(steps: int) -> None:
    frames = frames_of(steps)
    assert frames[0] == 0
    assert frames[-1] == steps
    assert frames == sorted(set(frames))
    assert len(frames) <= 61


def test_the_axis_of_steps_has_a_zero(tmp_path: Path) -> None:
    axes = Figure().add_subplot()
    over_steps(axes, 1000)
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0", "1", "10", "100", "1,000"]


@pytest.mark.parametrize("text", ["", "step\n", "step\ta\n0\tword\n", "\x00"])
def test_steps_that_nobody_can_read_are_none(text: str, tmp_path: Path) -> None:
    assert read_steps(tmp_path) is None
    (tmp_path / "steps.tsv").write_text(text)
    assert read_steps(tmp_path) is None


def test_steps_are_read_with_what_is_no_number(tmp_path: Path) -> None:
    (tmp_path / "steps.tsv").write_text("step\ta\tb\n0\t1\tnan\n1\tinf\t2\n")
    steps = read_steps(tmp_path)
    assert steps is not None
    assert steps["a"].tolist() == [1, float("inf")]
    assert steps["b"].isna().tolist() == [True, False]


def test_what_is_told_needs_no_settings() -> None:
    assert subtitle_of({}, 12, "y = x") == "y = x · 12 steps"
    settings = {"module.optimizer.lr": 0.01, "module.optimizer.momentum": 0.9}
    assert subtitle_of({"settings": settings}, 1) == "learning rate 0.01 · momentum 0.9 · 1 step"
    assert written(-0.5) == "\N{MINUS SIGN}0.5"

"""The neuron in the closing table and on its slide."""

from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from labs.practicals import sheets
from labs.practicals.neuron.pictures import draw_run, right_from

SHEET = sheets()["neuron"]
STEPS = pd.DataFrame(
    {
        "weight": [0.5, -1.0, -5.0],
        "bias": [0.1, 0.2, 2.5],
        "train_loss": [float("nan"), 0.7, 0.3],
        "test_loss": [0.9, 0.6, 0.08],
        "test_acc": [0.5, 0.5, 1.0],
    }
)


def write(folder: Path, steps: pd.DataFrame, activation: str = "sigmoid") -> Path:
    steps.rename_axis("step").to_csv(folder / "steps.tsv", sep="\t", na_rep="nan")
    (folder / "metrics.json").write_text(f'{{"settings": {{"module.activation": "{activation}"}}}}')
    return folder


def test_a_run_ends_with_what_was_learnt() -> None:
    metrics = {"test/acc": 1.0, "test/loss": 0.0268, "test/weight": -7.3, "test/bias": 3.487, "test/right_from": 6.0}
    lines = dict(SHEET.results({"metrics": metrics}, Path()))
    assert lines["accuracy on held-out bits"] == "100 %"
    assert lines["every answer is right from step"] == "6"
    assert (lines["weight"], lines["bias"]) == ("-7.3", "3.487")
    del metrics["test/right_from"]
    assert dict(SHEET.results({"metrics": metrics}, Path()))["every answer is right from step"] == "not at the end"


@pytest.mark.parametrize(("accuracies", "step"), [([1, 1], 0), ([0.5, 1, 0.5, 1, 1], 3), ([1, 0.5], None)])
def test_answers_are_right_for_good_from_a_step_on(accuracies: list[float], step: int | None) -> None:
    assert right_from(pd.DataFrame({"test_acc": accuracies})) == step


@pytest.mark.parametrize("activation", ["sigmoid", "linear"])
def test_a_run_is_drawn_as_it_learns(activation: str, tmp_path: Path) -> None:
    draw_run(write(tmp_path, STEPS, activation), {})
    with Image.open(tmp_path / "result.png") as still, Image.open(tmp_path / "result.gif") as moving:
        assert still.size == (1408, 792)
        assert getattr(moving, "n_frames", 1) == 3


def test_a_run_that_diverged_or_has_no_step_is_drawn_too(tmp_path: Path) -> None:
    lost = STEPS.assign(weight=float("nan"), train_loss=float("inf"), test_loss=float("nan"))
    draw_run(write(tmp_path, lost), {})
    draw_run(write(tmp_path, STEPS.iloc[:1]), {})
    assert (tmp_path / "result.png").stat().st_size > 0


def test_steps_of_something_else_are_not_drawn(tmp_path: Path) -> None:
    draw_run(write(tmp_path, STEPS.drop(columns="bias")), {})
    assert not (tmp_path / "result.png").exists()

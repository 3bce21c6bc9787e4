"""What a run leaves whose every step is kept: finished, and interrupted."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from labs.modules.descent import Descent

QUICK = ("experiment=descent_quartic", "data=embedded", "steps=6", "every=2", "logger=none", "hydra.run.dir=run")


def test_a_run_leaves_its_steps_and_a_slide_of_them_in_place_of_curves(train: Callable[..., Path]) -> None:
    run_dir = train(*QUICK, "datamodule.points=[-1,2]").parent / "run"
    steps = pd.read_csv(run_dir / "steps.tsv", sep="\t")
    assert list(steps.columns) == ["step", "from -1", "from 2"]
    assert steps["step"].tolist() == list(range(7))
    assert steps.iloc[1].tolist() == pytest.approx([1, -0.9, 1.92])  # x - 0.01 f'(x)
    with Image.open(run_dir / "result.png") as still, Image.open(run_dir / "result.gif") as moving:
        assert still.size == (1408, 792)
        assert getattr(moving, "n_frames", 1) == 7
    assert len(pd.read_csv(run_dir / "log.tsv", sep="\t")) == 3
    assert json.loads((run_dir / "metrics.json").read_text())["labels"] == ["embedded data"]


def test_an_interrupted_run_keeps_the_steps_that_it_took(
    train: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Descent.training_step

    def stopped(self: Descent, *arguments: object) -> None:
        if self.evaluations == 4:
            raise KeyboardInterrupt
        whole(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Descent, "training_step", stopped)
    with pytest.raises(SystemExit):
        train(*QUICK)
    assert len(pd.read_csv(tmp_path / "run" / "steps.tsv", sep="\t")) == 5
    assert (tmp_path / "run" / "result.png").is_file()
    monkeypatch.setattr(Descent, "training_step", whole)
    train("resume=run")
    assert len(pd.read_csv(tmp_path / "run" / "steps.tsv", sep="\t")) == 7

"""A trial reports each epoch, and ends where the search's rule says so."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest
from optuna.distributions import FloatDistribution

from labs.trials.journal import open_journal

pytestmark = pytest.mark.usefixtures("undrawn")
QUICK = ("trainer=cpu", "trainer.max_epochs=6", "weights=random", "logger=none", "callbacks.pictures=null")


def study_of(folder: Path, value: float) -> optuna.Study:
    """Return a search in which five trials have ended, each of them with this value in every epoch."""
    folder.mkdir()
    study = open_journal(folder, "maximize")
    study.set_user_attr("metric", "val/acc")
    study.set_user_attr("pruner", "median")
    for _ in range(5):
        trial = study.ask({"lr": FloatDistribution(0, 1)})
        for epoch in range(1, 7):
            trial.report(value, epoch)
        study.tell(trial, value)
    study.ask({"lr": FloatDistribution(0, 1)})
    return study


@pytest.mark.parametrize(("others", "epochs"), [(2.0, 2), (-1.0, 6)])
def test_a_trial_worse_than_the_median_is_stopped(
    others: float, epochs: int, train: Callable[..., Path], tmp_path: Path
) -> None:
    study = study_of(tmp_path / "search", others)
    run = tmp_path / "search" / "cell"
    train(*QUICK, "trial=5", "validate_only=true", f"hydra.run.dir='{run}'")
    facts = json.loads((run / "metrics.json").read_text())
    assert facts["epochs"] == epochs
    assert facts.get("pruned") == (epochs if epochs < 6 else None)
    assert ("stopped early" in facts["labels"]) == (epochs < 6)
    assert list(study.trials[5].intermediate_values) == list(range(1, epochs + 1))
    assert not any(name.startswith("test/") for name in facts["metrics"])


def test_other_runs_know_nothing_of_it(train: Callable[..., Path]) -> None:
    outputs = train("debug=batches", "weights=random", "trainer=cpu")
    (run,) = (outputs / "digits_layer1_frozen").iterdir()
    assert "validate_only" not in (run / ".hydra" / "recipe.yaml").read_text()
    assert "pruning" not in (run / ".hydra" / "recipe.yaml").read_text()

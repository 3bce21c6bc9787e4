"""What becomes of a trial: a value, a stop, a failure; and what is proposed next."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from labs.cli.search.study import Proposal, Study

SETTINGS: dict[str, Any] = {
    "space": {"lr": "log(1e-4, 1)"}, "direction": "maximize", "pruner": "median", "metric": "val/acc", "seeds": [0, 1],
    "seed": 0, "trials": 4,
}  # fmt: skip


def opened(folder: Path, **changes: Any) -> Study:
    return Study(folder, {**SETTINGS, **changes}, "key", at_once=1)


@pytest.fixture
def study(tmp_path: Path) -> Iterator[Study]:
    study = opened(tmp_path)
    yield study
    study.close()


def proposed(study: Study) -> Proposal:
    found = study.propose()
    assert found is not None
    return found


def test_every_end_of_a_trial_is_told(study: Study, tmp_path: Path) -> None:
    study.end(proposed(study).number, {0: 0.5, 1: 0.7})
    study.end(proposed(study).number, {}, pruned=True)
    study.end(proposed(study).number, {}, error="it diverged")
    study.end(proposed(study).number, {0: 0.9, 1: math.nan})
    trials = json.loads((tmp_path / "search.json").read_text())["trials"]
    assert [(trial["state"], trial["value"]) for trial in trials] == [
        ("done", pytest.approx(0.6)), ("pruned", None), ("failed", None), ("failed", None),
    ]  # fmt: skip
    assert study.propose() is None
    best = study.best()
    assert best is not None
    assert best.number == 0


def test_a_trial_that_did_not_end_comes_first_when_the_search_is_opened_again(tmp_path: Path) -> None:
    first = opened(tmp_path)
    words = [proposed(first).words, proposed(first).words]
    assert words[0] != words[1]
    first.end(0, {0: 0.5})
    first.close()
    again = opened(tmp_path)
    assert proposed(again) == Proposal(1, words[1])
    assert proposed(again).number == 2
    again.close()


def test_proposals_do_not_depend_on_when_the_search_was_stopped(tmp_path: Path) -> None:
    def told(folder: Path, *, closing: bool) -> list[list[str]]:
        study, words = opened(folder, trials=14), []
        while found := study.propose():
            words.append(found.words)
            study.end(found.number, {0: -abs(math.log10(float(found.words[0].partition("=")[2])) + 2)})
            if closing:
                study.close()
                study = opened(folder, trials=14)
        study.close()
        return words

    whole = told(tmp_path / "whole", closing=False)
    assert whole == told(tmp_path / "parts", closing=True)
    assert len({tuple(words) for words in whole}) == 14

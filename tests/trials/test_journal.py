"""The journal of a search: a torn line, and what a trial's own process does with it."""

from __future__ import annotations

from pathlib import Path

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState

from labs.trials.journal import JOURNAL, PRUNERS, cut_torn_line, noted, open_journal, trial_of

SPACE = {"x": FloatDistribution(0, 1)}


def test_a_trial_of_another_process_is_found_by_its_number(tmp_path: Path) -> None:
    study = open_journal(tmp_path, "maximize")
    study.set_user_attr("metric", "val/acc")
    asked = [study.ask(SPACE) for _ in range(3)]
    elsewhere = open_journal(tmp_path)
    assert noted(elsewhere) == {"metric": "val/acc"}
    trial_of(elsewhere, 1).report(0.5, 1)
    study.tell(asked[1].number, 0.5)
    assert [trial.intermediate_values for trial in open_journal(tmp_path).trials] == [{}, {1: 0.5}, {}]


def test_a_line_without_its_end_is_cut_off(tmp_path: Path) -> None:
    study = open_journal(tmp_path, "maximize")
    study.tell(study.ask(SPACE), 0.5)
    whole = (tmp_path / JOURNAL).read_bytes()
    (tmp_path / JOURNAL).write_bytes(whole + b'{"op_code":4,"stu')
    cut_torn_line(tmp_path)
    assert (tmp_path / JOURNAL).read_bytes() == whole
    study = open_journal(tmp_path, "maximize")
    study.tell(study.ask(SPACE), 0.7)
    assert [trial.value for trial in open_journal(tmp_path).trials] == [0.5, 0.7]


def test_no_journal(tmp_path: Path) -> None:
    cut_torn_line(tmp_path)
    with pytest.raises(KeyError):
        open_journal(tmp_path)


@pytest.mark.parametrize(("rule", "stops"), [("median", True), ("none", False)])
def test_the_rule_that_stops_a_trial(rule: str, stops: bool, tmp_path: Path) -> None:
    study = open_journal(tmp_path, "maximize")
    for _ in range(5):
        good = study.ask(SPACE)
        for epoch in range(1, 5):
            good.report(0.9, epoch)
        study.tell(good, 0.9)
    bad = study.ask(SPACE)
    answers = []
    for epoch in range(1, 5):
        bad.report(0.1, epoch)
        elsewhere = open_journal(tmp_path)
        elsewhere.pruner = PRUNERS[rule]
        answers.append(trial_of(elsewhere, bad.number).should_prune())
    assert answers == [stops] * 4
    assert study.get_trials(states=[TrialState.RUNNING])[0].number == bad.number
    assert isinstance(study, optuna.Study)

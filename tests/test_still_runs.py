"""Every experiment is run small by a script, which writes the dated table of the README."""

from __future__ import annotations

import datetime
import re
from collections import Counter
from pathlib import Path

import pytest
import still_runs
from project import ROOT
from still_runs import Result

FOUND = {"Python": "3.13.1", "torch": "2.9.0", "machine": "Linux on x86_64, 2 cores"}


def test_the_table_names_what_failed_and_why() -> None:
    results = [
        Result("one", "first", 2.4, ""),
        Result("two", "first", 3.4, "exit code 1: Error: <b> | `x`"),
        Result("three", "second", 1.0, ""),
    ]
    assert still_runs.rendered(results, FOUND, "2026-11-29") == (
        "2 of 3 experiments ran on 2026-11-29, small and on embedded data, with Python 3.13.1, torch 2.9.0; "
        "Linux on x86_64, 2 cores.\n\n"
        "| practical | experiments | ran | seconds, all together |\n|---|---|---|---|\n"
        "| first | 2 | 1 | 6 |\n| second | 1 | 1 | 1 |\n\n"
        "- `two` failed: exit code 1: Error: &lt;b> \\| 'x'"
    )


def test_the_readme_has_the_table_of_the_experiments_that_there_are() -> None:
    """One that is newer than the table need not stand in it, so that a new practical edits nothing that exists."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    table = text.partition(still_runs.MARKS[0])[2].partition(still_runs.MARKS[1])[0]
    date, there = re.search(r"experiments ran on ([\d-]+)", table), Counter(still_runs.practical_of_each().values())
    assert date is not None
    assert datetime.date.fromisoformat(date[1]) > datetime.date(2026, 11, 1)
    rows = {
        row[0]: [int(number) for number in row[1:]]
        for row in re.findall(r"^\| (\w+) \| (\d+) \| (\d+) \|", table, re.M)
    }
    assert len(rows) > 10
    assert all(count <= there[practical] for practical, (count, _) in rows.items())
    assert f"{sum(ran for _, ran in rows.values())} of {sum(count for count, _ in rows.values())} experiments" in table
    assert all(f"{name} " in table for name in ("Python", *still_runs.PACKAGES))


@pytest.mark.slow
def test_two_experiments_run_and_one_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(still_runs, "small_words", lambda name, _: [f"experiment={name}", "debug=batches"])
    asked = {"neuron_not": "neuron", "descent_quartic": "descent", "no_such": "descent"}
    results = {result.experiment: result for result in still_runs.run_all(asked, tmp_path, jobs=2, limit=300)}
    assert [results[name].problem for name in ("neuron_not", "descent_quartic")] == ["", ""]
    assert "no_such" in results["no_such"].problem
    slow = still_runs.run_all({"neuron_not": "neuron"}, tmp_path, jobs=1, limit=0)
    assert [result.problem for result in slow] == ["over 0 s"]

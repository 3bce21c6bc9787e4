"""Runs that an earlier labs recorded: the report reads them to the last digit, and their commands give the same logs.

`recorded/runs/` holds small runs of every method, made at commit 52b90c1 on two CPU cores, and `recorded/*.csv` the
report that was made of them there. Nothing in that folder is ever written again.
"""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import pytest
from project import ROOT

from labs.reporting.write import write_report

RECORDED = ROOT / "tests" / "recorded"


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recorded")
    shutil.copytree(RECORDED / "runs", folder / "runs")
    write_report([folder / "runs"], folder / "report")
    return folder / "report"


@pytest.mark.parametrize("name", ["table.csv", "runs.csv"])
def test_the_report_says_the_same_to_the_last_digit(name: str, report: Path) -> None:
    ours, theirs = (list(csv.DictReader((folder / name).open(encoding="utf-8"))) for folder in (report, RECORDED))
    assert len(ours) == len(theirs)
    for row, earlier in zip(ours, theirs, strict=True):
        assert {key: row.get(key) for key in earlier} == earlier

"""The closing table of a run that fools a net, and its intervals in the report."""

from __future__ import annotations

from pathlib import Path

import pytest
from reporting.fake_runs import write_run

from labs.practicals import sheet_of
from labs.reporting.find import find_runs
from labs.reporting.grouping import estimate_of_run
from labs.reporting.statistics import wilson_interval

SHEET = sheet_of("fooling")
METRICS = {
    "test/problems": 34.0, "test/already": 1.0, "test/fooled": 33 / 34, "test/fooled_float": 33 / 34,
    "test/fooled_png": 19 / 34, "test/fooled_jpeg": 0.0, "test/steps": 17.3, "test/l2": 1.67, "test/l2_share": 0.009,
    "test/linf": 0.08, "test/confidence": 0.5,
}  # fmt: skip


def test_the_closing_table_counts_and_gives_wilsons_interval(tmp_path: Path) -> None:
    lines = SHEET.results({"metrics": METRICS}, tmp_path)
    low, high = wilson_interval(19, 34)
    assert ["fooled, saved as PNG", "19 of 34 (55.9%)", f"{100 * low:.1f} to {100 * high:.1f} %"] in lines
    assert ["not counted: already the target", "1", ""] in lines
    assert ["mean largest change, of 255", "20.4", ""] in lines


def test_a_run_in_which_nothing_was_to_do_has_a_table_all_the_same(tmp_path: Path) -> None:
    lines = SHEET.results({"metrics": {"test/problems": 0.0, "test/already": 7.0}}, tmp_path)
    assert lines[1:] == [["not counted: already the target", "7", ""]]


@pytest.mark.parametrize("problems", [34, 0])
def test_the_report_has_the_interval_over_problems(tmp_path: Path, problems: int) -> None:
    write_run(tmp_path / "run", metrics={**METRICS, "test/problems": float(problems)})
    (run,) = find_runs([tmp_path])
    column = next(column for column in SHEET.columns if column.key == "test/fooled_png")
    estimate = estimate_of_run(run, column)
    assert estimate is not None
    assert estimate.mean == pytest.approx(19 / 34)
    expected = wilson_interval(19, 34) if problems else (None, None)
    assert (estimate.low, estimate.high) == expected

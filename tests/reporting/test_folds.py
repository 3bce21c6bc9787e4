"""Folds of one recipe are one row: their mean, and an interval that knows that folds share training images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fake_runs import write_run
from scipy import stats

from labs.reporting.find import find_runs
from labs.reporting.row import Row
from labs.reporting.statistics import over_folds, over_seeds, paired_t_test
from labs.reporting.tables import Table, build_tables
from labs.reporting.texts import run_cells
from labs.runs.recipe import normal_form, of_every_seed

ACCURACIES = (0.50, 0.56, 0.53, 0.60, 0.46)
RECIPE = {"experiment": "cub_full", "trainer": {"max_epochs": 6}}
COUNTS = ({"train": 292, "val": 72, "test": 87}, *[{"train": 288, "val": 72, "test": 91}] * 4)


def write(folder: Path, fold: int, accuracy: float, *, seed: int = 0, lr: float = 0.1) -> None:
    write_run(
        folder / f"{lr}-{seed}-{fold}", "cub_full", seed=seed, test_acc=accuracy, fold=fold, folds=5,
        counts=COUNTS[fold], recipe={**RECIPE, "lr": lr}, overrides=f"datamodule.fold={fold}",
    )  # fmt: skip


def table_of(folder: Path) -> Table:
    (table,) = build_tables(find_runs([folder]))
    return table


def only(table: Table) -> Row:
    (row,) = (row for row in table.rows if row.runs)
    return row


def test_folds_are_one_row_with_the_corrected_interval(tmp_path: Path) -> None:
    for fold, accuracy in enumerate(ACCURACIES):
        write(tmp_path, fold, accuracy)
    table = table_of(tmp_path)
    row = only(table)
    estimate = row.estimates["test/acc"]
    assert (estimate.mean, estimate.std, estimate.n) == pytest.approx(
        (np.mean(ACCURACIES), np.std(ACCURACIES, ddof=1), 5)
    )
    # Nadeau and Bengio 2003: variance (1/n + test images / training images) s^2, here 1/5 + 1/4
    half = stats.t.ppf(0.975, 4) * np.std(ACCURACIES, ddof=1) * np.sqrt(1 / 5 + 1 / 4)
    assert (estimate.low, estimate.high) == pytest.approx((np.mean(ACCURACIES) - half, np.mean(ACCURACIES) + half))
    assert estimate.interval == "folds"
    assert "fold" not in row.name
    assert any("Nadeau and Bengio" in note for note in table.footnotes)
    assert {run_cells(table, line)[0] for line in table.lines if line.run in row.runs} == {
        f"0 fold {n}" for n in range(5)
    }


def test_seeds_of_a_fold_are_averaged_first(tmp_path: Path) -> None:
    for fold, accuracy in enumerate(ACCURACIES):
        for seed in (0, 1):
            write(tmp_path, fold, accuracy + 0.01 * seed, seed=seed)
    estimate = only(table_of(tmp_path)).estimates["test/acc"]
    expected = over_folds([accuracy + 0.005 for accuracy in ACCURACIES], folds=5)
    assert (estimate.mean, estimate.low, estimate.n) == pytest.approx((expected.mean, expected.low, 5))


def test_seeds_of_one_fold_are_seeds(tmp_path: Path) -> None:
    for seed in range(3):
        write(tmp_path, 0, ACCURACIES[seed], seed=seed)
    table = table_of(tmp_path)
    assert only(table).estimates["test/acc"].interval == "t"
    assert not any("Nadeau" in note for note in table.footnotes)


def test_rows_are_compared_fold_by_fold_with_the_correction(tmp_path: Path) -> None:
    better = [0.05, 0.02, 0.06, 0.03, 0.04]
    for fold, accuracy in enumerate(ACCURACIES):
        write(tmp_path, fold, accuracy)
        write(tmp_path, fold, accuracy + better[fold], lr=0.01)
    worse = next(row for row in table_of(tmp_path).rows if row.rival)
    plain = stats.ttest_1samp(better, 0)
    expected = 2 * stats.t.sf(plain.statistic * np.sqrt((1 / 5) / (1 / 5 + 1 / 4)), df=4)
    assert worse.p_value == pytest.approx(expected, rel=1e-4)
    assert worse.p_value > plain.pvalue
    assert any("5 folds, corrected for what they share" in note for note in worse.notes)


def test_a_missing_fold_is_said(tmp_path: Path) -> None:
    for fold in (0, 1, 2):
        write(tmp_path, fold, 0.5)
        if fold:
            write(tmp_path, fold, 0.6, lr=0.01)
    notes = [note for row in table_of(tmp_path).rows for note in row.notes]
    assert "no run of seed 0 fold 0, which other rows have" in notes


def test_the_fold_stands_beside_the_seed_in_a_recipe() -> None:
    texts = [normal_form({"datamodule": {"folds": 5}}, seed, fold=fold) for seed, fold in ((0, 0), (0, 1), (1, 1))]
    assert len(set(texts)) == 3
    assert len({of_every_seed(text) for text in texts}) == 1
    assert "fold" not in normal_form({}, 0)


def test_identical_folds_have_no_width_and_equal_rows_no_difference() -> None:
    assert (over_folds([0.5, 0.5], folds=5).low, over_folds([0.5], folds=5)) == (0.5, over_seeds([0.5]))
    assert paired_t_test([1.0, 2.0, 3.0], [1.0, 2.0, 3.0], folds=5) == 1.0

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fake_runs import write_run
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import proportion_confint

from labs.reporting.each_run import RunLine
from labs.reporting.find import find_runs
from labs.reporting.tables import build_tables
from labs.reporting.texts import ABSENT, run_cells


def lines_of(path: Path, rank_by: str | None = None) -> dict[str, RunLine]:
    (table,) = build_tables(find_runs([path]), rank_by)
    return {Path(line.run.place).name: line for line in table.lines}


def write_two_rows(path: Path) -> list[np.ndarray]:
    """Write two seeds of a better and of a worse row; return which images each got right."""
    correct = [np.random.default_rng(seed).random(300) < share for seed, share in enumerate((0.6, 0.62, 0.3, 0.52))]
    for name, experiment, seed, right in zip(
        ("a0", "a1", "b0", "b1"), ("cub_full",) * 2 + ("cub_scratch",) * 2, (0, 1) * 2, correct, strict=True
    ):
        write_run(path / name, experiment, seed=seed, correct=right)
    return correct


def test_each_run_has_its_interval_and_its_test(tmp_path: Path) -> None:
    a0, a1, b0, b1 = write_two_rows(tmp_path)

    lines = lines_of(tmp_path)

    raw = [mcnemar(pd.crosstab(best, other), exact=True).pvalue for best, other in ((a0, b0), (a1, b1))]
    assert raw[0] < raw[1]  # Holm: the smaller counts twice
    assert (lines["b0"].p_value, lines["b1"].p_value) == pytest.approx((2 * raw[0], raw[1]))
    assert (lines["a0"].p_value, lines["a1"].p_value) == (None, None)
    for name, right in (("a0", a0), ("b1", b1)):
        estimate = lines[name].estimate
        assert estimate is not None
        assert (estimate.low, estimate.high) == pytest.approx(proportion_confint(right.sum(), 300, method="wilson"))


@pytest.mark.parametrize("change", ["no file", "other image", "other label", "other seed"])
def test_runs_on_other_images_are_not_compared(tmp_path: Path, change: str) -> None:
    write_two_rows(tmp_path)
    file = tmp_path / "b0" / "predictions.csv"
    table = pd.read_csv(file)
    if change == "no file":
        file.unlink()
    elif change == "other image":
        table.assign(name=[*table["name"][:-1], "another.jpg"]).to_csv(file, index=False)
    elif change == "other label":
        swapped = table["label"].where(table.index > 0, "1"), table["prediction"].where(table.index > 0, "1")
        if table["label"][0] != table["prediction"][0]:
            swapped = swapped[0], table["prediction"]
        table.assign(label=swapped[0], prediction=swapped[1]).to_csv(file, index=False)
    else:
        metrics = (tmp_path / "b0" / "metrics.json").read_text()
        (tmp_path / "b0" / "metrics.json").write_text(metrics.replace('"seed": 0', '"seed": 7'))

    lines = lines_of(tmp_path)

    assert lines["b0"].run.finished, lines["b0"].run.error
    assert lines["b0"].p_value is None
    assert lines["b1"].p_value is not None


def test_another_ranked_column_has_no_test_on_predictions(tmp_path: Path) -> None:
    write_two_rows(tmp_path)

    lines = lines_of(tmp_path, "test/loss")

    assert all(line.p_value is None for line in lines.values())
    assert all(line.estimate and not line.estimate.interval for line in lines.values())


def test_every_run_is_listed_with_how_it_stands(tmp_path: Path) -> None:
    import os

    write_run(tmp_path / "old", test_acc=0.2)
    write_run(tmp_path / "new", test_acc=0.5)
    os.utime(tmp_path / "old" / "metrics.json", (1, 1))
    write_run(tmp_path / "failed", seed=1, status="failed", error="boom")
    write_run(tmp_path / "stopped", seed=2, status="interrupted", best_epoch=None)
    (tmp_path / "unreadable").mkdir()
    (tmp_path / "unreadable" / "metrics.json").write_text("{")

    tables = build_tables(find_runs([tmp_path]))

    texts = {Path(line.run.place).name: run_cells(table, line) for table in tables for line in table.lines}
    top = tmp_path.name
    assert texts == {
        "new": ["0", "finished", "3 of 4", "61", "50.00 [44.38, 55.62]", ABSENT, f"{top}/new"],
        "old": ["0", "finished, a newer run counts", "3 of 4", "61", "20.00 [15.87, 24.89]", ABSENT, f"{top}/old"],
        "failed": ["1", "failed", f"{ABSENT} of 4", "61", ABSENT, ABSENT, f"{top}/failed"],
        "stopped": ["2", "interrupted", f"{ABSENT} of 4", "61", ABSENT, ABSENT, f"{top}/stopped"],
        "unreadable": [ABSENT, "broken", ABSENT, ABSENT, ABSENT, f"{top}/unreadable"],
    }

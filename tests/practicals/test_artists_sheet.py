"""What the sheet of the paintings shows at the end of a run, and in the report."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from labs.functional.image_variants import VARIANTS
from labs.practicals import sheet_of
from labs.reporting.recorded_run import Run

SHEET = sheet_of("artists")
FACTS = {"metrics": {"test/acc": 0.5, "test/loss": 1.0}, "counts": {"test": 87}}


def test_the_closing_table_has_a_line_for_each_version_of_the_test_images(tmp_path: Path) -> None:
    assert SHEET.results(FACTS, tmp_path)[1:] == [["test", "87", "50.00 %", "1.0000"]]
    rows = "".join(f"{name}\t0.25\t0.5\t1.5\n" for name in VARIANTS)
    (tmp_path / "variants.tsv").write_text("variant\taccuracy\tsame_answer\tloss\n" + rows)
    lines = SHEET.results(FACTS, tmp_path)
    assert len(lines) == 2 + len(VARIANTS) - 1
    assert lines[-1] == ["test, inverted", "87", "25.00 %", "1.5000"]


def test_every_version_has_a_column() -> None:
    keys = {column.key for column in SHEET.columns}
    assert {f"test/{name}_acc" for name in VARIANTS if name != "normal"} <= keys


def test_overfitting_is_read_at_the_last_epoch_whichever_was_tested() -> None:
    log = pd.DataFrame({"epoch": [1, 2, 3], "train/acc": [0.3, 0.6, 0.99], "val/acc": [0.5, 0.55, 0.4]})
    run = Run(Path("x"), "x", "finished", best_epoch=2, log=log, metrics={"train/acc": 0.6, "val/acc": 0.55})
    columns = {column.key: column for column in SHEET.columns}
    assert [columns[key].value(run) for key in ("train/acc", "val/acc", "best_epoch")] == [0.99, 0.4, 2]
    assert columns["val/acc"].value(Run(Path("x"), "x", "finished")) is None


@pytest.mark.parametrize("name", ["Base net", "Max pooling", "Dropout 0.2"])
def test_published_numbers_are_those_of_the_report(name: str) -> None:
    from labs.reporting.published import load_published

    table = load_published(SHEET)
    assert table is not None
    values = {row.name: row.values for row in table.rows}
    assert values[name]["val/acc"] == (0.62 if "Dropout" in name else 0.52)

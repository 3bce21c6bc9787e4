"""A classifier is tested on eight versions of its test images; and what belongs to early stopping with it."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from labs import LabsError
from labs.callbacks.test_variants import TestVariants
from labs.functional.image_variants import VARIANTS

pytestmark = pytest.mark.usefixtures("undrawn")
QUICK = ("trainer=cpu", "logger=none", "weights=random", "callbacks.pictures=null")


def facts(run_dir: Path) -> dict:
    return json.loads((run_dir / "metrics.json").read_text())


def test_a_run_leaves_a_table_a_sheet_and_metrics(train: Callable[..., Path]) -> None:
    words = ("callbacks=test_variants", "callbacks.variants.shown=2", "trainer.max_epochs=2")
    (run_dir,) = (train(*QUICK, *words, "normalization=half") / "digits_layer1_frozen").iterdir()
    with (run_dir / "variants.tsv").open() as table:
        rows = {row["variant"]: row for row in csv.DictReader(table, delimiter="\t")}
    assert list(rows) == list(VARIANTS)
    metrics = facts(run_dir)["metrics"]
    assert float(rows["normal"]["accuracy"]) == pytest.approx(metrics["test/acc"], abs=1e-6)
    assert float(rows["normal"]["loss"]) == pytest.approx(metrics["test/loss"], abs=1e-4)
    assert float(rows["normal"]["same_answer"]) == 1
    for name in set(VARIANTS) - {"normal"}:
        assert metrics[f"test/{name}_acc"] == pytest.approx(float(rows[name]["accuracy"]), abs=1e-6)
    assert float(rows["inverted"]["same_answer"]) < 1
    with Image.open(run_dir / "images" / "test_variants.png") as sheet:
        assert sheet.width > 1000


def test_a_part_of_the_images_has_the_variants_of_that_part(train: Callable[..., Path]) -> None:
    words = ("callbacks=test_variants", "debug=batches")
    (run_dir,) = (train(*QUICK, *words) / "digits_layer1_frozen").iterdir()
    assert facts(run_dir)["counts"]["test"] == 32
    lines = (run_dir / "variants.tsv").read_text().splitlines()
    assert float(lines[1].split("\t")[1]) == pytest.approx(facts(run_dir)["metrics"]["test/acc"], abs=1e-6)


def test_what_cannot_be_is_said(train: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(LabsError, match="shown=0"):
        TestVariants(shown=0)
    with pytest.raises(SystemExit):
        train("experiment=dann_source_only", "data=embedded", "debug=batches", "callbacks=test_variants", "logger=none")
    assert "works only for classifiers" in capsys.readouterr().err

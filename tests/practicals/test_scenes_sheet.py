"""What the report says of features and linear machines: which of the hand-out's findings hold in these rows."""

from __future__ import annotations

from pathlib import Path

import pytest
from reporting.fake_runs import write_run

from labs.practicals import sheet_of
from labs.practicals.scenes.observations import observations
from labs.reporting.find import find_runs
from labs.reporting.tables import build_tables

SHEET = sheet_of("scenes")
CHOICES = {"datamodule": "scenes15", "module": "feature_svm", "net": "layer_vectors", "freeze": ""}


def write(folder: Path, experiment: str, seed: int, accuracy: float, c: float = 1.0) -> None:
    typed = f" module.C={c:g}" if c != 1.0 else ""
    write_run(
        folder / f"{experiment}-{c:g}-{seed}", experiment, seed=seed, test_acc=accuracy, choices=CHOICES,
        practical="scenes", command=f"python train.py experiment={experiment} data=embedded seed={seed}{typed}",
        metrics={"test/acc": accuracy, "test/C": c, "test/svm_seconds": 1.0},
    )  # fmt: skip


def said(folder: Path) -> str:
    (table,) = build_tables(find_runs([folder]))
    return "\n".join(observations(table.rows))


def test_claims_hold_or_not_over_seeds(tmp_path: Path) -> None:
    for seed in (0, 1, 2):
        for experiment, accuracy in {"relu5": 0.60, "relu6": 0.63, "relu7": 0.65, "resnet50": 0.8}.items():
            write(tmp_path, f"scenes_{experiment}_svm", seed, accuracy + 0.001 * seed)
    text = said(tmp_path)
    assert "relu6 is better than relu7: does not hold (0 of 3 seeds)" in text
    assert "relu6 is better than relu5: holds (3 of 3 seeds)" in text
    assert "ResNet-50 is better than VGG16's relu7: holds (3 of 3 seeds)" in text
    assert "each run's labels name its net and layer" in text
    assert "Another C" not in text


@pytest.mark.parametrize(("gain", "word"), [(0.001, "holds"), (0.05, "does not hold")])
def test_another_c_gains_or_not(gain: float, word: str, tmp_path: Path) -> None:
    for seed in (0, 1, 2):
        write(tmp_path, "scenes_relu7_svm", seed, 0.65 + 0.0001 * seed)
        for c in (0.1, 10.0):
            write(tmp_path, "scenes_relu7_svm", seed, 0.60 if c < 1 else 0.65 + gain, c=c)
    text = said(tmp_path)
    assert f"A value of C other than 1 gains less than a point (scenes_relu7_svm): {word}" in text
    assert "the best is 10" in text
    assert "0.1 60.0 %, 1 65.0 %, 10 " in text


def test_the_closing_table_has_the_seconds_of_each_part(tmp_path: Path) -> None:
    metrics = {
        "test/acc": 0.6, "test/mean_acc": 0.5, "test/fitted_acc": 1.0, "test/width": 25088.0, "test/C": 1.0,
        "test/features_seconds": 30.0, "test/gram_seconds": 1.5, "test/svm_seconds": 0.5,
    }  # fmt: skip
    lines = SHEET.results({"metrics": metrics}, tmp_path)
    assert ["accuracy", "60.00 %"] in lines
    assert ["features per image", "25,088"] in lines
    assert ["inner products (s)", "1.50"] in lines
    assert not [line for line in lines if "components" in line[0]]
    assert SHEET.results({"metrics": {"test/acc": 0.5}, "counts": {"test": 2}}, tmp_path)[0][0] == "split"

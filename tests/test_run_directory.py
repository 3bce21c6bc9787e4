"""What one real run leaves behind: complete, consistent, and enough to ask the net again."""

from __future__ import annotations

import csv
import json
import re
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import torch
from PIL import Image
from project import ROOT
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from labs import LabsError
from labs.runs.load import load_run

pytestmark = pytest.mark.slow  # the quick start
EXPECTED = [
    *(".hydra/config.yaml", ".hydra/overrides.yaml", "metrics.json", "environment.json", "freeze.txt", "net.txt"),
    *("log.tsv", "test_log.tsv", "predictions.csv", "result.png", "result.gif", "architecture.png"),
    *("images/predictions.png", "images/confusion_matrix.png", "checkpoints/best.ckpt", "checkpoints/last.ckpt"),
]


@pytest.fixture(scope="module")
def run_dir(made_once: Callable[[str, Callable[[Path], None]], Path]) -> Path:
    """The quick start, for real, in a process of its own."""

    def fill(folder: Path) -> None:
        command = [sys.executable, str(ROOT / "train.py"), "normalization=dataset", "draw_architecture=true"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stderr
        (folder / "stdout.txt").write_text(done.stdout)

    (run,) = (made_once("quick_start", fill) / "outputs" / "digits_layer1_frozen").iterdir()
    return run


def test_everything_is_there(run_dir: Path) -> None:
    assert [name for name in EXPECTED if not (run_dir / name).is_file()] == []
    assert [path.name for path in run_dir.iterdir() if path.name.startswith(".")] == [".hydra"]


def test_the_terminal_says_what_matters(run_dir: Path) -> None:
    said = (run_dir.parents[2] / "stdout.txt").read_text()
    for part in (
        "What trains",
        "layer1",
        "epoch 1/12",
        "accuracy",
        f"outputs/digits_layer1_frozen/{run_dir.name}",
        "tensorboard",
    ):
        assert part in said


def test_the_pretraining_helped(run_dir: Path) -> None:
    """Chance is 20 %; ten training images of each digit are enough for three times that."""
    assert json.loads((run_dir / "metrics.json").read_text())["metrics"]["test/acc"] > 0.6


def test_numbers_agree_with_each_other(run_dir: Path) -> None:
    facts = json.loads((run_dir / "metrics.json").read_text())
    log = pd.read_csv(run_dir / "log.tsv", sep="\t")
    predictions = pd.read_csv(run_dir / "predictions.csv")
    assert facts["status"] == "finished"
    assert facts["labels"] == ["embedded data"]
    assert facts["epochs"] == len(log) == 12
    assert log["epoch"].tolist() == list(range(1, 13))
    assert facts["best_epoch"] == log["epoch"][log["val/loss"].argmin()]
    assert facts["counts"] == {"train": 50, "val": 10, "test": 836}
    assert len(predictions) == predictions["name"].nunique() == 836
    right = (predictions["label"] == predictions["prediction"]).mean()
    assert facts["metrics"]["test/acc"] == pytest.approx(right, abs=1e-6)
    tested = pd.read_csv(run_dir / "test_log.tsv", sep="\t")
    assert tested["test/acc"][0] == pytest.approx(right, abs=1e-6)


def test_pictures_open(run_dir: Path) -> None:
    with Image.open(run_dir / "result.gif") as animation:
        assert animation.n_frames == 12
    for name in ("result.png", "architecture.png", "images/predictions.png", "images/confusion_matrix.png"):
        with Image.open(run_dir / name) as picture:
            assert min(picture.size) > 200


def test_tensorboard_reads_back(run_dir: Path) -> None:
    events = EventAccumulator(str(run_dir / "tensorboard"), size_guidance={"tensors": 0, "scalars": 0})
    events.Reload()
    tags = events.Tags()
    assert {"train/loss", "train/acc", "val/loss", "val/acc", "test/acc", "test/loss"} <= set(tags["scalars"])
    assert any(re.fullmatch("lr(/.+)?", tag) for tag in tags["scalars"])
    assert {"architecture", "test/predictions", "test/confusion_matrix"} <= set(tags["images"])
    assert len(events.Scalars("val/acc")) == 12
    (final,) = [event.value for event in events.Scalars("test/acc")]
    assert final == pytest.approx(json.loads((run_dir / "metrics.json").read_text())["metrics"]["test/acc"])
    data = events.summary_metadata
    assert "_hparams_/session_start_info" in data
    assert "recipe/text_summary" in tags["tensors"]


def test_checkpoints_load_without_trust(run_dir: Path) -> None:
    for name in ("best.ckpt", "last.ckpt"):
        saved = torch.load(run_dir / "checkpoints" / name, weights_only=True)
        assert "state_dict" in saved


def test_the_net_answers_as_it_did_in_the_test(run_dir: Path) -> None:
    """Predictions of the rebuilt net equal `predictions.csv`, so weights and normalisation are the run's own."""
    from labs.datamodules.digits import Digits

    run = load_run(run_dir)
    source = Digits(digits=[5, 6, 7, 8, 9], train_per_class=12, embedded=True, folder=str(run_dir)).load(run.resize)
    images = torch.from_numpy(source.pixels[source.is_test]).float().div(255)
    confidence, preds = run.predict(images).max(dim=1)
    with (run_dir / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [run.classes[i] for i in preds] == [row["prediction"] for row in rows]
    assert confidence.tolist() == pytest.approx([float(row["confidence"]) for row in rows], abs=1e-4)
    measured = run.normalizer.statistics[0].flatten().tolist()
    assert measured != pytest.approx([0.485, 0.456, 0.406], abs=1e-3), "not ImageNet's"


def test_predict_py(
    run_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("L", (40, 30), 128).save(tmp_path / "grey.png")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["predict.py", f"run={run_dir}", f"image={tmp_path / 'grey.png'}", "top=2"])
    with pytest.raises(SystemExit) as exit_:
        runpy.run_path(str(ROOT / "predict.py"), run_name="__main__")
    assert exit_.value.code == 0
    printed = capsys.readouterr().out
    assert "confidence" in printed
    assert "embedded data" in printed
    assert printed.count("%") == 2


def test_predict_explains_mistakes(run_dir: Path, tmp_path: Path) -> None:
    run = load_run(run_dir)
    with pytest.raises(LabsError, match="no such file"):
        run.read(tmp_path / "nothing.png")
    (tmp_path / "text.png").write_text("not an image")
    with pytest.raises(LabsError, match="not an image that Pillow can read"):
        run.read(tmp_path / "text.png")
    with pytest.raises(LabsError, match="no trained run"):
        load_run(tmp_path)


def test_report_takes_the_run(
    run_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["report.py", str(run_dir.parent), "--output", str(tmp_path / "report")])
    with pytest.raises(SystemExit) as exit_:
        runpy.run_path(str(ROOT / "report.py"), run_name="__main__")
    assert exit_.value.code == 0
    assert "embedded" in capsys.readouterr().out
    for name in ("report.html", "table.md", "table.tex", "table.csv"):
        assert (tmp_path / "report" / name).is_file()

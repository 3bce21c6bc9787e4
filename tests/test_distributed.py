"""Two processes on the CPU: every test image is counted exactly once."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from project import ROOT

# The second process is started as the first one was.
QUICK_JUDGE = f"""
import runpy
from labs.metrics import judge
judge.STEPS = 20
runpy.run_path({str(ROOT / "train.py")!r}, run_name="__main__")
"""


@pytest.mark.slow
def test_two_processes(tmp_path: Path) -> None:
    arguments = ["trainer=cpu", "trainer.devices=2", "trainer.strategy=ddp", "trainer.max_epochs=1", "weights=random"]
    command = [sys.executable, str(ROOT / "train.py"), *arguments, "hydra.run.dir=run"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    predictions = pd.read_csv(tmp_path / "run" / "predictions.csv")
    assert len(predictions) == predictions["name"].nunique() == 836
    accuracy = json.loads((tmp_path / "run" / "metrics.json").read_text())["metrics"]["test/acc"]
    assert accuracy == pytest.approx((predictions["label"] == predictions["prediction"]).mean(), abs=1e-6)
    assert done.stdout.count("What trains") == 1


@pytest.mark.slow
def test_two_processes_train_one_gan(tmp_path: Path) -> None:
    tiny = ["net.ngf=4", "net.ndf=4", "trainer.max_epochs=2", "module.ema=0.9", "seed=3", "logger=none"]
    tiny += ["datamodule.passes=1"]
    arguments = ["experiment=dcgan_mnist", "data=embedded", "trainer=cpu", "trainer.devices=2", *tiny]
    (tmp_path / "quick.py").write_text(QUICK_JUDGE)
    command = [sys.executable, "quick.py", *arguments, "hydra.run.dir=run"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    run_dir = tmp_path / "run"
    losses = pd.read_csv(run_dir / "losses.tsv", sep="\t")
    assert losses["iteration"].tolist() == list(range(1, 69))  # 2,000 images a process in 34 batches of 60, twice
    assert losses.notna().all().all()
    metrics = json.loads((run_dir / "metrics.json").read_text())["metrics"]
    assert metrics["test/fid"] > 0
    assert (run_dir / "images" / "sheet.png").is_file()


@pytest.mark.slow
def test_two_processes_adapt_between_domains(tmp_path: Path) -> None:
    """Their metrics cover all test images once: they are those of a count of the predictions."""
    tiny = ["trainer.max_epochs=2", "datamodule.image_size=16", "logger=none"]
    normed = ["net.batch_norm=true", "module.batch_norm=separate", "callbacks.pictures=null"]
    arguments = ["experiment=dann_mnistm", "data=embedded", "trainer=cpu", "trainer.devices=2", *tiny, *normed]
    command = [sys.executable, str(ROOT / "train.py"), *arguments, "hydra.run.dir=run"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    run_dir = tmp_path / "run"
    predictions = pd.read_csv(run_dir / "predictions.csv")
    assert len(predictions) == predictions["name"].nunique() == 1000
    metrics = json.loads((run_dir / "metrics.json").read_text())["metrics"]
    accuracy = (predictions["label"] == predictions["prediction"]).mean()
    assert metrics["test/target_acc"] == pytest.approx(accuracy, abs=1e-6)
    selections = pd.read_csv(run_dir / "selections.tsv", sep="\t")
    assert selections["target_acc"][0] == pytest.approx(accuracy, abs=1e-9)
    assert len(selections) == 5
    for name in ("test/source_acc", "test/domain_acc"):
        assert round(metrics[name] * 2 * 1000, 3) == pytest.approx(round(metrics[name] * 2 * 1000), abs=0.01), name
    assert done.stdout.count("trains without labels") == 1


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGUSR1, 143), (signal.SIGINT, 130)])
def test_two_processes_are_stopped_by_a_signal(tmp_path: Path, number: int, code: int) -> None:
    """Lightning's handler waits for the other process, which is busy, and the run hung for ever."""
    arguments = ["trainer=cpu", "trainer.devices=2", "trainer.strategy=ddp", "trainer.max_epochs=400", "weights=random"]
    command = [sys.executable, str(ROOT / "train.py"), *arguments, "hydra.run.dir=run", "logger=none"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        next(line for line in process.stdout if line.startswith("epoch 2/400"))
        process.send_signal(number)
        try:
            assert process.wait(timeout=60) == code
        finally:
            process.kill()
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["status"] == "interrupted"

"""Two processes on the CPU: every test image is counted exactly once."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from project import ROOT


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

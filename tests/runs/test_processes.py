"""Who is the first process of a run."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
from lightning_utilities.core.rank_zero import rank_zero_only
from project import ROOT

from labs.runs.processes import RANKS, forget_stray_ranks, is_first_process


@pytest.mark.parametrize("variable", RANKS)
@pytest.mark.parametrize(
    ("devices", "num_nodes", "first"),
    [
        (1, 1, True),
        ("1", 1, True),
        ([0], 1, True),
        ("0,", 1, True),
        ("auto", 1, True),
        ("0,1", 1, False),
        (2, 1, False),
        (1, 2, False),
    ],
)
def test_a_rank_is_trusted_where_several_processes_were_asked_for(
    monkeypatch: pytest.MonkeyPatch, variable: str, devices: Any, num_nodes: int, first: bool
) -> None:
    monkeypatch.setenv(variable, "1")
    monkeypatch.setattr(rank_zero_only, "rank", 1)
    forget_stray_ranks(devices, num_nodes, "cpu")
    assert is_first_process() is first


@pytest.mark.parametrize(
    "job",
    [
        {"SLURM_NTASKS": "4", "SLURM_JOB_NAME": "job", "SLURM_PROCID": "1"},
        {"TORCHELASTIC_RUN_ID": "1", "WORLD_SIZE": "4", "RANK": "1", "GROUP_RANK": "0"},
    ],
    ids=["slurm", "torchrun"],
)
def test_a_job_of_several_tasks_may_run_a_command_of_one(monkeypatch: pytest.MonkeyPatch, job: dict[str, str]) -> None:
    """Lightning refused it: the numbers of tasks and devices do not agree."""
    for name, value in job.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(rank_zero_only, "rank", 1)
    forget_stray_ranks(1, 1, "cpu")
    assert pl.Trainer(accelerator="cpu", devices=1, logger=False, enable_checkpointing=False).world_size == 1


@pytest.mark.slow
def test_a_run_records_itself_whatever_another_job_left_in_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It trained, exited 0 and left nothing but checkpoints."""
    for name, value in {"RANK": "1", "WORLD_SIZE": "4", "LOCAL_RANK": "1"}.items():
        monkeypatch.setenv(name, value)
    arguments = ["weights=random", "trainer.max_epochs=1", "hydra.run.dir=run", "callbacks.pictures=null"]
    subprocess.run([sys.executable, str(ROOT / "train.py"), *arguments], cwd=tmp_path, check=True, timeout=200)
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["status"] == "finished"
    assert (tmp_path / "run" / "result.png").is_file()

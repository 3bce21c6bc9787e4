"""A SLURM job whose time is up: it asks to be queued again, and goes on where it was."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from labs import LabsError
from labs.runs.requeue import cluster, directory_of_job, job_id, remember, requeue

QUICK = ("weights=random", "debug=batches", "trainer.max_epochs=2", "logger=none", "callbacks.pictures=null")


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """Run as a job of SLURM whose `scontrol` notes what it is asked; return a function that reads the notes."""
    monkeypatch.setattr("labs.runs.requeue._begun", [])  # each test is a process of its own
    log, fake = tmp_path / "scontrol.log", tmp_path / "bin" / "scontrol"
    fake.parent.mkdir()
    fake.write_text(f'#!/bin/sh\necho "$@" >> {log}\n')
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}:{os.environ['PATH']}")
    for name, value in {"JOB_ID": "77", "NTASKS": "1", "PROCID": "0", "JOB_NAME": "job"}.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    return lambda: log.read_text().splitlines() if log.exists() else []


def _stop_at_epoch(monkeypatch: pytest.MonkeyPatch, epoch: int) -> None:
    def stopped(self: Any, trainer: Any, module: Any) -> None:
        if trainer.current_epoch == epoch:
            os.kill(os.getpid(), signal.SIGUSR1)

    monkeypatch.setattr("labs.callbacks.reseed.Reseed.on_train_epoch_start", stopped)


def test_a_requeued_command_goes_on_in_its_directory(
    train: Callable[..., Path], asked: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        _stop_at_epoch(patch, 1)
        with pytest.raises(SystemExit) as exit_:
            train(*QUICK)
    assert exit_.value.code == 143
    assert asked() == ["requeue 77"]

    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    runs = train(*QUICK) / "digits_layer1_frozen"
    (run,) = runs.iterdir()
    record = json.loads((run / "metrics.json").read_text())
    assert (record["status"], record["epochs"]) == ("finished", 2)
    assert not list(run.rglob("hpc_ckpt*"))

    train(*QUICK, "seed=1")  # another command of the same job
    assert len(list(runs.iterdir())) == 2
    monkeypatch.delenv("SLURM_RESTART_COUNT")
    train(*QUICK)  # typed once more in a job that was not queued again
    assert len(list(runs.iterdir())) == 3


@pytest.mark.parametrize(("epoch", "is_queued"), [(0, False), (1, True)])
def test_a_job_that_saves_nothing_is_not_queued_forever(
    train: Callable[..., Path],
    asked: Callable[[], list[str]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    epoch: int,
    is_queued: bool,
) -> None:
    """An epoch that does not fit into the time of a job would be begun again and again."""
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    _stop_at_epoch(monkeypatch, epoch)
    with pytest.raises(SystemExit):
        train(*QUICK)
    assert asked() == ["requeue 77"] * is_queued
    printed = capsys.readouterr().err
    assert ("SLURM job 77 was not queued again: it has saved nothing since" in printed) != is_queued


def test_other_signals_and_other_places_ask_for_nothing(
    train: Callable[..., Path], asked: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: Any) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr("labs.callbacks.reseed.Reseed.on_train_epoch_start", stopped)
    with pytest.raises(SystemExit):
        train(*QUICK)
    monkeypatch.delenv("SLURM_JOB_ID")
    requeue()
    assert asked() == []


def test_a_grid_asks_once(
    train: Callable[..., Path], asked: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    _stop_at_epoch(monkeypatch, 0)
    with pytest.raises(SystemExit) as exit_:
        train("-m", *QUICK, "seed=0,1", "hydra.sweep.dir=grid")
    assert exit_.value.code == 143
    assert asked() == ["requeue 77"]


def test_an_array_task_asks_for_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "80")
    assert job_id() == "80"
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "77")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "3")
    assert job_id() == "77_3"
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "../77")
    assert job_id() == "80"


def test_a_scontrol_that_refuses_is_said(
    asked: Callable[[], list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bin" / "scontrol").write_text("#!/bin/sh\necho 'Job cannot be requeued' >&2; exit 1\n")
    requeue()
    assert capsys.readouterr().err.splitlines() == [
        "SLURM job 77 was not queued again: Job cannot be requeued. Type scontrol requeue 77"
    ]


def test_nothing_outside_the_outputs_is_remembered_or_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    outputs = tmp_path / "outputs"
    remember(tmp_path / "elsewhere", outputs)
    assert not outputs.exists()
    remember(outputs / "cub" / "1", outputs)
    assert directory_of_job(str(outputs), "cub/2") == f"{outputs}/cub/1"
    (note,) = outputs.rglob("*.txt")
    for hostile in ("../../etc", "/etc", "", "a\0b"):
        note.write_text(hostile)
        assert directory_of_job(str(outputs), "cub/2") == f"{outputs}/cub/2"


def test_lightning_asks_for_no_requeue_of_its_own_and_its_checkpoint_is_not_used(
    asked: Callable[[], list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (plugin,) = cluster(tmp_path)
    assert not plugin.auto_requeue
    (tmp_path / "hpc_ckpt_1.ckpt").touch()
    with pytest.raises(LabsError, match=r"hpc_ckpt_1\.ckpt"):
        cluster(tmp_path)
    monkeypatch.delenv("SLURM_NTASKS")  # one process: nobody else looks at it
    assert cluster(tmp_path) == []

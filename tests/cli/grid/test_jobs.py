"""What a grid remembers of its jobs, which somebody may have edited."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from labs.cli.grid.jobs import Job, Jobs
from labs.cli.grid.submission import _environment_of_jobs

GOOD = {"number": "77_1", "executor": "slurm", "directory": "seed=1", "begin": 0}


@pytest.mark.parametrize(
    "edited",
    [
        {"number": "77; rm"}, {"number": 77}, {"executor": "sh"}, {"directory": "../elsewhere"}, {"directory": "/etc"},
        {"begin": -1}, {"begin": "0"}, {"further": 1},
    ],
    ids=str,
)  # fmt: skip
def test_what_is_no_job_is_not_believed(edited: dict[str, object], tmp_path: Path) -> None:
    folder = tmp_path / ".slurm" / "2026"
    folder.mkdir(parents=True)
    (folder / "jobs.json").write_text(json.dumps({"key": GOOD}))
    assert Jobs(tmp_path).newest == {"key": (Job(**GOOD), folder)}  # type: ignore[arg-type]
    (folder / "jobs.json").write_text(json.dumps({"key": GOOD | edited}))
    assert Jobs(tmp_path).newest == {}


def test_the_newest_job_counts_and_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    for name, number in (("1", "5"), ("2", "6")):
        (tmp_path / ".slurm" / name).mkdir(parents=True)
        (tmp_path / ".slurm" / name / "jobs.json").write_text(json.dumps({"key": GOOD | {"number": number}}))
    (tmp_path / ".slurm" / "3").mkdir()
    os.mkfifo(tmp_path / ".slurm" / "3" / "jobs.json")
    assert Jobs(tmp_path).newest["key"][0].number == "6"


def test_filters_of_the_user_hide_no_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".slurm" / "1").mkdir(parents=True)
    (tmp_path / ".slurm" / "1" / "jobs.json").write_text(json.dumps({"key": GOOD, "other": GOOD | {"number": "78"}}))
    squeue = tmp_path / "squeue"
    squeue.write_text('#!/bin/sh\n[ -n "$SQUEUE_PARTITION" ] || printf "77_1 SUSPENDED\\n78 TIMEOUT\\n79 PENDING\\n"\n')
    squeue.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("SQUEUE_PARTITION", "gpu")
    assert Jobs(tmp_path).states(["key", "other", "third"]) == {"key": "running"}


def test_a_job_does_not_inherit_the_job_in_which_it_was_submitted(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {
        "SLURM_JOB_ID": "5",
        "SLURM_NTASKS": "8",
        "RANK": "3",
        "SLURM_CONF": "/etc/slurm.conf",
        "LABS_DATA": "data",
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("GOMP_SPINCOUNT", "5000")  # of this machine, as set_waiting chose it
    with _environment_of_jobs():
        left = {name: os.environ.get(name) for name in (*given, "GOMP_SPINCOUNT", "SUBMITIT_PREEMPT_SIGNAL")}
    assert {name: value for name, value in left.items() if value is not None} == {
        "SLURM_CONF": "/etc/slurm.conf", "LABS_DATA": "data", "SUBMITIT_PREEMPT_SIGNAL": "USR1",
    }  # fmt: skip
    assert given.items() <= dict(os.environ).items()

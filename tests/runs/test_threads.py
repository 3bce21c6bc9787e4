"""Threads: how they wait is set before torch is loaded, and how many there are depends on the work alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from project import ROOT
from torch import nn

from labs.runs import threads
from labs.runs.environment import environment

SMALL, LARGE = nn.Linear(1, 1), nn.Linear(1000, 1000)
DATA = SimpleNamespace(batch_size=32, image_size=64)


@pytest.fixture
def many(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Stand on a machine of 8 cores whose user has chosen nothing; return the numbers of threads that are set."""
    for name in (*threads.CHOSEN, *threads.WAITING):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(threads, "cores", lambda: 8)
    chosen: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", chosen.append)
    return chosen


def test_the_size_of_the_work_chooses(many: list[int]) -> None:
    threads.share_work(SMALL, DATA)
    threads.share_work(LARGE, DATA)
    threads.share_work(LARGE, SimpleNamespace())  # data without images
    assert many == [1, 8, 1]


@pytest.mark.parametrize("name", threads.CHOSEN)
def test_the_user_wins(name: str, many: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "3")
    threads.share_work(LARGE, DATA)
    assert many == []


@pytest.mark.parametrize(
    ("load", "waits"),
    [
        ("9.50 1 1 10/99 7", threads.NOT_AT_ALL),
        ("9.50 1 1 1/99 7", threads.BRIEFLY),  # a command before this one was busy
        ("0.10 1 1 9/99 7", threads.BRIEFLY),  # for a moment only
        ("", threads.BRIEFLY),
        (None, threads.BRIEFLY),  # another system has no such file
    ],
)
def test_waiting(
    load: str | None, waits: dict[str, str], many: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads, "LOAD", tmp_path / "loadavg")
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setattr(os, "environ", dict(os.environ))
    if load is not None:
        (tmp_path / "loadavg").write_text(load)
    threads.set_waiting()
    assert environment()["threads_wait"] == waits


@pytest.mark.parametrize("name", threads.WAITING)
def test_the_user_says_how_to_wait(name: str, many: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "ACTIVE")
    threads.set_waiting()
    assert environment()["threads_wait"] == {name: "ACTIVE"}


@pytest.mark.parametrize("program", ["train.py", "predict.py"])
def test_it_is_set_before_torch_is_imported(program: str) -> None:
    """The library that runs the threads reads the variable when it is loaded, and never again."""
    words = ["net=squeezenet", "weights=random", *["image=chelsea"] * (program == "predict.py")]
    code = (
        "import os, runpy, sys\n"
        "class Look:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'torch':\n"
        "            print('found', 'GOMP_SPINCOUNT' in os.environ or 'OMP_WAIT_POLICY' in os.environ, flush=True)\n"
        "            os._exit(0)\n"
        "sys.meta_path.insert(0, Look())\n"
        f"sys.argv = {[program, *words]!r}\n"
        f"runpy.run_path({str(ROOT / program)!r}, run_name='__main__')\n"
    )
    unset = {name: value for name, value in os.environ.items() if name not in threads.WAITING}
    done = subprocess.run([sys.executable, "-c", code], env=unset, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "found True", done.stderr

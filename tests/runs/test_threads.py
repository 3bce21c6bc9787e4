"""Threads: how they wait is set before torch is loaded, and how many there are depends on the work alone."""

from __future__ import annotations

import os
import subprocess
import sys
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


def test_waiting_is_brief_unless_the_user_says_otherwise(many: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    threads.wait_briefly()
    assert "GOMP_SPINCOUNT" not in os.environ
    monkeypatch.delenv("OMP_WAIT_POLICY")
    monkeypatch.setenv("GOMP_SPINCOUNT", "7")  # so that it is taken back at the end
    monkeypatch.delenv("GOMP_SPINCOUNT")
    threads.wait_briefly()
    assert environment()["threads_wait"] == {"GOMP_SPINCOUNT": threads.SPINS}


@pytest.mark.parametrize("program", ["train.py", "predict.py"])
def test_it_is_set_before_torch_is_imported(program: str) -> None:
    """The library that runs the threads reads the variable when it is loaded, and never again."""
    words = ["net=squeezenet", "weights=random", *["image=chelsea"] * (program == "predict.py")]
    code = (
        "import os, runpy, sys\n"
        "class Look:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'torch':\n"
        "            print('found', os.environ.get('GOMP_SPINCOUNT'), flush=True)\n"
        "            os._exit(0)\n"
        "sys.meta_path.insert(0, Look())\n"
        f"sys.argv = {[program, *words]!r}\n"
        f"runpy.run_path({str(ROOT / program)!r}, run_name='__main__')\n"
    )
    unset = {name: value for name, value in os.environ.items() if name not in threads.WAITING}
    done = subprocess.run([sys.executable, "-c", code], env=unset, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == f"found {threads.SPINS}", done.stderr

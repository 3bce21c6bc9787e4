"""Run the command line inside the test process: the same `train.py`, without paying for the imports each time."""

from __future__ import annotations

import os
import random
import runpy
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from filelock import FileLock
from hydra._internal.hydra import Hydra
from project import ROOT

pytest_plugins = ["archive_fixtures"]


@pytest.fixture(scope="session", autouse=True)
def _ctrl_c() -> None:
    """Listen to Ctrl-C, and let processes that tests start: a shell that starts tests in the background ignores it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Small tensors: threads would wait for each other longer than they compute, above all on a busy machine."""
    torch.set_num_threads(1)
    os.environ["OMP_NUM_THREADS"] = "1"  # of the processes that tests start


@pytest.fixture(scope="session", autouse=True)
def _in_the_working_directory() -> None:
    """Let runs of tests, and the processes that they start, read and write where they are typed."""
    os.environ |= {"LABS_DATA": "data", "LABS_OUTPUTS": "outputs"}


@pytest.fixture(autouse=True)
def _seeded() -> None:
    """Start each test from the same random numbers, whichever tests ran before it in this process."""
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002  what libraries draw from
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all the processes of one `pytest` share."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "shared"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def made_once(shared: Path) -> Callable[[str, Callable[[Path], None]], Path]:
    """Return the folder of a name; the first process that asks for it fills it, and the others wait."""

    def made(name: str, fill: Callable[[Path], None]) -> Path:
        folder, done = shared / name, shared / f"{name}.done"
        with FileLock(shared / f"{name}.lock"):
            if not done.exists():
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                fill(folder)
                done.touch()
        return folder

    return made


@pytest.fixture(scope="session")
def data_folder(shared: Path) -> Path:
    """Drawn birds and embedded weights, made once for all tests."""
    folder = shared / "data"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the curves of every run, a quarter of a small run's time; the tests of experiments draw them all."""
    monkeypatch.setattr("labs.callbacks.record.Record.draw", lambda self: None)


@pytest.fixture
def train(data_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Type `python train.py ...` in an empty folder; return the folder of its run directories.

    The embedded weights are made from two batches, and the judge of GANs in a few steps: enough to run on.
    """
    monkeypatch.setattr("labs.metrics.judge.STEPS", 20)
    # Hydra composes everything once more to read `hydra.mode`, which nobody sets: a tenth of a small run's time.
    monkeypatch.setattr(Hydra, "get_mode", lambda *_, **__: None)

    def run(*arguments: str) -> Path:
        quick = [f"paths.data='{data_folder}'", 'upstream.overrides=["debug=batches"]']
        flags = [a for a in arguments if a.startswith("-")]
        monkeypatch.setattr(
            sys, "argv", [str(ROOT / "train.py"), *flags, *quick, *(a for a in arguments if a not in flags)]
        )
        monkeypatch.chdir(tmp_path)
        runpy.run_path(str(ROOT / "train.py"), run_name="__main__")
        return tmp_path / "outputs"

    return run

"""Cells side by side get GPUs and threads of their own; nobody needs a GPU to test that."""

from __future__ import annotations

import subprocess
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from omegaconf import OmegaConf

from labs.cli.grid import gpus, side_by_side
from labs.cli.grid.side_by_side import SideBySide
from labs.runs.threads import NUMBERS

TWO = "GPU 0: NVIDIA H200 (UUID: GPU-a)\nGPU 1: NVIDIA H200 (UUID: GPU-b)\n"


@pytest.fixture(autouse=True)
def _machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two GPUs, a torch that can use them, and eight cores."""
    monkeypatch.setattr(gpus, "_nvidia_smi", lambda: TWO)
    monkeypatch.setattr("importlib.metadata.version", lambda name: "2.11.0+cu130")
    monkeypatch.setattr(side_by_side, "effective_n_jobs", lambda n_jobs: 8 if n_jobs < 0 else n_jobs)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def cells(count: int, folder: Path, **trainer: Any) -> list[Any]:
    config = OmegaConf.create({"trainer": {"accelerator": "auto", "devices": 1, **trainer}})
    ends: dict[str, Any] = {"arguments": [], "end": lambda *_: None}
    return [SimpleNamespace(config=config, directory=folder, **ends) for _ in range(count)]


@pytest.mark.parametrize(
    ("n_jobs", "trainer", "expected", "is_said"),
    [
        (-1, {}, 2, False),
        (-1, {"devices": 2}, 1, False),
        (-1, {"accelerator": "cpu"}, 5, False),
        (2, {}, 2, False),
        (4, {}, 4, True),
        (1, {"devices": 2}, 1, False),
    ],
)
def test_as_many_at_once_as_there_are_gpus(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    n_jobs: int,
    trainer: dict[str, Any],
    expected: int,
    is_said: bool,
) -> None:
    run = SideBySide(n_jobs)
    run.expect(5)
    run.check(cells(5, tmp_path, **trainer))
    assert run.at_once == expected
    assert ("4 cells at once share 2 GPUs; leave hydra.launcher.n_jobs= out" in capsys.readouterr().out) == is_said


@pytest.mark.parametrize("typed", [{}, {"OMP_NUM_THREADS": "1"}])
def test_two_cells_at_once_see_different_gpus_and_share_the_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, typed: dict[str, str]
) -> None:
    """What the user sets for threads holds for all of them."""
    for name in NUMBERS:
        monkeypatch.delenv(name, raising=False)
    for name, value in typed.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(side_by_side, "cpu_count", lambda: 8)
    seen, together = [], threading.Barrier(2, timeout=10)

    class Process:
        def __init__(self, *_: Any, env: dict[str, str], **__: Any) -> None:
            seen.append(env)

        def wait(self) -> int:
            together.wait()
            return 0

    run = SideBySide(-1)
    run.expect(2)
    monkeypatch.setattr(subprocess, "Popen", Process)
    threads = [threading.Thread(target=run, args=[cell]) for cell in cells(2, tmp_path)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(environment["CUDA_VISIBLE_DEVICES"] for environment in seen) == ["GPU-a", "GPU-b"]
    shares = [{name: environment.get(name) for name in NUMBERS} for environment in seen]
    assert shares == [dict.fromkeys(NUMBERS, None if typed else "4") | typed] * 2

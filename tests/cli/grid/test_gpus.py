"""Cells side by side get GPUs of their own; nobody needs a GPU to test that."""

from __future__ import annotations

import subprocess
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from omegaconf import OmegaConf

from labs.cli.grid import gpus, side_by_side
from labs.cli.grid.gpus import Gpus, gpus_wanted, visible_gpus
from labs.cli.grid.side_by_side import SideBySide

TWO = "GPU 0: NVIDIA H200 (UUID: GPU-a)\nGPU 1: NVIDIA H200 (UUID: GPU-b)\n"


@pytest.fixture(autouse=True)
def _machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two GPUs, a torch that can use them, and eight cores."""
    monkeypatch.setattr(gpus, "_nvidia_smi", lambda: TWO)
    monkeypatch.setattr("importlib.metadata.version", lambda name: "2.11.0+cu130")
    monkeypatch.setattr(side_by_side, "effective_n_jobs", lambda n_jobs: 8 if n_jobs < 0 else n_jobs)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        (None, ["GPU-a", "GPU-b"]),
        ("1", ["1"]),
        ("1, 0", ["1", "0"]),
        ("GPU-b,MIG-c", ["GPU-b", "MIG-c"]),
        ("0,-1,1", ["0"]),  # as CUDA reads it
        ("0,0", ["0"]),
        ("", []),
        ("-1", []),
    ],
)
def test_those_that_the_user_allows(typed: str | None, expected: list[str]) -> None:
    assert visible_gpus({} if typed is None else {"CUDA_VISIBLE_DEVICES": typed}) == expected


def test_none_without_a_driver_or_with_a_torch_for_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.metadata.version", lambda name: "2.11.0+cpu")
    assert visible_gpus({}) == []
    monkeypatch.undo()
    monkeypatch.setenv("PATH", "")
    assert gpus._nvidia_smi() == ""


@pytest.mark.parametrize(
    ("accelerator", "devices", "expected"),
    [
        ("auto", 1, 1), ("gpu", "2", 2), ("cuda", -1, 4), ("gpu", "auto", 4),
        ("cpu", 2, 0), ("cpu", "auto", 0), ("mps", 1, 0), ("gpu", [1], 0), ("gpu", "1,", 0),
    ],
)  # fmt: skip
def test_what_a_cell_wants(accelerator: str, devices: Any, expected: int) -> None:
    trainer = OmegaConf.create({"accelerator": accelerator, "devices": devices})
    assert gpus_wanted(trainer, available=4) == expected


def test_each_cell_gets_those_with_the_fewest_cells() -> None:
    machine = Gpus(["0", "1", "2"])
    with machine.taken(1) as first, machine.taken(1) as second:
        assert [first, second] == [{"CUDA_VISIBLE_DEVICES": "0"}, {"CUDA_VISIBLE_DEVICES": "1"}]
        with machine.taken(2) as third, machine.taken(1) as fourth:
            assert [third, fourth] == [{"CUDA_VISIBLE_DEVICES": "2,0"}, {"CUDA_VISIBLE_DEVICES": "1"}]
    with machine.taken(1) as again, machine.taken(0) as none:
        assert [again, none] == [{"CUDA_VISIBLE_DEVICES": "0"}, {}]
    with Gpus([]).taken(1) as on_a_cpu:
        assert on_a_cpu == {}


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


def test_two_cells_at_once_see_different_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen, together = [], threading.Barrier(2, timeout=10)

    class Process:
        def __init__(self, *_: Any, env: dict[str, str], **__: Any) -> None:
            seen.append(env["CUDA_VISIBLE_DEVICES"])

        def wait(self) -> int:
            together.wait()
            return 0

    run = SideBySide(-1)
    monkeypatch.setattr(subprocess, "Popen", Process)
    threads = [threading.Thread(target=run, args=[cell]) for cell in cells(2, tmp_path)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(seen) == ["GPU-a", "GPU-b"]

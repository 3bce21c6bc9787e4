"""Which GPUs there are, and how they are divided among cells; nobody needs a GPU to test that."""

from __future__ import annotations

from typing import Any

import pytest
from omegaconf import OmegaConf

from labs.cli.grid import gpus
from labs.cli.grid.gpus import Gpus, gpus_wanted, visible_gpus

TWO = "GPU 0: NVIDIA H200 (UUID: GPU-a)\nGPU 1: NVIDIA H200 (UUID: GPU-b)\n"


@pytest.fixture(autouse=True)
def _machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two GPUs, and a torch that can use them."""
    monkeypatch.setattr(gpus, "_nvidia_smi", lambda: TWO)
    monkeypatch.setattr("importlib.metadata.version", lambda name: "2.11.0+cu130")
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

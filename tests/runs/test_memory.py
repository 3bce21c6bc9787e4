"""Memory is what the system says; a container may allow less than the machine has."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from labs.runs import memory

CPU = torch.device("cpu")


def test_a_container_may_allow_less(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "meminfo").write_text("MemTotal: 9 kB\nMemAvailable:    5000 kB\n")
    monkeypatch.setattr(memory, "PROC", tmp_path)
    monkeypatch.setattr(memory, "CGROUP", tmp_path)
    assert memory.free(CPU) == 5_120_000
    (tmp_path / "memory.current").write_text("1000\n")
    (tmp_path / "memory.max").write_text("max\n")
    assert memory.free(CPU) == 5_120_000
    (tmp_path / "memory.max").write_text("4000\n")
    assert memory.free(CPU) == 3000


def test_another_system_has_no_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "PROC", tmp_path)
    assert memory.free(CPU) is None
    assert memory.taken(CPU) is None


def test_what_is_taken_is_seen() -> None:
    before = memory.taken(CPU)
    kept = torch.ones(20_000_000)
    after, most = memory.taken(CPU), memory.most_taken(CPU)
    assert before is not None
    assert after is not None
    assert most is not None
    assert 70e6 < after - before < 120e6
    assert most >= after - 1e6
    del kept

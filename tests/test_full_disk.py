"""A disk that is really full, or read-only: one line, what was whole stays whole, and nothing is left behind."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

RECIPE = (
    "weights=random", "trainer=cpu", "logger=none", "callbacks.pictures=null", "trainer.limit_train_batches=2",
)  # fmt: skip


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mount a small disk in memory, or mount it again with other options; this takes an administrator on Linux."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mount(options: str) -> Path:
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
        if subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip("no disk can be mounted here")
        return folder

    try:
        yield mount
    finally:
        subprocess.run(["umount", str(folder)], capture_output=True, check=False)


def error_of(train: Callable[..., Path], capsys: pytest.CaptureFixture[str], *words: str) -> list[str]:
    with pytest.raises(SystemExit) as end:
        train(*RECIPE, *words)
    assert end.value.code == 2
    return [line for line in capsys.readouterr().err.splitlines() if line.strip()]


def test_a_disk_that_fills_before_the_first_checkpoint(
    disk: Callable[[str], Path], train: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    run = disk("size=1200k") / "run"
    (line,) = error_of(train, capsys, "trainer.max_epochs=2", f"hydra.run.dir={run}")
    assert line.startswith("error: disk/run/checkpoints/last.ckpt: No space left on device. Make room, or type another")
    assert "Then start again with: python train.py retry=disk/run rerun=true" in line
    assert not list(run.rglob(".*.part"))


def test_a_disk_that_fills_later_keeps_the_last_checkpoint(
    disk: Callable[[str], Path], train: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = disk("size=8m")
    run = folder / "run"
    train(*RECIPE, "trainer.max_epochs=1", f"hydra.run.dir={run}")
    with pytest.raises(OSError, match="No space"):
        (folder / "filler").write_bytes(bytes(8_000_000))
    capsys.readouterr()
    before = (run / "checkpoints/last.ckpt").read_bytes()
    (line,) = error_of(train, capsys, f"resume={run}", "trainer.max_epochs=2")
    assert "No space left on device. Make room" in line
    assert (run / "checkpoints/last.ckpt").read_bytes() == before
    assert not list(run.rglob(".*.part"))
    (folder / "filler").unlink()
    train(*RECIPE, f"resume={run}", "trainer.max_epochs=2")
    assert torch.load(run / "checkpoints/last.ckpt", weights_only=True)["epoch"] == 1


def test_a_disk_that_is_read_only(
    disk: Callable[[str], Path], train: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = disk("ro,size=1m")
    (line,) = error_of(train, capsys, f"hydra.run.dir={folder}/run")
    assert line.startswith("error: disk/run")
    assert "Read-only file system. Type another folder" in line

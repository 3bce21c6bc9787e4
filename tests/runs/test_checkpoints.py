"""Checkpoints are whole or not there, and know where they lie, wherever their directory has gone."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import IO, Any

import pytest
import torch

from labs.runs.checkpoints import WholeCheckpoints


def test_a_full_disk_leaves_the_last_good_one_and_says_that_it_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Torch's archive hides the reason behind 'unexpected pos 704 vs 598'."""
    target = tmp_path / "last.ckpt"
    WholeCheckpoints().save_checkpoint({"epoch": 1}, target)

    def full(checkpoint: dict[str, Any], file: IO[bytes]) -> None:
        file.write(b"half")
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        finally:
            raise RuntimeError("unexpected pos 704 vs 598")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match="No space left") as error:
        WholeCheckpoints().save_checkpoint({"epoch": 2}, target)
    assert error.value.filename == str(target)
    assert torch.load(target, weights_only=True) == {"epoch": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["last.ckpt"]


OF_LIGHTNING = {"state_dict": {}, "loops": {}, "epoch": 3, "global_step": 9, "pytorch-lightning_version": "2.6.6"}


def state(folder: Path, **more: Any) -> dict[str, Any]:
    best = str(folder / "best.ckpt")
    scores = {best: torch.tensor(0.5)}
    return {"dirpath": str(folder), "best_model_path": best, "best_k_models": scores, "monitor": "val/acc", **more}


def test_neighbors_are_found_where_they_lie_now(tmp_path: Path) -> None:
    before, now = tmp_path / "before" / "checkpoints", tmp_path / "now" / "checkpoints"
    states = {"best": state(before, elsewhere=str(tmp_path / "other" / "best.ckpt")), "record": {"log": []}}
    WholeCheckpoints().save_checkpoint({**OF_LIGHTNING, "callbacks": states}, before / "last.ckpt")
    before.parent.rename(now.parent)
    read = WholeCheckpoints().load_checkpoint(now / "last.ckpt")["callbacks"]
    assert read["best"] == state(now, elsewhere=str(tmp_path / "other" / "best.ckpt"))
    assert read["record"] == {"log": []}


def test_weights_alone_are_read_as_they_are(tmp_path: Path) -> None:
    WholeCheckpoints().save_checkpoint(OF_LIGHTNING, tmp_path / "best.ckpt")
    assert WholeCheckpoints().load_checkpoint(tmp_path / "best.ckpt") == OF_LIGHTNING


@pytest.mark.parametrize("folder", ["{here}/../..", "/home/somebody", "..", "C:\\run\\checkpoints", ""])
def test_no_neighbor_lies_anywhere_else(folder: str, tmp_path: Path) -> None:
    """Lightning deletes the best one before when a better one comes, and tests it, wherever it is said to be."""
    here = tmp_path / "checkpoints"
    best = f"{folder.format(here=here)}{chr(92) if chr(92) in folder else '/'}best.ckpt"
    states = {"best": {"dirpath": "/elsewhere", "best_model_path": best, "best_k_models": {best: 1.0}}}
    WholeCheckpoints().save_checkpoint({**OF_LIGHTNING, "callbacks": states}, here / "last.ckpt")
    read = WholeCheckpoints().load_checkpoint(here / "last.ckpt")["callbacks"]["best"]
    there = str(here / "best.ckpt")
    assert read == {"dirpath": str(here), "best_model_path": there, "best_k_models": {there: 1.0}}

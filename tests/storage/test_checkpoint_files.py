"""Checkpoints are read with distrust."""

from __future__ import annotations

import copy
import os
import zipfile
from pathlib import Path

import pytest
import torch
from bad_checkpoints import bad_checkpoints

from labs import LabsError
from labs.storage.checkpoint_files import read_checkpoint

REASONS = {
    "cut": "it is truncated or was not written by torch.save",
    "empty": "it is empty",
    "text": "it is truncated or was not written by torch.save",
    "noise": "it is truncated or was not written by torch.save",
    "code": r"it refers to \w+\.mkdir, which could run code; only tensors and plain values are loaded",
    "numpy": r"it refers to numpy\.\S+, which could run code; only tensors and plain values are loaded",
    "list": "expected a dictionary of tensors, found a list",
    "nothing": "expected a dictionary of tensors, found nothing",
}


@pytest.mark.parametrize("name", REASONS)
def test_a_bad_checkpoint_is_named_in_one_sentence_and_runs_no_code(name: str, tmp_path: Path) -> None:
    file = tmp_path / "last.ckpt"
    torch.save({"state_dict": {"a": torch.zeros(1000)}}, file)
    file.write_bytes(bad_checkpoints(file.read_bytes(), tmp_path / "made")[name])
    with pytest.raises(LabsError, match=rf"last\.ckpt .*{REASONS[name]}\S*$") as raised:
        read_checkpoint(file)
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "made").exists()


def test_a_checkpoint_that_explodes_is_refused(tmp_path: Path) -> None:
    """Torch inflates what is compressed: a gigabyte of zeros is a megabyte in a file."""
    file = tmp_path / "last.ckpt"
    torch.save({"a": torch.zeros(100_000)}, file)
    with zipfile.ZipFile(file) as whole:
        parts = {name: whole.read(name) for name in whole.namelist()}
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    with pytest.raises(LabsError, match=r"it is compressed, which torch\.save never does\.$"):
        read_checkpoint(file)


def test_a_checkpoint_whose_parts_lie_over_each_other_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "last.ckpt"
    torch.save({"a": torch.zeros(100_000)}, file)
    with zipfile.ZipFile(file, "a") as archive:
        large = max(archive.infolist(), key=lambda member: member.file_size)
        for number in range(3):  # three more names for the same bytes
            again = copy.copy(large)
            again.filename = f"archive/data/{number + 1}"
            archive.filelist.append(again)
            archive.NameToInfo[again.filename] = again
        archive._didModify = True  # type: ignore[attr-defined]  # so that the list of parts is written once more
    with pytest.raises(LabsError, match=r"its parts claim more bytes than it has\.$"):
        read_checkpoint(file)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "last.ckpt")
    with pytest.raises(LabsError, match=r"last\.ckpt cannot be read as a checkpoint: it is not a file\."):
        read_checkpoint(tmp_path / "last.ckpt")


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(LabsError, match=r"nowhere\.ckpt cannot be read as a checkpoint: No such file or directory\."):
        read_checkpoint(tmp_path / "nowhere.ckpt")


def test_a_name_in_the_letters_of_another_locale_is_read(tmp_path: Path) -> None:
    """Torch takes a name for UTF-8; under LC_ALL=C, a run in a folder `ä` was lost after its last epoch."""
    file = tmp_path / "\udcc3\udca4.ckpt"
    with file.open("wb") as opened:
        torch.save({"a": torch.ones(1)}, opened)
    assert read_checkpoint(file)["a"] == 1

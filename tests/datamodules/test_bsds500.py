from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from archive_server import ArchiveServer
from PIL import Image

from labs import LabsError
from labs.datamodules.bsds500 import list_pictures, read_picture


def test_pictures_of_a_split_without_strays(bsds_server: ArchiveServer, tmp_path: Path) -> None:
    train, test = (list_pictures(tmp_path, split) for split in ("train", "test"))
    assert [file.name for file in train] == ["100.jpg", "107.jpg", "114.jpg", "121.jpg"]
    assert [file.parent.name for file in test] == ["test"] * 3
    assert len(bsds_server.requests) == 1  # downloaded once, for both
    assert np.array_equal(read_picture(train[1]), np.asarray(Image.open(train[1])))
    assert [read_picture(file).shape for file in train[:2]] == [(41, 61, 3), (61, 41, 3)]


def test_a_removed_picture_is_noticed(bsds_server: ArchiveServer, tmp_path: Path) -> None:
    list_pictures(tmp_path, "train")[2].unlink()
    with pytest.raises(LabsError, match=r"found 3 pictures, expected 4; delete .*BSDS500.* and run again"):
        list_pictures(tmp_path, "train")


def test_a_damaged_picture_is_named(bsds_server: ArchiveServer, tmp_path: Path) -> None:
    file = list_pictures(tmp_path, "test")[0]
    os.truncate(file, 300)
    with pytest.raises(LabsError, match=rf"test/100\.jpg: truncated .*delete {tmp_path}/BSDS500/BSR_bsds500 and"):
        read_picture(file)


def test_another_archive_is_refused_by_its_md5(bsds_server: ArchiveServer, tmp_path: Path) -> None:
    entry = bsds_server.entries["BSR_bsds500.tgz"]
    entry.body = entry.body[:-1] + bytes([entry.body[-1] ^ 1])
    with pytest.raises(LabsError, match=r"found MD5 (.|\n)*by hand, save it as .*BSR_bsds500\.tgz(.|\n)*data=embedded"):
        list_pictures(tmp_path, "train")


def test_offline(bsds_server: ArchiveServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABS_OFFLINE", "1")
    with pytest.raises(LabsError, match=r"LABS_OFFLINE forbids(.|\n)*MD5(.|\n)*data=embedded"):
        list_pictures(tmp_path, "train")
    assert not bsds_server.requests

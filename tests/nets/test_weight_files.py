"""One setting says where files of weights lie: the user's folder, then torch's own cache, then a download."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch
from archive_server import ArchiveServer
from project import ROOT

from labs import LabsError
from labs.nets.weight_files import torchvision_file, weights_folder

BODY = b"weights of a net"
NAME = f"net-{hashlib.sha256(BODY).hexdigest()[:8]}.pth"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    return tmp_path / "hub" / "checkpoints"


@pytest.mark.parametrize("typed", [None, "mine"])
def test_a_file_is_downloaded_once_and_verified(
    typed: str | None, server: ArchiveServer, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    url = server.serve(NAME, BODY)
    file = torchvision_file(url, typed)
    assert file == (Path("mine") if typed else cache) / NAME
    assert file.read_bytes() == BODY
    monkeypatch.setenv("LABS_OFFLINE", "1")
    assert torchvision_file(url, typed) == file
    assert len(server.requests) == 1


def test_a_file_of_other_bytes_is_refused(server: ArchiveServer, cache: Path, tmp_path: Path) -> None:
    with pytest.raises(LabsError, match=NAME):
        torchvision_file(server.serve(NAME, b"something else"), None)
    assert not (cache / NAME).exists()
    (tmp_path / NAME).write_bytes(b"cut")
    with pytest.raises(LabsError, match="is not the expected file"):
        torchvision_file(server.url(NAME), str(tmp_path))


def test_what_torch_has_is_not_downloaded_again(server: ArchiveServer, cache: Path, tmp_path: Path) -> None:
    cache.mkdir(parents=True)
    (cache / NAME).write_bytes(BODY)
    assert torchvision_file(server.url(NAME), str(tmp_path / "mine")) == cache / NAME
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / NAME).write_bytes(BODY)
    assert torchvision_file(server.url(NAME), str(tmp_path / "mine")) == tmp_path / "mine" / NAME
    assert not server.requests
    assert weights_folder(None) == cache


def test_offline_it_says_which_file_to_put_where(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABS_OFFLINE", "1")
    with pytest.raises(LabsError) as raised:
        torchvision_file("https://weights.invalid/resnet18-f37072fd.pth", str(tmp_path))
    for said in (
        "resnet18-f37072fd.pth is missing, and LABS_OFFLINE forbids downloads",
        f"To add the file by hand, save it as {tmp_path}/resnet18-f37072fd.pth",
        "SHA-256 starts with f37072fd",
        "paths.weights=<folder>",
        "net=squeezenet or net=efficientnet_lite0",
    ):
        assert said in str(raised.value)


def test_one_setting_is_that_of_all_nets() -> None:
    """Every option whose builder reads ImageNet's weights passes the folder on."""
    builders = ("torchvision_nets.build_net", "timm_nets.build_net", "LayerFeatures", "trained_net.trained_net")
    for file in sorted((ROOT / "conf").rglob("*.yaml")):
        text = file.read_text()
        if any(f"{builder}\n" in text for builder in builders) and "name: resnet_small" not in text:
            assert "weights_folder: ${paths.weights}" in text, file.name

from __future__ import annotations

import hashlib
import io
import pickle
import shutil
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torchvision
from archive_server import ArchiveServer
from PIL import Image

from labs import LabsError
from labs.datamodules import cifar10, small_images
from labs.datamodules.cifar10 import ARCHIVE, CIFAR10
from labs.datamodules.mnist_m import MNISTM
from labs.datamodules.sources import LabeledImages

CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
EACH = 3  # images a batch
TRAIN = tuple(f"cifar-10-batches-py/data_batch_{number}" for number in range(1, 6))
TEST, META = "cifar-10-batches-py/test_batch", "cifar-10-batches-py/batches.meta"


@pytest.fixture
def batches() -> dict[str, dict[str, Any]]:
    draw = np.random.default_rng(0)
    return {
        name: {
            "batch_label": name,
            "labels": draw.integers(0, 10, EACH).tolist(),
            "data": draw.integers(0, 256, (EACH, 3072), dtype=np.uint8),
            "filenames": [f"{name}_{row}.png" for row in range(EACH)],
        }
        for name in (*TRAIN, TEST)
    }


@pytest.fixture
def online(server: ArchiveServer, batches: dict[str, dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> ArchiveServer:
    """Serve a small archive in CIFAR-10's layout in its place, its members in no order."""
    packed = io.BytesIO()
    meta = {"label_names": CLASSES, "num_cases_per_batch": EACH, "num_vis": 3072}
    readme = "cifar-10-batches-py/readme.html"
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, content in [(META, meta), (readme, None), *reversed(batches.items())]:
            body = b"<html>" if content is None else pickle.dumps(content, protocol=2)
            member = tarfile.TarInfo(name)
            member.size = len(body)
            tar.addfile(member, io.BytesIO(body))
    body = packed.getvalue()
    url = server.serve(ARCHIVE.name, body)
    small = replace(ARCHIVE, urls=(url,), sha256=hashlib.sha256(body).hexdigest(), size=len(body))
    monkeypatch.setattr(cifar10, "ARCHIVE", small)
    monkeypatch.setattr(cifar10, "COUNT", len(batches) * EACH)
    theirs = torchvision.datasets.CIFAR10
    digests = {name: hashlib.md5(pickle.dumps(batch, protocol=2)).hexdigest() for name, batch in batches.items()}
    monkeypatch.setattr(theirs, "url", "")  # torchvision itself has nowhere to ask
    monkeypatch.setattr(theirs, "tgz_md5", hashlib.md5(body).hexdigest())
    monkeypatch.setattr(theirs, "train_list", [[Path(name).name, digests[name]] for name in TRAIN])
    monkeypatch.setattr(theirs, "test_list", [[Path(TEST).name, digests[TEST]]])
    digest = hashlib.md5(pickle.dumps(meta, protocol=2)).hexdigest()
    monkeypatch.setattr(theirs, "meta", theirs.meta | {"md5": digest})
    return server


def load(folder: Path, size: int = 32, *, embedded: bool = False) -> LabeledImages:
    return CIFAR10(embedded=embedded, folder=str(folder)).load(size)


def test_the_archive_is_the_one_that_torchvision_reads() -> None:
    theirs = torchvision.datasets.CIFAR10
    assert (ARCHIVE.name, ARCHIVE.urls) == (theirs.filename, (theirs.url,))


def test_pixels_labels_and_splits(online: ArchiveServer, batches: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    images = load(tmp_path)
    assert images.pixels.shape == (18, 3, 32, 32)
    assert images.pixels.dtype == np.uint8
    # A row of a batch is 1,024 reds, then greens, then blues, line by line.
    assert images.pixels[4, 1, 2, 5] == batches[TRAIN[1]]["data"][1, 1024 + 2 * 32 + 5]
    assert np.array_equal(images.pixels[-1].ravel(), batches[TEST]["data"][-1])
    assert images.labels.dtype == np.int64
    assert images.labels.tolist() == [label for batch in batches.values() for label in batch["labels"]]
    assert images.is_test.tolist() == [False] * 15 + [True] * 3
    assert images.classes == CLASSES
    assert len(set(images.names)) == 18
    load(tmp_path)
    assert len(online.requests) == 1


@pytest.mark.parametrize("size", [28, 64])
def test_other_sizes_are_resized(online: ArchiveServer, tmp_path: Path, size: int) -> None:
    whole, resized = load(tmp_path).pixels, load(tmp_path, size).pixels
    picture = Image.fromarray(whole[7].transpose(1, 2, 0)).resize((size, size), Image.Resampling.BILINEAR)
    assert np.array_equal(resized[7], np.asarray(picture).transpose(2, 0, 1))


def test_a_damaged_archive_is_refused_and_left_alone(online: ArchiveServer, tmp_path: Path) -> None:
    file = tmp_path / ARCHIVE.name
    file.write_bytes(b"half of it")
    with pytest.raises(LabsError, match=r"cifar-10-python\.tar\.gz is not the expected file(.|\n)*data=embedded"):
        load(tmp_path)
    assert file.read_bytes() == b"half of it"
    assert not online.requests


def test_a_damaged_download_is_refused(online: ArchiveServer, tmp_path: Path) -> None:
    entry = online.entries[ARCHIVE.name]
    entry.body = entry.body[:-1] + b"\1"
    with pytest.raises(LabsError, match=r"cifar-10-python(.|\n)*data=embedded"):
        load(tmp_path)


def test_offline(online: ArchiveServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABS_OFFLINE", "1")
    with pytest.raises(LabsError, match=r"LABS_OFFLINE forbids(.|\n)*data=embedded"):
        load(tmp_path)
    assert not online.requests
    monkeypatch.delenv("LABS_OFFLINE")
    load(tmp_path)
    monkeypatch.setenv("LABS_OFFLINE", "1")
    assert len(load(tmp_path).labels) == 18  # the archive is there


def forbid_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: Any, **options: Any) -> None:
        pytest.fail("unpickled or resized again")

    monkeypatch.setattr(pickle, "load", fail)
    monkeypatch.setattr(torchvision.datasets, "CIFAR10", fail)
    monkeypatch.setattr(Image.Image, "resize", fail)


def stores(folder: Path) -> list[Path]:
    return sorted((folder / "cache" / "pixels").glob("[!.]*.npy"))


class TestStore:
    @pytest.mark.parametrize("size", [32, 20])
    def test_the_second_load_reads_it(
        self, online: ArchiveServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
    ) -> None:
        first = load(tmp_path, size)
        forbid_reading(monkeypatch)
        second = load(tmp_path, size)
        assert isinstance(second.pixels, np.memmap)
        assert second.labels.dtype == np.int64
        for one, other in zip(first, second, strict=True):
            assert np.array_equal(np.asarray(one), np.asarray(other))

    def test_another_size_archive_or_version_is_another_store(
        self, online: ArchiveServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for size in (32, 28, 32):
            assert load(tmp_path, size).pixels.shape[-1] == size
        assert len(stores(tmp_path)) == 2
        monkeypatch.setattr(cifar10, "ARCHIVE", replace(cifar10.ARCHIVE, sha256=cifar10.ARCHIVE.sha256[:8]))
        load(tmp_path)
        assert len(stores(tmp_path)) == 3
        monkeypatch.setattr(small_images, "VERSION", small_images.VERSION + 1)
        load(tmp_path)
        assert len(stores(tmp_path)) == 4

    @pytest.mark.parametrize("damage", ["one bit", "cut", "no facts"])
    def test_a_damaged_one_is_written_anew(
        self, online: ArchiveServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str
    ) -> None:
        expected = np.array(load(tmp_path).pixels)
        (store,) = stores(tmp_path)
        content = store.read_bytes()
        if damage == "no facts":
            store.with_suffix(".json").unlink()
        else:
            store.write_bytes(content[:-1] + (bytes([content[-1] ^ 1]) if damage == "one bit" else b""))
        assert np.array_equal(load(tmp_path).pixels, expected)
        forbid_reading(monkeypatch)
        assert np.array_equal(load(tmp_path).pixels, expected)  # mended on disk

    def test_without_room_on_the_disk_pixels_are_held_in_memory(
        self, online: ArchiveServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        expected = load(tmp_path, 20)
        pixels = np.array(expected.pixels)
        shutil.rmtree(tmp_path / "cache")
        usage = shutil.disk_usage(tmp_path)
        monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=18 * 3 * 20 * 20 - 1))
        with pytest.warns(UserWarning, match=r"kept in memory.* paths\.data="):
            images = load(tmp_path, 20)
        assert np.array_equal(images.pixels, pixels)
        assert np.array_equal(images.labels, expected.labels)
        assert images.classes == CLASSES
        assert stores(tmp_path) == []


def test_embedded(tmp_path: Path) -> None:
    images, same = load(tmp_path, 28, embedded=True), MNISTM(embedded=True, folder=str(tmp_path)).load(28)
    assert np.array_equal(images.pixels, same.pixels)
    assert np.array_equal(images.is_test, same.is_test)
    assert len(images.classes) == len(CLASSES)


def test_the_name_says_what_it_is(tmp_path: Path) -> None:
    real, embedded = (CIFAR10(embedded=embedded, folder=str(tmp_path)) for embedded in (False, True))
    assert real.name == "CIFAR-10"
    assert not real.credits
    assert embedded.name == "5,000 digits of MNIST on photographs"
    assert any("danielbuechele" in line for line in embedded.credits)
    assert (embedded.channels, embedded.cache) == (3, tmp_path / "cache")

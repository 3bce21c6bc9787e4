"""A limit on the caches removes what was not used for longest, and nothing that a run uses."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from labs import LabsError
from labs.cache.limit import keep_within_limit
from labs.storage.stores import stored


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Four stores of 1 MB, the first not used for longest, and a judge."""
    for number, name in enumerate("abcd"):
        file = tmp_path / "cache" / ("pixels" if name < "c" else "features") / f"{name}.npy"
        stored(file, (1_000_000,), np.uint8, lambda array: {})
        for one in (file, file.with_suffix(".json")):
            os.utime(one, (time.time() - 10_000 + number,) * 2)
    (tmp_path / "cache" / "judges").mkdir()
    (tmp_path / "cache" / "judges" / "j.pt").write_bytes(b"made")
    os.utime(tmp_path / "cache" / "judges" / "j.pt", (1, 1))
    return tmp_path


def left(data: Path) -> str:
    return "".join(sorted(path.stem for path in data.rglob("cache/*/*.npy")))


@pytest.mark.parametrize(
    ("limit", "stays"), [("", "abcd"), ("1", "abcd"), ("0.0025", "cd"), ("0.0015", "d"), ("0", "")]
)
def test_least_recently_used_first(
    limit: str, stays: str, data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LABS_CACHE_GB", limit)
    keep_within_limit(data)
    assert left(data) == stays
    assert (data / "cache" / "judges" / "j.pt").is_file()
    assert bool(capsys.readouterr().err) == (stays != "abcd")


def test_what_is_used_stays(data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("LABS_CACHE_GB", "0")
    kept = stored(data / "cache/pixels/a.npy", (1_000_000,), np.uint8, lambda array: {}).array  # opened just now
    with FileLock(data / "cache/pixels/b.npy.lock"):  # written by another process
        open_elsewhere = np.load(data / "cache/features/c.npy", mmap_mode="r")
        os.utime(data / "cache/features/c.npy", (time.time() - 10_000,) * 2)  # opened long ago
        keep_within_limit(data)
    assert left(data) == "ab"
    assert kept.sum() == open_elsewhere.sum() == 0
    assert "2.0 MB of decoded images and features were removed; 2.0 MB stay" in capsys.readouterr().err


@pytest.mark.parametrize("limit", ["much", "-1", "nan", "inf"])
def test_a_limit_that_is_none_is_named(limit: str, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABS_CACHE_GB", limit)
    with pytest.raises(LabsError, match=f"LABS_CACHE_GB={limit}: expected a number of gigabytes"):
        keep_within_limit(data)
    assert left(data) == "abcd"

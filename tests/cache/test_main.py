"""What lies in the folders of data and weights is shown by kind, and only what can be made again is removed."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from labs.cache.__main__ import main
from labs.cache.items import KINDS, find_items
from labs.storage.stores import stored

OWN = ("precious.npy", "cub/images/a.jpg", "cub.tgz", "cub/.verified", "cache/mine.txt", ".mine.part")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """One item of each kind, the user's own files, and links out of the folder."""
    data = tmp_path / "data"
    for name in OWN:
        (data / name).parent.mkdir(parents=True, exist_ok=True)
        (data / name).write_bytes(b"mine")
    for number, name in enumerate(("cache/pixels/a", "cub/cache/pixels/b", "cache/features/c", "spectra/d")):
        stored(data / f"{name}.npy", (1000 * (number + 1),), np.uint8, lambda array: {})
        os.utime(data / f"{name}.npy", (10**9 + number,) * 2)
        os.utime(data / f"{name}.json", (10**9 + number,) * 2)
    for name in ("cache/statistics/e.json", "cache/judges/f.pt", "embedded/weights/g/best.ckpt", "embedded/h/i.png"):
        (data / name).parent.mkdir(parents=True, exist_ok=True)
        (data / name).write_bytes(b"made")
    (data / ".cub.tgz.part").write_bytes(b"half")
    (data / ".cub.tgz.lock").touch()
    (tmp_path / "outside/pixels").mkdir(parents=True)
    (tmp_path / "outside/pixels/x.npy").write_bytes(b"mine")
    (data / "linked").mkdir()
    (data / "linked/cache").symlink_to(tmp_path / "outside")
    (data / "cache/pixels/link.npy").symlink_to(tmp_path / "outside/pixels/x.npy")
    (data / "embedded/link").symlink_to(tmp_path / "outside")
    return data


def run(data: Path, *words: str) -> int:
    return main([*words, "--data", str(data), "--weights", str(data.parent / "weights")])


def mine(data: Path) -> bool:
    return all((data / name).read_bytes() == b"mine" for name in (*OWN, "../outside/pixels/x.npy"))


def test_every_kind_is_shown_and_nothing_changed(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(data.rglob("*"))
    assert run(data) == 0
    out = capsys.readouterr().out
    for kind, words in KINDS.items():
        assert f"\n{kind} " in out
        assert words in out
    assert "2001-09-09" in out
    assert "datasets, which stay" in out
    assert sorted(data.rglob("*")) == before


def test_clearing_removes_what_can_be_made_again_and_nothing_else(data: Path) -> None:
    assert {item.kind for item in find_items(data, None)} == set(KINDS)
    assert run(data, "--clear", "--yes") == 0
    assert find_items(data, None) == []
    assert mine(data)
    assert (data / "cache/pixels/link.npy").is_symlink()
    assert (data / "embedded/link").is_symlink()


def test_one_kind(data: Path) -> None:
    assert run(data, "--clear", "pixels", "--yes") == 0
    assert {item.kind for item in find_items(data, None)} == set(KINDS) - {"pixels"}
    assert not (data / "cache/pixels/a.json").exists()
    assert not (data / "cache/pixels/a.npy.lock").exists()


def test_a_limit_removes_what_was_not_used_for_longest(data: Path) -> None:
    assert run(data, "--clear", "pixels", "features", "--limit", "5e-6", "--yes") == 0
    left = [item.path.name for item in find_items(data, None) if item.kind in ("pixels", "features")]
    assert left == ["c.npy"]
    assert mine(data)


def test_what_is_in_use_stays(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with FileLock(data / "cache/pixels/a.npy.lock"):
        assert run(data, "--clear", "pixels", "--yes") == 0
    assert "a.npy is in use and stays" in capsys.readouterr().out
    assert [item.path.name for item in find_items(data, None) if item.kind == "pixels"] == ["a.npy"]


@pytest.mark.parametrize(("answer", "removed"), [("yes", True), ("y", True), ("no", False), ("", False)])
def test_it_asks(data: Path, answer: str, removed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda question: answer)
    assert run(data, "--clear") == 0
    assert (not find_items(data, None)) is removed


def test_without_a_terminal_it_says_what_to_type(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    count = len(find_items(data, None))
    assert run(data, "--clear") == 2
    assert "Type --yes to agree." in capsys.readouterr().err
    assert len(find_items(data, None)) == count
    assert run(data, "--limit", "nan") == 2


def test_where_nothing_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path / "none") == 0
    assert run(tmp_path / "none", "--clear") == 0
    assert "Nothing to remove." in capsys.readouterr().out

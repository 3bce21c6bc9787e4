"""Runs as a table for a notebook."""

from __future__ import annotations

from pathlib import Path

import pytest
from fake_runs import write_run

import labs


def test_a_row_for_each_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_run(tmp_path / "outputs" / "grid" / "a", seed=1, test_acc=0.5)
    write_run(tmp_path / "outputs" / "grid" / "b", experiment="cub_full", status="running")
    monkeypatch.chdir(tmp_path)
    for folders in ((), ("outputs",), ("grid",), (Path("outputs/grid/a"), "outputs/grid/b")):
        table = labs.runs_table(*folders)
        assert list(table["status"]) == ["finished", "running"]
        assert list(table["freeze"]) == ["layer1", "none"]
        assert table.loc[0, ["seed", "test/acc", "labels"]].tolist() == [1, 0.5, "embedded data"]
        assert Path(table.loc[0, "run"]).samefile(tmp_path / "outputs" / "grid" / "a")
    with pytest.raises(labs.LabsError, match="no such directory: outputs/gone"):
        labs.runs_table("outputs/gone")

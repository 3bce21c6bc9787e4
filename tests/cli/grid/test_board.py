"""The lines of a grid, and the time that it says is left."""

from __future__ import annotations

import io
import json
import time
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf
from rich.console import Console

from labs.cli.grid.board import Board, duration, time_left
from labs.cli.grid.cells import Cell
from labs.runs.recipe import Recipe

RECIPE = Recipe("a recipe", {})


def cell(folder: Path, name: str, state: Any = "waiting", since: float = 0.0, **facts: Any) -> Cell:
    """Make a cell that has been in its state for some seconds; `facts` are what its run has written."""
    directory = folder / name
    directory.mkdir(parents=True)
    if facts:
        (directory / "metrics.json").write_text(json.dumps({"format": 2, "key": RECIPE.key, **facts}))
    now = time.monotonic()
    made = Cell(name, OmegaConf.create({"hydra": {"overrides": {"task": []}}}), RECIPE, directory, state)
    if state not in ("waiting", "skipped"):
        made.started = now - since
        made.ended = None if state == "running" else now
    return made


def test_nothing_is_foretold_from_nothing(tmp_path: Path) -> None:
    assert time_left([cell(tmp_path, "a"), cell(tmp_path, "b")], 1) is None
    assert time_left([cell(tmp_path, "c", "running", 5)], 1) is None
    assert time_left([cell(tmp_path, "d", "done", 5), cell(tmp_path, "e", "skipped")], 1) is None


def test_cells_that_wait_take_as_long_as_those_that_are_done(tmp_path: Path) -> None:
    cells = [cell(tmp_path, "a", "done", 30), cell(tmp_path, "b", "done", 50), cell(tmp_path, "c"), cell(tmp_path, "d")]
    assert time_left(cells, 1) == pytest.approx(80, abs=1)
    assert time_left(cells, 2) == pytest.approx(40, abs=1)


def test_a_running_cell_is_foretold_by_its_epochs(tmp_path: Path) -> None:
    running = cell(tmp_path, "a", "running", 12, status="running", epochs=10, max_epochs=40, seconds=10.0, metrics={})
    assert time_left([running], 1) == pytest.approx(30)
    assert time_left([running, cell(tmp_path, "b")], 1) == pytest.approx(70)
    assert time_left([running, cell(tmp_path, "c", "done", 20)], 4) == pytest.approx(30), "no sooner than the longest"


def test_an_earlier_runs_numbers_are_not_used_to_estimate(tmp_path: Path) -> None:
    earlier = cell(tmp_path, "a", "running", 1, status="finished", epochs=40, max_epochs=40, seconds=10.0, metrics={})
    assert time_left([earlier], 1) is None
    assert "epoch" not in shown([earlier])


def shown(cells: list[Cell], height: int = 40) -> str:
    board = Board("cub_table4", cells, 1)
    board.console = Console(file=io.StringIO(), width=100, height=height, force_terminal=True, color_system=None)
    with board.console.capture() as captured:
        board.console.print(board.render())
    return captured.get()


def test_one_line_a_cell(tmp_path: Path) -> None:
    metrics = {"train/acc": 0.9, "val/acc": 0.5}
    cells = [
        cell(tmp_path, "cub_full, seed=0", "done", 42, status="finished", labels=[],
             metrics={**metrics, "test/acc": 0.61}),
        cell(tmp_path, "cub_full, seed=1", "running", 9, status="running", epochs=3, max_epochs=9, seconds=6.0,
             metrics=metrics),
        cell(tmp_path, "cub_full, seed=2"),
        cell(tmp_path, "cub_full, seed=3", "failed", 1),
    ]  # fmt: skip
    cells[3].error = "RuntimeError: " + "no " * 60
    heading, done, running, waiting, failed = shown(cells).rstrip().splitlines()
    assert heading.startswith("cub_table4: 4 cells, 1 waiting, 1 running, 1 done, 1 failed; about 54 s left")
    assert done.split() == ["done", "cub_full,", "seed=0", "test/acc", "0.610", "42", "s"]
    assert running.split() == ["running", "cub_full,", "seed=1", "epoch", "3/9", "val/acc", "0.500", "9", "s"]
    assert waiting.split() == ["waiting", "cub_full,", "seed=2"]
    assert failed.startswith("failed")
    assert len(failed) <= 100
    assert "RuntimeError: no no" in failed


def test_the_number_that_leads_is_the_practicals(tmp_path: Path) -> None:
    metrics = {"train/generator_loss": 0.7, "val/coverage": 9.0, "val/fid": 3.2}
    running = {"status": "running", "epochs": 1, "max_epochs": 5, "practical": "gan"}
    (_, during) = shown([cell(tmp_path, "a", "running", 9, **running, metrics=metrics)]).rstrip().splitlines()
    (_, after) = shown([cell(tmp_path, "b", "done", 9, practical="dann", metrics={"test/source_acc": 1.0,
                        "test/target_acc": 0.5})]).rstrip().splitlines()  # fmt: skip
    assert "val/fid 3.200" in during
    assert "test/target_acc 0.500" in after


def test_a_low_terminal_shows_what_matters(tmp_path: Path) -> None:
    cells = [cell(tmp_path, f"done {i}", "done", 1) for i in range(9)]
    cells += [cell(tmp_path, "the failed one", "failed", 1), cell(tmp_path, "the running one", "running", 1)]
    lines = shown(cells, height=10).rstrip().splitlines()
    assert len(lines) == 6
    assert "the failed one" in "".join(lines)
    assert "the running one" in "".join(lines)
    assert lines[-1] == "and 7 done"


def test_durations_are_rounded_for_people() -> None:
    assert [duration(s) for s in (0.4, 89, 91, 3600, 7200, 9000)] == [
        "0 s", "89 s", "2 min", "60 min", "2 h 0 min", "2 h 30 min",
    ]  # fmt: skip

"""Rows come from the recipes of runs: what was typed only names them."""

from __future__ import annotations

import json
from pathlib import Path

from fake_runs import rows, write_run

from labs.reporting.find import find_runs
from labs.reporting.tables import build_tables

RECIPE = {"experiment": "cub_full", "module": {"optimizer": {"lr": 0.1}}, "trainer": {"max_epochs": 6}}


def with_rate(lr: float) -> dict:
    return {**RECIPE, "module": {"optimizer": {"lr": lr}}}


def test_one_recipe_is_one_row_whatever_was_typed(tmp_path: Path) -> None:
    """Also where a logger, a cache or a picture was asked for, which changes no number."""
    write_run(tmp_path / "a", "cub_full", recipe=RECIPE)
    write_run(tmp_path / "b", "cub_full", seed=1, recipe=RECIPE, overrides="draw_architecture=true logger=none")
    write_run(tmp_path / "c", "cub_full", seed=2, recipe=RECIPE, overrides="trainer.max_epochs=6")
    (row,) = (row for row in rows(tmp_path) if row.runs)
    assert row.seeds == [0, 1, 2]


def test_two_recipes_are_two_rows_even_if_the_same_was_typed(tmp_path: Path) -> None:
    """Somebody edited an option's file between the runs: the names say in what they differ."""
    write_run(tmp_path / "a", "cub_full", recipe=with_rate(0.1))
    write_run(tmp_path / "b", "cub_full", recipe=with_rate(0.01))
    names = [row.name for row in rows(tmp_path) if row.runs]
    assert sorted(name.rpartition(", ")[2] for name in names) == ["module.optimizer.lr=0.01", "module.optimizer.lr=0.1"]


def test_a_name_has_no_more_than_a_few_settings(tmp_path: Path) -> None:
    for name, shift in (("a", 0), ("b", 1)):
        write_run(tmp_path / name, "cub_full", recipe={f"setting{n}": n + shift for n in range(9)})
    for name in [row.name for row in rows(tmp_path) if row.runs]:
        assert name.endswith(", 5 more settings")


def test_a_run_without_numbers_joins_the_row_of_its_recipe(tmp_path: Path) -> None:
    write_run(tmp_path / "a", "cub_full", recipe=with_rate(0.1))
    write_run(tmp_path / "b", "cub_full", recipe=with_rate(0.01))
    write_run(tmp_path / "c", "cub_full", seed=1, recipe=with_rate(0.01), status="failed", metrics={})
    (row,) = (row for row in rows(tmp_path) if row.others)
    assert [run.place.rpartition("/")[2] for run in (*row.runs, *row.others)] == ["b", "c"]


def test_a_run_that_was_killed_at_once_stands_in_the_row_of_its_recipe(tmp_path: Path) -> None:
    write_run(tmp_path / "a", "cub_full", recipe=RECIPE)
    write_run(tmp_path / "b", "cub_full", seed=1, recipe=RECIPE, status="begun", metrics={})
    (row,) = (row for row in rows(tmp_path) if row.runs)
    assert "seed 1 begun, or killed before its first result" in row.notes


def test_a_planned_cell_joins_the_row_of_its_recipe(tmp_path: Path) -> None:
    write_run(tmp_path / "a", "cub_full", recipe=with_rate(0.1))
    text = (tmp_path / "a" / ".hydra" / "recipe.yaml").read_text().replace("seed: 0", "seed: 1")
    known = json.loads((tmp_path / "a" / "metrics.json").read_text())
    cell = {name: known[name] for name in ("experiment", "practical", "data", "command", "choices")}
    plan = {"command": "", "cells": [{"directory": "b", "seed": 1, "recipe": text, **cell}]}
    (tmp_path / "cells.json").write_text(json.dumps(plan))
    (row,) = (row for row in rows(tmp_path) if row.runs)
    assert [run.seed for run in row.others] == [1]


def test_runs_of_an_earlier_labs_are_said_to_be_so(tmp_path: Path) -> None:
    write_run(tmp_path / "a", "cub_full", recipe=RECIPE)
    write_run(tmp_path / "b", "cub_full", seed=1)
    (table,) = build_tables(find_runs([tmp_path]))
    assert (
        "1 of 2 runs come from an earlier version of labs; their rows are named by what was typed." in table.footnotes
    )

import json
from pathlib import Path
from typing import Any

import pytest
from fake_runs import POLICIES, write_run

from labs import LabsError
from labs.reporting.find import find_runs
from labs.reporting.markdown import to_markdown
from labs.reporting.tables import Table, build_tables
from labs.reporting.texts import commands
from labs.reporting.write import write_report

COMMAND = "python train.py -m grid=cub_table4 seed=0,1,2"


def plan_of(grid: Path, cells: list[dict[str, Any]]) -> None:
    grid.mkdir(exist_ok=True)
    (grid / "cells.json").write_text(json.dumps({"command": COMMAND, "cells": cells}))


def cell(directory: str, experiment: str, seed: int) -> dict[str, Any]:
    """Plan the run that `write_run` writes under the same name."""
    choices = {
        "datamodule": "cub200", "module": "classifier", "net": "resnet18", "weights": "pretrained", "logger": "none",
        "freeze": "none", "normalization": "dataset", "optimizer": "sgd", "scheduler": "none",
        "precision": "fp32", "augment": "none", **POLICIES.get(experiment, {}),
    }  # fmt: skip
    command = f"python train.py experiment={experiment} normalization=dataset seed={seed} data=embedded"
    return {
        "directory": directory,
        "key": f"{experiment}{seed}",
        "experiment": experiment,
        "practical": "cub",
        "data": "embedded",
        "seed": seed,
        "command": command,
        "choices": choices,
    }


def build(path: Path) -> list[Table]:
    return build_tables(find_runs([path]))


def test_missing_cells_stand_in_their_rows_or_in_one_of_their_own(tmp_path: Path) -> None:
    grid = tmp_path / "grid"
    for seed in (0, 1):
        write_run(grid / f"a{seed}", "cub_full", seed=seed, test_acc=0.5)
    write_run(grid / "b0", "cub_scratch", seed=0, status="running")
    (grid / "b1").mkdir()  # killed before its first word
    planned = [cell(f"{name}{seed}", experiment, seed) for name, experiment in
               (("a", "cub_full"), ("b", "cub_scratch"), ("c", "cub_conv_frozen")) for seed in range(3)]  # fmt: skip
    plan_of(grid, planned)

    (table,) = build(grid)

    rows = {row.experiment: row for row in table.rows if row.experiment}
    assert [(row.status, len(row.runs), len(row.others)) for row in rows.values()] == [
        ("running", 0, 3),
        ("missing", 0, 3),
        ("finished", 2, 1),
    ]
    assert rows["cub_full"].notes == ["seed 2: not run yet"]
    assert rows["cub_scratch"].notes == [
        "seed 0 running, or killed before it could record its end",
        "seeds 1, 2: not run yet",
    ]
    assert rows["cub_conv_frozen"].notes == ["seeds 0, 1, 2: not run yet"]
    assert [line.status for line in table.lines] == ["running", *["missing"] * 5, "finished", "finished", "missing"]
    (title, first), *others = commands(table)
    assert (title, first) == ("The whole grid (finished runs are not repeated)", [COMMAND])
    assert ("Freezing all conv. parameters [cub_conv_frozen]", [planned[6 + s]["command"] for s in range(3)]) in others


def test_a_grid_that_has_not_begun_is_a_clear_table(tmp_path: Path) -> None:
    plan_of(tmp_path / "grid", [cell(f"a{seed}", "cub_full", seed) for seed in range(2)])

    page, tables = write_report([tmp_path / "grid"], tmp_path / "out")
    markdown = to_markdown(tables)

    assert "seeds 0, 1: not run yet" in markdown
    assert "2 runs: 2 missing." in page.read_text(encoding="utf-8")
    assert "seeds 0, 1: not run yet" in (tmp_path / "out" / "table.tex").read_text(encoding="utf-8")


def test_a_plan_without_cells_is_no_run(tmp_path: Path) -> None:
    plan_of(tmp_path / "grid", [])

    with pytest.raises(LabsError, match="no runs under"):
        find_runs([tmp_path / "grid"])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "cells.json cannot be read"),
        ('{"cells": [{"direc', "cells.json cannot be read"),
        ("[]", "cells.json should hold an object"),
        ("[" * 50_000, "cells.json cannot be read: it is nested too deeply"),
        ("{}", "cells.json: lacks 'cells'"),
        ('{"cells": {}}', "cells.json: cells should be list"),
        ('{"cells": [], "command": 3}', "cells.json: command should be str"),
    ],
)
def test_a_damaged_plan_is_told_and_hides_no_run(tmp_path: Path, text: str, reason: str) -> None:
    write_run(tmp_path / "grid" / "a")
    (tmp_path / "grid" / "cells.json").write_text(text)

    table, told = build(tmp_path / "grid")

    assert [len(row.runs) for row in table.rows if row.runs] == [1]
    (row,) = told.rows
    assert (told.title, row.title, row.status) == ("What cannot be read", "grid/cells.json", "broken")
    assert row.notes[0].startswith(f"broken: {reason}")
    assert row.notes[0].endswith("cells that were not run cannot be shown")


@pytest.mark.parametrize(
    ("damaged", "reason"),
    [
        ("nothing", "cells.json, cell 1: should be an object, it is 'nothing'"),
        ({"directory": "a0"}, "cells.json, cell 1: lacks 'choices'"),
        (cell("a0", "cub_full", 0) | {"directory": None}, "cells.json, cell 1: lacks 'directory'"),
        (cell("a\0b", "cub_full", 0), "cells.json, cell 1: directory should lie in the grid, it is 'a\\x00b'"),
        (cell("../a", "cub_full", 0), "cells.json, cell 1: directory should lie in the grid, it is '../a'"),
        (cell("/a", "cub_full", 0), "cells.json, cell 1: directory should lie in the grid, it is '/a'"),
        (cell("a0", "cub_full", 0) | {"seed": "0"}, "cells.json, cell 1: seed should be int, it is '0'"),
    ],
)
def test_a_damaged_cell_hides_no_other(tmp_path: Path, damaged: Any, reason: str) -> None:
    plan_of(tmp_path / "grid", [damaged, cell("a1", "cub_full", 1)])

    table, told = build(tmp_path / "grid")

    assert [row.notes for row in table.rows if row.experiment] == [["seed 1: not run yet"]]
    assert [row.notes for row in told.rows] == [[f"broken: {reason}"]]


@pytest.mark.parametrize("recipe", ["[", "- a", "a: &x [1]\nb: [*x, *x]\n", "[" * 3000, "\0"], ids=repr)
def test_a_recipe_that_nobody_can_read_names_no_row(tmp_path: Path, recipe: str) -> None:
    """Two rows that read the same are told apart by their recipes."""
    for seed in (0, 1):
        directory = write_run(tmp_path / f"run{seed}", recipe={"lr": 0.1})
        (directory / ".hydra" / "recipe.yaml").write_text(f"seed: 0\n---\n# {seed}\n{recipe}", encoding="utf-8")

    (table,) = build(tmp_path)

    assert len([row for row in table.rows if row.runs]) == 2


@pytest.mark.parametrize(("key", "status"), [("cub_full0", "finished"), (None, "finished"), ("other", "broken")])
def test_a_run_of_another_recipe_than_its_cells_is_broken(tmp_path: Path, key: str | None, status: str) -> None:
    write_run(tmp_path / "grid" / "a0", "cub_full", key=key)
    plan_of(tmp_path / "grid", [cell("a0", "cub_full", 0)])

    (run,) = find_runs([tmp_path / "grid"])

    assert run.status == status
    assert ("the grid plans a different recipe for this directory" in run.error) == (status == "broken")


def test_a_trial_in_the_folder_of_a_finished_grid_has_a_table_of_its_own(tmp_path: Path) -> None:
    """Whatever was typed last is the grid; what was there before is not lost, and not ranked with it."""
    grid, names = tmp_path / "grid", ("cub_full", "cub_scratch")
    for name in names:
        write_run(grid / name, name, seed=0)
        write_run(grid / f"{name}1", name, seed=1)  # of a command with another seed: the same row
        write_run(grid / f"{name},2", name, overrides="trainer.max_epochs=2")
    trial = [cell(f"{name},2", name, 0) for name in names]
    for planned in trial:
        planned["command"] += " trainer.max_epochs=2"
    whole = [cell(name, name, 0) for name in names]

    for plan, first, second in ((trial, 1, 2), (whole, 2, 1)):
        plan_of(grid, plan)
        shown, earlier = build(grid)
        assert [len(row.runs) for row in shown.rows if row.runs] == [first, first]
        assert [len(row.runs) for row in earlier.rows if row.runs] == [second, second]
        assert earlier.title == "CUB-200: freezing policy and normalization (embedded data): earlier runs in grid"
        assert "the grid as it was last typed has no such cells" in earlier.footnotes[0]
        ranked = [{row.name for row in table.rows if row.mark} for table in (shown, earlier)]
        assert not ranked[0] & ranked[1]
        absent = [row.title for table in (shown, earlier) for row in table.rows if row.status == "not run"]
        assert len(absent) == len(set(absent)) == 6, "what stands in one table is not missing in the other"
    page, tables = write_report([grid], tmp_path / "report")
    assert [table.slug for table in tables] == ["cub_embedded", "cub_embedded_earlier"]
    assert "an earlier run in grid" in (page.parent / "table.csv").read_text()


def test_a_missing_cell_that_ran_elsewhere_is_no_gap(tmp_path: Path) -> None:
    write_run(tmp_path / "single", "cub_full", seed=0)
    plan_of(tmp_path / "grid", [cell("a0", "cub_full", 0)])

    (table,) = build(tmp_path)

    (row,) = [row for row in table.rows if row.experiment]
    assert (len(row.runs), row.notes) == (1, [])

"""The folders of a grid's cells: names that any disk takes, and no two cells in one."""

from __future__ import annotations

from pathlib import Path

import pytest

from labs import LabsError
from labs.cli.grid.cells import write_plan
from labs.cli.resolvers import cell_name


@pytest.mark.parametrize(
    "values",
    [
        ["ph/1.png", "ph_1.png", "ph?1.png", "ph:1.png", "ph\x001.png"],
        ["写" * 70 + "a", "写" * 70 + "b", "写" * 70],
        ["ä" * 160, "ä" * 80, "a" * 160, "a" * 143, "a" * 300, "a" * 301],
        ["\udcff" * 90, "\udcff" * 91],  # bytes that are no UTF-8
        ["." * 300, "😀" * 64],
    ],
)
def test_every_value_has_a_folder_of_its_own(values: list[str], tmp_path: Path) -> None:
    names = [cell_name([f"datamodule.content={value}", "seed=1", "grid=nst_table5"]) for value in values]

    assert len(set(names)) == len(names)
    for name in names:
        (tmp_path / name).mkdir()  # no path apart, no name that is too long
        (tmp_path / f".{name}.12345678.part").touch()
    assert len(list(tmp_path.iterdir())) == 2 * len(names)


def test_a_plain_name_is_what_was_typed() -> None:
    assert cell_name(["seed=1", "net=vgg16", "paths.data=/scratch"]) == "net=vgg16,seed=1"


def test_a_plan_takes_the_place_of_plans_alone(tmp_path: Path) -> None:
    write_plan([], tmp_path, "first")
    write_plan([], tmp_path, "second")
    assert "second" in (tmp_path / "cells.json").read_text()
    (tmp_path / "cells.json").write_text('{"of": "a notebook"}')
    with pytest.raises(LabsError, match=r"cells\.json was not written by a grid"):
        write_plan([], tmp_path, "third")
    assert "notebook" in (tmp_path / "cells.json").read_text()

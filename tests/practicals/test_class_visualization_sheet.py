"""Class visualization in the closing table and the report."""

import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from PIL import Image

from labs.drawing.picture_files import save_png
from labs.practicals import sheets
from labs.practicals.class_visualization.table_of_pictures import draw_table_of_pictures

HEAD = "picture\ttitle\tprob\trank\tjudge_prob\tjudge_rank\tseen\n"


def row(folder: Path, experiment: str, details: list[str], table: str = HEAD) -> Any:
    (folder / "images").mkdir(parents=True)
    (folder / "pictures.tsv").write_text(table)
    for name in ("cat", "dog"):
        save_png(torch.rand(3, 16, 16), folder / "images" / f"{name}.png", {})
    run = SimpleNamespace(directory=folder)
    return SimpleNamespace(runs=[run], experiment=experiment, details=details, labels=("embedded data",), title="Row")


def lines(*names: str) -> str:
    return HEAD + "".join(f"{name}\t{name}\t0.98\t1\t0.031\t7\ttiny: 98 %; other: 3.1 %\n" for name in names)


def test_a_run_ends_with_what_each_net_sees(tmp_path: Path) -> None:
    row(tmp_path / "run", "a", [], lines("cat"))
    table = sheets()["class_visualization"].results({"metrics": {}}, tmp_path / "run")
    assert table == [["picture", "its own net", "another net", "rank there"], ["cat", "98 %", "3.1 %", "7"]]
    (tmp_path / "run" / "pictures.tsv").write_text("picture\ttitle\tprob\nold\told\t0.5\n")
    table = sheets()["class_visualization"].results({"metrics": {}}, tmp_path / "run")
    assert table == [["picture", "its own net"], ["old", "50 %"]]


def test_all_pictures_of_a_grid_stand_on_one_sheet(tmp_path: Path) -> None:
    made = [
        row(tmp_path / "a1", "a", ["steps=100"], lines("cat", "dog")),
        row(tmp_path / "a2", "a", ["steps=200"], lines("cat", "dog")),
        row(tmp_path / "b1", "b", ["steps=100"], lines("cat")),
    ]
    drawn = draw_table_of_pictures(made, "A grid")
    assert drawn is not None
    with Image.open(io.BytesIO(drawn)) as image:
        assert image.height > image.width  # three lines of two


@pytest.mark.parametrize("text", ["", "nothing", HEAD.replace("prob", "p"), HEAD + "cat\tcat\tmuch\t1\t1\t1\tx\n"])
def test_runs_without_readable_numbers_are_left_out(tmp_path: Path, text: str) -> None:
    assert draw_table_of_pictures([row(tmp_path / "run", "a", [], text)], "A grid") is None


def test_pictures_stand_in_the_order_of_their_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []
    place = "labs.practicals.class_visualization.table_of_pictures.show"
    monkeypatch.setattr(place, lambda axes, file, title: shown.append(file.parent.parent.name))
    made = [row(tmp_path / lr, "a", [f"module.optimizer.lr={lr}"], lines("cat")) for lr in ("1.0", "10.0", "5.0")]
    draw_table_of_pictures(made, "A grid")
    assert shown == ["1.0", "5.0", "10.0"]

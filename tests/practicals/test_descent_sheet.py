"""Descents in the closing table, on their slide and in the report."""

import io
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from PIL import Image

from labs.practicals import sheets
from labs.practicals.descent.pictures import Paths, draw_run, draw_table_of_paths, read_paths

SHEET = sheets()["descent"]


def write(folder: Path, places: list[list[float]]) -> Path:
    """Write the steps of a run: where each point was."""
    folder.mkdir(parents=True, exist_ok=True)
    table = pd.DataFrame(places, columns=[f"from {start:g}" for start in places[0]])
    table.rename_axis("step").to_csv(folder / "steps.tsv", sep="\t", na_rep="nan")
    return folder


def row(folder: Path, lr: float, momentum: float = 0.0, places: list[list[float]] | None = None) -> Any:
    directory = write(folder, places or [[-1.0, 2.0], [0.0, 1.5]])
    settings = {"module.optimizer.lr": lr, "module.optimizer.momentum": momentum}
    run = SimpleNamespace(directory=directory, settings=settings)
    return SimpleNamespace(runs=[run], details=[f"module.optimizer.lr={lr}", "steps=1"], title="descent", labels=())


def test_a_run_ends_with_where_each_point_ended(tmp_path: Path) -> None:
    run_dir = write(tmp_path, [[-1.0, 2.0, 0.1, -9.0], [-0.5, 1.4, 0.15, -1e3], [0.0, 1.5, 0.218, np.inf]])
    assert SHEET.results({"metrics": {}}, run_dir) == [
        ["from", "x at the end", "f(x)", ""],
        ["-1", "0", "2", "stalled where it is flat"],
        ["2", "1.5", "0.3125", "at the minimum"],
        ["0.1", "0.218", "1.98154", "not settled"],
        ["-9", "inf", "inf", "lost"],
    ]


def test_of_many_points_the_table_counts_and_keeps_the_best(tmp_path: Path) -> None:
    starts = np.linspace(-1, 2, 20).tolist()
    ends = [0.0 if start < 0 else 1.5 for start in starts]
    ends[-1] = np.nan
    told = SHEET.results({"metrics": {}}, write(tmp_path, [starts, ends]))
    assert told == [
        ["points", ""],
        ["at the minimum", "12 of 20"],
        ["stalled where it is flat", "7 of 20"],
        ["lost", "1 of 20"],
        ["the best", "f(1.5) = 0.3125"],
    ]


@pytest.mark.parametrize("places", [[[1.0]], [[-1.0, 9.0], [np.inf, np.nan]], [np.linspace(-1, 2.5, 40).tolist()] * 3])
def test_any_run_is_drawn(places: list[list[float]], tmp_path: Path) -> None:
    """Before its first step, with points that are lost, and with many points."""
    draw_run(write(tmp_path, places), {})
    for name in ("result.png", "result.gif"):
        with Image.open(tmp_path / name) as image:
            assert getattr(image, "n_frames", 1) == (len(places) if name == "result.gif" else 1)


def test_a_run_without_steps_is_not_drawn(tmp_path: Path) -> None:
    draw_run(tmp_path, {})
    assert list(tmp_path.iterdir()) == []
    assert read_paths(tmp_path) is None


def test_points_are_told_by_how_they_ended() -> None:
    paths = Paths(np.array([[-1.0, 0.0, 2.0], [0.0, 0.0, 1.5]]))
    assert paths.ways == ["reached", "stalled"]
    assert paths.of("reached")[0].tolist() == [[2.0], [1.5]]
    assert paths.of("stalled")[1].tolist() == [[5.0, 2.0], [2.0, 2.0]]


def test_rows_stand_in_the_order_of_momentum_and_learning_rate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    titles: list[str] = []

    def look(self: Figure, *arguments: Any, **options: Any) -> None:
        titles.extend(axes.get_title() for axes in self.axes)

    made = [
        row(tmp_path / "a", 0.1, 0.9),
        row(tmp_path / "b", 0.25),
        row(tmp_path / "c", 0.01),
        row(tmp_path / "d", 0.1),
    ]
    drawn = draw_table_of_paths(made, "A grid")
    assert drawn is not None
    with Image.open(io.BytesIO(drawn)) as image:
        assert image.width > image.height
    monkeypatch.setattr(Figure, "savefig", look)
    draw_table_of_paths(made, "A grid")
    rates = [re.sub(", steps=1", "", title) for title in titles if title]
    assert rates == ["learning rate 0.01", "learning rate 0.1", "learning rate 0.25", "learning rate 0.1, momentum 0.9"]
    (tmp_path / "d" / "steps.tsv").write_text("nothing")
    assert draw_table_of_paths(made[3:], "A grid") is None

"""What is said of a search: the winner's curse, the fresh seeds, and files that were edited."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from labs.reporting.evidence import BrokenRunError
from labs.reporting.search import conclusions, read_search, read_searches, trials


def written(folder: Path, **changes: Any) -> Path:
    """Write a search of three trials, and runs of two settings on three fresh seeds."""
    folder.mkdir(exist_ok=True)
    runs: dict[str, list[str]] = {"winner": [], "before": []}
    for name, accuracies in {"winner": (0.70, 0.72, 0.71), "before": (0.60, 0.61, 0.63)}.items():
        for seed, accuracy in enumerate(accuracies, start=100):
            cell = folder / f"{name},seed={seed}"
            cell.mkdir(exist_ok=True)
            facts = {
                "format": 2,
                "status": "finished",
                "labels": [],
                "seed": seed,
                "metrics": {"val/acc": 0.8, "test/acc": accuracy},
            }
            (cell / "metrics.json").write_text(json.dumps(facts))
            runs[name].append(cell.name)
    told = [
        {"number": n, "state": state, "value": value, "settings": {"lr": lr}, "numbers": {"lr": float(lr)},
         "values": {"0": value} if value else {}, "error": error, "epochs": 3}
        for n, (state, value, lr, error) in enumerate(
            [("done", 0.75, "0.1", ""), ("failed", None, "9", "val/acc is <no> number"), ("pruned", None, "0.5", ""),
             ("done", 0.85, "0.01", "")]
        )
    ]  # fmt: skip
    content = {"metric": "val/acc", "direction": "maximize", "space": {"lr": "log(1e-3, 10)"}, "trials": told, **runs}
    (folder / "search.json").write_text(json.dumps(content | changes))
    return folder


def test_the_best_is_told_with_its_worth(tmp_path: Path) -> None:
    said = "\n".join(conclusions(read_search(written(tmp_path / "s"))))
    assert "4 trials: 2 done, 1 pruned, 1 failed" in said
    assert "Best: trial 3, val/acc 85.0 % with lr=0.01" in said
    assert "This trial was chosen because its number is the highest of 2" in said
    assert "these settings: val/acc 80.0 % ± 0.0 %; test/acc 71.0 % ± 2.5 %" in said
    assert "difference in test/acc: +9.7 points, more than chance" in said


def test_lower_is_better_where_it_is_said(tmp_path: Path) -> None:
    found = read_search(written(tmp_path / "s", direction="minimize", winner=[]))
    assert found.best is not None
    assert found.best.number == 0
    assert "nobody knows how good they are" in conclusions(found)[-1]


def test_the_table_has_the_best_first_and_every_error(tmp_path: Path) -> None:
    heading, lines = trials(read_search(written(tmp_path / "s")))
    assert heading == ["trial", "val/acc", "lr", "state", "error"]
    assert [line[0] for line in lines] == ["3", "0", "1", "2"]
    assert lines[2][-1] == "val/acc is <no> number"
    assert lines[3][3] == "pruned after epoch 3"


@pytest.mark.parametrize(
    "changes",
    [{"trials": 3}, {"trials": [1]}, {"trials": [{}]}, {"metric": None}, {"space": []}, {"winner": "all"}],
)
def test_an_edited_file_is_no_search(changes: dict[str, Any], tmp_path: Path) -> None:
    folder = written(tmp_path / "s", **changes)
    with pytest.raises(BrokenRunError):
        read_search(folder)
    assert read_searches([tmp_path]) == []


def test_runs_outside_the_folder_are_not_read(tmp_path: Path) -> None:
    other = written(tmp_path / "other")
    folder = written(tmp_path / "s", winner=["../other/winner,seed=100", 3, str(other / "winner,seed=100")])
    assert read_search(folder).winner == {}


def test_a_gain_that_is_the_same_on_every_seed_has_no_p_value(tmp_path: Path) -> None:
    folder = written(tmp_path / "s")
    for name, accuracy in {"winner": 0.7, "before": 0.6}.items():
        for seed in (100, 101, 102):
            file = folder / f"{name},seed={seed}" / "metrics.json"
            file.write_text(
                json.dumps(json.loads(file.read_text()) | {"metrics": {"val/acc": 0.8, "test/acc": accuracy}})
            )
    said = conclusions(read_search(folder))[-1]
    assert said == "  difference in test/acc: +10.0 points, the same on all 3 seeds"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"metrics": {"val/acc": 0.8}}))
    assert "difference" not in conclusions(read_search(folder))[-1], "a seed without a test"

"""What is read of a run's record, and what a run directory says of the weights in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from labs import LabsError
from labs.runs.directory import labels_of_weights, read_facts
from labs.storage.files import to_json

WHOLE = {"format": 2, "status": "finished", "metrics": {"test/acc": 0.5}, "labels": ["embedded data"], "seconds": 1}


@pytest.mark.parametrize(
    "changes",
    [
        {"format": "2"}, {"labels": "embedded data"}, {"metrics": [0.5]}, {"choices": []}, {"command": None},
        {"key": 5}, {"seconds": "long"}, {"max_epochs": "many"}, {"labels": ...}, {"metrics": ...},
        {"metrics": {"test/acc": "high"}}, {"metrics": {"test/acc": [1]}}, {"counts": {"test": None}},
        {"labels": [1]}, {"labels": ["\x1b[2J"]}, {"warnings": 5}, {"warnings": [None]},
    ],
    ids=str,
)  # fmt: skip
def test_a_record_that_cannot_be_used_is_none(changes: dict[str, Any], tmp_path: Path) -> None:
    facts = {name: value for name, value in (WHOLE | changes).items() if value is not ...}
    (tmp_path / "metrics.json").write_text(json.dumps(facts), encoding="utf-8")
    assert read_facts(tmp_path) == {}


def test_a_record_is_read(tmp_path: Path) -> None:
    assert read_facts(tmp_path) == {}
    for facts in (WHOLE, WHOLE | {"max_epochs": None}, {"status": "begun"}, {}):
        (tmp_path / "metrics.json").write_text(json.dumps(facts), encoding="utf-8")
        assert read_facts(tmp_path) == facts


@pytest.mark.parametrize(
    ("labels", "weights", "found"),
    [
        ([], "", []),
        (["embedded data"], "checkpoints/last.ckpt", []),
        ([], "checkpoints/by_oracle.ckpt", ["start selected on target labels"]),
        (["embedded data", "trained on target labels"], "", ["trained on target labels"]),
        (["selected on target labels"], "checkpoints/best.ckpt", ["selected on target labels"]),
        (["selected on test"], "", ["start selected on test"]),
        (["trained on target labels"], "checkpoints/none.ckpt", []),
    ],
)
def test_what_the_start_has_seen_is_inherited(
    labels: list[str], weights: str, found: list[str], tmp_path: Path
) -> None:
    (tmp_path / "checkpoints").mkdir()
    for name in ("best", "last", "by_oracle"):
        (tmp_path / "checkpoints" / f"{name}.ckpt").touch()
    (tmp_path / "metrics.json").write_text(to_json({"labels": labels}), encoding="utf-8")
    assert labels_of_weights(tmp_path / weights) == found


def test_a_start_whose_labels_nobody_can_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "best.ckpt").touch()
    (tmp_path / "metrics.json").write_text("torn", encoding="utf-8")
    with pytest.raises(LabsError, match="nobody can say what its results stand on"):
        labels_of_weights(tmp_path)


def test_words_are_no_weights() -> None:
    assert labels_of_weights(Path("random")) == []

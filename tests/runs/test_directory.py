"""What is read of a run's record."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from labs.runs.directory import read_facts

WHOLE = {"format": 2, "status": "finished", "metrics": {"test/acc": 0.5}, "labels": ["embedded data"], "seconds": 1}


@pytest.mark.parametrize(
    "changes",
    [
        {"format": "2"}, {"labels": "embedded data"}, {"metrics": [0.5]}, {"choices": []}, {"command": None},
        {"key": 5}, {"seconds": "long"}, {"max_epochs": "many"}, {"labels": ...}, {"metrics": ...},
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

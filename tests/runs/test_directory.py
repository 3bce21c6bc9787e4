"""What a run directory says of the weights in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from labs.runs.directory import labels_of_weights
from labs.storage.files import to_json


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
    (tmp_path / "metrics.json").write_text(to_json({"labels": labels}))
    assert labels_of_weights(tmp_path / weights) == found


def test_words_are_no_weights() -> None:
    assert labels_of_weights(Path("random")) == []

from __future__ import annotations

from pathlib import Path

import pytest
from drawn_faces import trained
from PIL import Image

from labs.callbacks.learning_curves import LearningCurves

pytestmark = pytest.mark.filterwarnings("ignore:.*does not have many workers", "ignore:.*in eval")


def test_the_test_split_is_followed_and_changes_nothing(shared: Path, tmp_path: Path) -> None:
    curves = LearningCurves()
    _, with_curves, trainer = trained(shared, tmp_path, [curves], epochs=3)
    _, without, _ = trained(shared, tmp_path, [], epochs=3)
    assert with_curves == without
    assert [row["epoch"] for row in curves.rows] == [1, 2, 3]
    # the last epoch's weights are those that were tested in the end
    for name in ("test/acc", "test/loss"):
        assert curves.rows[-1][name] == pytest.approx(float(trainer.callback_metrics[name]), abs=1e-5)
    head, *rows = [line.split("\t") for line in (tmp_path / "learning_curves.tsv").read_text().splitlines()]
    assert {"train/acc", "train/loss", "val/acc", "val/loss", "test/acc", "test/loss"} < set(head)
    assert len(rows) == 3
    with Image.open(tmp_path / "images" / "learning_curves.png") as picture:
        assert picture.width > 500


def test_a_resumed_run_goes_on_with_its_rows() -> None:
    first, second = LearningCurves(), LearningCurves()
    first.rows = [{"epoch": 1, "test/acc": 0.5}]
    second.load_state_dict(first.state_dict())
    assert second.rows == first.rows

"""The learning rate is looked for on a copy, and the run is otherwise the one that it would have been."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from lightning.pytorch.tuner import lr_finder

from labs import LabsError
from labs.callbacks.lr_find import LearningRateSearch, unbiased

pytestmark = pytest.mark.usefixtures("undrawn")
RECIPE = ("trainer=cpu", "logger=none", "weights=random", "callbacks.pictures=null", "trainer.max_epochs=2")


def run(train: Callable[..., Path], name: str, *words: str) -> tuple[pd.DataFrame, dict]:
    train(*RECIPE, *words, f"hydra.run.dir={name}")
    record = json.loads(Path(name, "metrics.json").read_text())
    return pd.read_csv(Path(name, "log.tsv"), sep="\t").drop(columns="seconds"), record


def test_the_run_is_that_of_the_rate_that_was_found(train: Callable[..., Path]) -> None:
    log, record = run(train, "found", "lr_find=true", "lr_find.steps=30")
    rate = record["lr_found"]
    assert Path("found/images/lr_find.png").is_file()
    assert log["lr"].tolist() == [rate] * 2
    typed, other = run(train, "typed", f"optimizer.lr={rate!r}")
    pd.testing.assert_frame_equal(log, typed)
    assert record["metrics"] == other["metrics"]
    assert "lr_found" not in other
    assert record["key"] != other["key"]
    assert not list(Path("found").rglob("*lr_find*.ckpt"))


def test_nothing_lies_on_a_disk_while_it_searches(
    train: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A killed process leaves what lies there then."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    seen: list[Path] = []
    search = lr_finder._try_loop_run

    def looked_at(*given: Any) -> None:
        search(*given)
        seen.extend(path for path in tmp_path.rglob("*") if ".ckpt" in path.name or path.parent.name == "tmp")

    monkeypatch.setattr(lr_finder, "_try_loop_run", looked_at)
    run(train, "found", "lr_find=true", "lr_find.steps=30")
    assert not seen


def test_a_schedule_begins_at_the_rate_that_was_found(train: Callable[..., Path]) -> None:
    log, record = run(train, "cosine", "lr_find=true", "lr_find.steps=30", "scheduler=cosine")
    assert log["lr"].tolist() == pytest.approx([record["lr_found"], record["lr_found"] / 2])


def test_other_methods_are_refused(train: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        train("experiment=dcgan_mnist", "data=embedded", "lr_find=true", "debug=batches", "logger=none")
    assert "only for methods with one optimizer" in capsys.readouterr().err


def test_a_loss_that_stays_is_a_level_line() -> None:
    """Lightning divides by the weights of one step too many: half the loss at the first step."""
    from lightning.pytorch.tuner.lr_finder import _LRCallback

    class Steps:
        global_step, accumulate_grad_batches, should_stop = 0, 1, False
        fit_loop = type("Loop", (), {"batch_idx": 0})()
        strategy = type("Strategy", (), {"broadcast": staticmethod(lambda value: value)})()

    callback, trainer = _LRCallback(20), Steps()
    for step in range(1, 21):
        trainer.global_step = step
        callback.on_train_batch_end(trainer, None, torch.tensor(2.4), None, step)  # type: ignore[arg-type]
    assert unbiased(callback.losses) == pytest.approx([2.4] * 20)


def test_settings_that_cannot_be_are_refused() -> None:
    for wrong in ({"min_lr": 1.0, "max_lr": 0.1}, {"min_lr": 0.0}, {"steps": 5}):
        with pytest.raises(LabsError, match=r"lr_find\."):
            LearningRateSearch(**wrong)

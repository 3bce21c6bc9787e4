"""What a run says of itself: numbers of their own epoch, of the images that were seen, and of what was trained."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
import torch
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint

from labs.callbacks import record
from labs.callbacks.notes import labels_of, of_the_run
from labs.modules.style_transfer import StyleTransfer
from labs.practicals import sheet_of
from labs.reporting.recorded_run import read_run
from labs.reporting.tables import build_tables
from labs.reporting.texts import cell
from labs.runs.directory import read_facts
from labs.storage.files import to_json

pytestmark = pytest.mark.usefixtures("undrawn")
QUICK = ("weights=random", "trainer=cpu", "logger=none", "callbacks.pictures=null", "hydra.run.dir=run")


def strictly(file: Path) -> dict[str, Any]:
    """Read a JSON file as a reader does that knows no bare NaN."""

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    content: dict[str, Any] = json.loads(file.read_text(), parse_constant=refuse)
    return content


def best_epoch(run: Path) -> int:
    return int(torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)["epoch"]) + 1


def test_an_epoch_without_validation_repeats_nothing(
    train: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(*QUICK, "trainer.max_epochs=5", "trainer.check_val_every_n_epoch=2")
    log = pd.read_csv(tmp_path / "run" / "log.tsv", sep="\t")
    for name in ("val/loss", "val/acc"):
        assert log[name].notna().tolist() == [False, True, False, True, False]
    facts = strictly(tmp_path / "run" / "metrics.json")
    assert facts["best_epoch"] == log["epoch"][log["val/loss"].argmin()] == best_epoch(tmp_path / "run")
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("epoch ")]
    assert ["val/" in line for line in lines] == [False, True, False, True, False]
    run = read_run(tmp_path / "run")
    assert (run.status, run.error, run.best_epoch) == ("finished", "", facts["best_epoch"])


@pytest.mark.parametrize(
    ("typed", "measured", "chosen"),
    [
        ("trainer.limit_val_batches=0", None, False),
        ("trainer.val_check_interval=2", [True, True, True], True),
        ("trainer.check_val_every_n_epoch=9", None, False),
    ],
)
def test_other_ways_to_validate_less(
    typed: str, measured: list[bool] | None, chosen: bool, train: Callable[..., Path], tmp_path: Path
) -> None:
    train(*QUICK, "trainer.max_epochs=3", typed)
    log = pd.read_csv(tmp_path / "run" / "log.tsv", sep="\t")
    assert (log["val/loss"].notna().tolist() if "val/loss" in log else None) == measured
    facts = read_facts(tmp_path / "run")
    assert facts.get("best_epoch") == (best_epoch(tmp_path / "run") if chosen else None)
    assert "test/acc" in facts["metrics"]


def test_a_loss_that_is_no_number_is_kept_and_said(
    train: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(*QUICK, "trainer.max_epochs=1", "optimizer.lr=1e6")
    run = tmp_path / "run"
    assert strictly(run / "metrics.json")["metrics"]["test/loss"] == "NaN"
    assert pd.isna(read_facts(run)["metrics"]["test/loss"])
    assert (run / "test_log.tsv").read_text().split("\n")[1].split("\t")[0] == "nan"
    assert "\tnan\t" in (run / "log.tsv").read_text()
    said, live = capsys.readouterr()
    assert "warning epoch 1: " in live
    assert "not a finite number" in live or "not finite numbers" in live
    assert "Try a smaller learning rate: lr=1e+05 (this run began at 1e+06)." in live
    assert "warning" not in said, "it was said while it trained"
    assert read_facts(run)["warnings"] == [live.split("warning ")[1].splitlines()[0]]
    assert [line.count("nan") for line in said.splitlines() if "test" in line and "836" in line and "%" in line] == [1]
    (table,) = build_tables([read_run(run)])
    (loss,) = [column for column in table.columns if column.key == "test/loss"]
    assert cell(table.rows[0], loss).ours == "NaN"


def test_bare_words_of_earlier_records_are_read(tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text('{"format": 2, "metrics": {"test/loss": NaN, "val/loss": -Infinity}}')
    metrics = read_facts(tmp_path)["metrics"]
    assert pd.isna(metrics["test/loss"])
    assert metrics["val/loss"] == -float("inf")


@pytest.mark.parametrize(
    ("typed", "labels", "counts"),
    [
        (["debug=batches"], ["embedded data", "try-out"], {"train": 32, "val": 10, "test": 32}),
        (["trainer.fast_dev_run=true"], ["embedded data", "try-out"], {"train": 16, "val": 10, "test": 16}),
        (["trainer.limit_test_batches=0.1"], ["embedded data", "try-out"], {"train": 50, "val": 10, "test": 80}),
        (["trainer.max_steps=3"], ["embedded data", "stopped early"], {"train": 48, "val": 10, "test": 836}),
        (["trainer.max_steps=6"], ["embedded data", "stopped early"], {"train": 50, "val": 10, "test": 836}),
        ([], ["embedded data"], {"train": 50, "val": 10, "test": 836}),
    ],
)
def test_a_run_that_did_less_says_so(
    typed: list[str], labels: list[str], counts: dict[str, int], train: Callable[..., Path], tmp_path: Path
) -> None:
    train(*QUICK, "trainer.max_epochs=2", *typed)
    facts = read_facts(tmp_path / "run")
    assert (facts["labels"], facts["counts"]) == (labels, counts)
    predicted = pd.read_csv(tmp_path / "run" / "predictions.csv")
    assert len(predicted) == counts["test"]


def test_a_method_without_counts_keeps_the_labels_of_its_training(
    train: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(self: StyleTransfer, *_: Any) -> None:
        self.trainer.should_stop = True

    monkeypatch.setattr(StyleTransfer, "on_train_batch_end", stop)  # as a trainer.max_time that is over
    small = ("module.scales=[1.0]", "datamodule.style=[hubble]", "datamodule.image_size=32", "steps=4", "every=2")
    train("experiment=nst_tuned", "data=embedded", *small, *QUICK[1:], "trainer.max_time=00:01:00:00")
    facts = read_facts(tmp_path / "run")
    assert (facts["epochs"], facts["max_epochs"]) == (1, 2)
    assert facts["labels"] == ["embedded data", "features of squeezenet1_1", "stopped early", "ImageNet weights"]


def test_a_rule_of_the_recipe_may_end_it_earlier(train: Callable[..., Path], tmp_path: Path) -> None:
    rule = "{_target_: lightning.pytorch.callbacks.EarlyStopping, monitor: val/loss, patience: 1, min_delta: 9}"
    train(*QUICK, "trainer.max_epochs=5", f"+callbacks.stop={rule}")
    facts = read_facts(tmp_path / "run")
    assert facts["epochs"] < 5
    assert facts["labels"] == ["embedded data"]


def test_a_run_that_trains_nothing_is_refused(
    train: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        train(*QUICK, "trainer.max_time=00:00:00:00")
    assert "before the end of the first epoch" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_net_that_learns_nothing_says_so(train: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    train(*QUICK, "trainer.max_epochs=1", "optimizer.lr=0.5", "datamodule.batch_size=50")
    said = capsys.readouterr()
    assert "the most frequent class alone would give" in said.out
    assert "warning" not in said.err, "fifty images are too few to judge by"


def checkpoint(name: str, monitor: str | None = None) -> ModelCheckpoint:
    return ModelCheckpoint(filename=name, monitor=monitor, mode="max")


def of(*callbacks: Any) -> Any:
    limits = {f"limit_{split}_batches": 1.0 for split in ("train", "val", "test")}
    found = [callback for callback in callbacks if isinstance(callback, ModelCheckpoint)]
    return SimpleNamespace(callbacks=callbacks, checkpoint_callbacks=found, **limits)


SOURCE, ORACLE = checkpoint("by_source_acc", "val/source_acc"), checkpoint("by_oracle", "val/oracle_target_acc")


@pytest.mark.parametrize(
    ("callbacks", "name"),
    [
        ([SOURCE, ORACLE, checkpoint("last")], "last"),
        ([SOURCE, checkpoint("best", "val/acc"), checkpoint("last")], "best"),
        ([SOURCE, ORACLE], None),
        ([], None),
    ],
)
def test_only_best_or_last_is_tested(callbacks: list[ModelCheckpoint], name: str | None) -> None:
    """Not one that chose by target labels, because `callbacks.last=null` left nothing else."""
    chosen = record.tested(of(*callbacks))
    assert (chosen and chosen.filename) == name
    assert record.weights_tested(of(*callbacks)) is None, "nothing is saved yet"


STOP = "selected on target labels"


@pytest.mark.parametrize(
    ("callbacks", "labels"),
    [
        ([SOURCE, ORACLE, checkpoint("last")], []),
        ([checkpoint("best", "val/oracle_target_acc")], [STOP]),
        ([EarlyStopping("val/oracle_target_acc"), checkpoint("last")], [STOP]),
        ([EarlyStopping("val/source_acc"), checkpoint("last")], []),
    ],
)
def test_what_target_labels_chose_is_labelled(callbacks: list[Any], labels: list[str]) -> None:
    trainer = of(*callbacks)
    assert labels_of(trainer, record.tested(trainer)) == labels


def test_the_closing_table_shows_what_is_no_number(tmp_path: Path) -> None:
    facts = {"metrics": {"test/acc": 0.2, "test/loss": float("nan")}, "counts": {"test": 5}}
    assert sheet_of("cub").results(facts, tmp_path)[-1] == ["test", "5", "20.00 %", "nan"]


def test_pictures_carry_what_the_record_says(tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text(to_json({"labels": ["embedded data", "try-out"]}))
    trainer: Any = SimpleNamespace(default_root_dir=tmp_path)
    assert of_the_run(trainer, ["embedded data", "random weights"]) == ["embedded data", "random weights", "try-out"]

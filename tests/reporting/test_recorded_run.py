import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_runs import make_log, write_run

from labs import LabsError
from labs.reporting.evidence import is_accuracy
from labs.reporting.find import find_runs
from labs.reporting.recorded_run import read_run


def test_a_finished_run_is_read_whole(tmp_path: Path) -> None:
    correct = np.arange(300) % 2 == 0
    config = {"datamodule.batch_size": 32, "module.optimizer.lr": 0.05, "augment.crop_scale": 1}
    write_run(tmp_path / "run", seed=3, correct=correct, settings=config, picture=True)

    run = read_run(tmp_path / "run")

    assert (run.status, run.error, run.experiment, run.seed) == ("finished", "", "cub_layer1_frozen", 3)
    assert run.metrics["test/acc"] == 0.5
    assert run.settings == {"datamodule.batch_size": 32.0, "module.optimizer.lr": 0.05}
    assert run.log is not None
    assert run.log["epoch"].tolist() == [1, 2, 3, 4]
    assert run.predictions is not None
    assert len(run.predictions) == 300
    assert run.pictures(["result.png", "images/*.png"]) == [tmp_path / "run" / "result.png"]
    assert run.environment["torch"] == "2.9.0"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"metrics": {"test/acc": 1.2}}, r"test/acc should lie in \[0, 1\], it is 1.2"),
        ({"metrics": {"test/acc": math.nan}}, r"test/acc should lie in \[0, 1\], it is nan"),
        ({"metrics": {"test/acc": -0.01}}, r"test/acc should lie in \[0, 1\]"),
        ({"metrics": {"val/top5_acc": 91.0}}, r"val/top5_acc should lie in \[0, 1\]"),
        ({"metrics": {"test/loss": "2.0"}}, "test/loss should be a number"),
        ({"metrics": {"test/acc": True}}, "test/acc should be a number"),
        ({"metrics": None}, "lacks 'metrics'"),
        ({"metrics": [0.5]}, "metrics should be dict"),
        ({"format": 3}, "it has format 3, this report reads 1 and 2"),
        ({"format": 2}, "recipe.yaml cannot be read"),
        ({"status": "done"}, "status should be one of begun, running, finished, failed, interrupted, it is 'done'"),
        ({"data": "real"}, "data should be 'embedded' or 'online'"),
        ({"seed": "0"}, "seed should be int"),
        ({"seed": True}, "seed should be int"),
        ({"experiment": None}, "lacks 'experiment'"),
        ({"counts": {"test": -300}}, "counts of test"),
        ({"counts": {"test": 1.5}}, "counts of test"),
        ({"labels": "embedded data"}, "labels should be list"),
        ({"epochs": "15"}, "epochs should be int"),
    ],
)
def test_a_record_that_cannot_be_true_is_broken(tmp_path: Path, changes: dict[str, Any], reason: str) -> None:
    run = read_run(write_run(tmp_path / "run", **changes))

    assert run.status == "broken"
    assert not run.metrics
    with pytest.raises(AssertionError, match=reason):
        raise AssertionError(run.error)


@pytest.mark.parametrize("text", ["", "{", '{"format": 1, "status": "fini', "[1, 2]", "null", "\x00\xff"])
def test_a_file_that_is_no_record_is_broken(tmp_path: Path, text: str) -> None:
    (tmp_path / "metrics.json").write_text(text, encoding="latin-1")

    run = read_run(tmp_path)

    assert run.status == "broken"
    assert "metrics.json" in run.error


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (f'{{"format": 1, "seconds": 1{"0" * 400}}}', "a number with 401 digits"),
        ('{"a":' * 50_000, "nested too deeply"),
        (r'{"format": 1, "experiment": "\ud800"}', "surrogates not allowed"),
        ('{"format": ' + "[" * 300 + "]" * 300 + "}", r"it has format \[\[\["),
    ],
    ids=["huge", "deep", "no letter", "nested"],
)
def test_a_record_that_no_program_can_use_is_broken(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "metrics.json").write_text(text, encoding="utf-8")

    run = read_run(tmp_path)

    assert run.status == "broken"
    assert len(run.error) < 300
    with pytest.raises(AssertionError, match=f"metrics.json.*{reason}"):
        raise AssertionError(run.error)


@pytest.mark.parametrize("name", ["metrics.json", ".hydra/recipe.yaml"])
@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_no_file_is_not_opened(tmp_path: Path, name: str, make: Callable[[Path], None]) -> None:
    file = write_run(tmp_path / "run", recipe={"module.optimizer.lr": 0.1}) / name
    file.unlink()
    make(file)

    run = read_run(tmp_path / "run")

    assert (run.status, run.error) == ("broken", f"{file.name} cannot be read: it is not a file")


def test_pictures_that_are_no_files_are_left_out(tmp_path: Path) -> None:
    directory = write_run(tmp_path / "run")
    os.mkfifo(directory / "result.png")
    os.mkfifo(directory / "environment.pipe")

    assert read_run(directory).pictures(["result.png", "*.pipe"]) == []


def test_a_broken_number_keeps_the_identity_of_its_run(tmp_path: Path) -> None:
    run = read_run(write_run(tmp_path / "run", "cub_full", seed=7, metrics={"test/acc": 9}))

    assert (run.status, run.experiment, run.seed, run.data) == ("broken", "cub_full", 7, "embedded")


def test_a_loss_may_diverge(tmp_path: Path) -> None:
    run = read_run(write_run(tmp_path / "run", metrics={"test/acc": 0.1, "test/loss": math.nan}))

    assert run.finished
    assert math.isnan(run.metrics["test/loss"])


@pytest.mark.parametrize(
    ("log", "reason"),
    [
        ("epoch\ttrain/acc\n1\t0.5\n3\t0.6\n", "without a gap"),
        ("epoch\ttrain/acc\n1\t0.5\n1\t0.6\n", "without a gap"),
        ("epoch\ttrain/acc\n1\t50\n", r"train/acc should lie in \[0, 1\]"),
        ("epoch\ttrain/acc\n1\thalf\n", "not a number"),
        ("step\ttrain/acc\n1\t0.5\n", "no column 'epoch'"),
        ("", "cannot be read"),
        ("epoch\ttrain/acc\n1\t0.5\t3\t4\n1\n2\t3\t4\t5\t6\t7\n", "cannot be read"),
    ],
)
def test_a_log_that_cannot_be_true_breaks_the_run(tmp_path: Path, log: str, reason: str) -> None:
    directory = write_run(tmp_path / "run")
    (directory / "log.tsv").write_text(log)

    run = read_run(directory)

    assert run.status == "broken"
    with pytest.raises(AssertionError, match=f"log.tsv.*{reason}"):
        raise AssertionError(run.error)


def edit(directory: Path, **changes: Any) -> None:
    """Change entries of metrics.json by hand; `metrics` are changed one by one."""
    file = directory / "metrics.json"
    record = json.loads(file.read_text())
    record["metrics"] |= changes.pop("metrics", {})
    file.write_text(json.dumps(record | changes))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"metrics": {"test/acc": 0.41}}, "test/acc is 0.41 in metrics.json, test_log.tsv gives 0.4"),
        ({"metrics": {"test/loss": 0.1}}, "test/loss is 0.1 in metrics.json, test_log.tsv gives 1.6"),
        ({"metrics": {"train/acc": 0.9}}, "train/acc is 0.9 in metrics.json, log.tsv at epoch 3 gives 1"),
        ({"metrics": {"val/loss": 0.5}}, "val/loss is 0.5 in metrics.json, log.tsv at epoch 3 gives 1.66667"),
        ({"metrics": {"train/loss": 1.3335}}, "train/loss is 1.3335 in metrics.json, log.tsv at epoch 3 gives 1.33333"),
        ({"best_epoch": 4}, "train/loss is 1.33333 in metrics.json, log.tsv at epoch 4 gives 1"),
        ({"best_epoch": None}, "train/loss is 1.33333 in metrics.json, log.tsv at epoch 4 gives 1"),
        ({"best_epoch": 9}, "best_epoch is 9 in metrics.json, log.tsv has epochs 1 to 4"),
        ({"best_epoch": 0}, "best_epoch is 0 in metrics.json, log.tsv has epochs 1 to 4"),
        ({"epochs": 40}, "metrics.json says 40 epochs, log.tsv has 4"),
        ({"counts": {"test": 3000}}, "metrics.json counts 3000 test images, predictions.csv has 300"),
    ],
)
def test_a_hand_edited_number_is_broken(tmp_path: Path, changes: dict[str, Any], reason: str) -> None:
    directory = write_run(tmp_path / "run", correct=np.arange(300) < 120)
    assert read_run(directory).finished
    edit(directory, **changes)

    run = read_run(directory)

    assert (run.status, run.error, run.metrics) == ("broken", reason, {})


def test_an_accuracy_that_the_predictions_deny_is_broken(tmp_path: Path) -> None:
    directory = write_run(tmp_path / "run", correct=np.arange(300) < 120)
    edit(directory, metrics={"test/acc": 0.93})
    (directory / "test_log.tsv").write_text("test/acc\n0.93\n")

    assert read_run(directory).error == "test/acc is 0.93 in metrics.json, predictions.csv gives 0.4"


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", ""),
        ("\n\n", ""),
        ("test/acc\n", ""),
        ("test/acc\nhalf\n", "test_log.tsv: column test/acc holds something that is not a number"),
        ("test/acc\n40\n", "test_log.tsv: column test/acc should lie in [0, 1]"),
    ],
)
def test_a_damaged_test_log_is_no_exception(tmp_path: Path, text: str, error: str) -> None:
    directory = write_run(tmp_path / "run")
    (directory / "test_log.tsv").write_text(text)

    assert read_run(directory).error == error


def test_single_precision_and_printing_break_no_run(tmp_path: Path) -> None:
    directory = write_run(tmp_path / "run", correct=np.arange(300) < 49)
    edit(directory, metrics={"test/acc": float(np.float32(49 / 300)), "train/loss": 1.3333334})

    assert read_run(directory).finished


def test_a_run_without_practical_is_read(tmp_path: Path) -> None:
    assert read_run(write_run(tmp_path / "run", practical=None)).practical == "other"


@pytest.mark.parametrize("status", ["running", "failed", "interrupted"])
def test_numbers_of_an_unfinished_run_are_not_read(tmp_path: Path, status: str) -> None:
    run = read_run(write_run(tmp_path / "run", status=status, error="CUDA\nout of memory"))

    assert (run.status, run.metrics, run.log) == (status, {}, None)
    assert run.error == "CUDA out of memory"


def test_embedded_data_is_labelled_even_if_the_record_forgot(tmp_path: Path) -> None:
    run = read_run(write_run(tmp_path / "run", labels=["selected on test"]))

    assert run.labels == ("embedded data", "selected on test")


def test_overrides_beyond_the_choices_belong_to_the_recipe(tmp_path: Path) -> None:
    overrides = "optimizer.lr=0.01 precision=bf16 trainer.devices=1 trainer.max_epochs=3 +hydra/launcher=joblib"
    run = read_run(write_run(tmp_path / "run", overrides=overrides))

    assert run.overrides == {"optimizer.lr": "0.01", "trainer.max_epochs": "3"}


def test_where_a_run_logs_is_no_choice(tmp_path: Path) -> None:
    choices = {"logger": "tensorboard", "trainer": "ddp"}
    run = read_run(write_run(tmp_path / "run", choices=choices, overrides="trainer.devices=2"))

    assert "logger" not in run.choices
    assert run.choices["trainer"] == "ddp"
    assert run.overrides == {"trainer.devices": "2"}


def test_runs_are_found_once_in_order(tmp_path: Path) -> None:
    for name in ("grid/b", "grid/a", "single"):
        write_run(tmp_path / name, log=make_log())

    runs = find_runs([tmp_path, tmp_path / "grid", tmp_path / "single" / "metrics.json"])

    assert [run.place for run in runs] == [f"{tmp_path.name}/{name}" for name in ("grid/a", "grid/b", "single")]


def test_a_path_without_runs_says_what_a_run_is(tmp_path: Path) -> None:
    with pytest.raises(LabsError, match=r"no runs under .*; a run directory has a metrics.json; make one with"):
        find_runs([tmp_path])
    with pytest.raises(LabsError, match=r"no such directory: .*nowhere"):
        find_runs([tmp_path / "nowhere"])


def test_which_metrics_are_accuracies() -> None:
    assert all(map(is_accuracy, ["test/acc", "val/top5_acc", "accuracy", "test/target_acc"]))
    assert not any(map(is_accuracy, ["test/loss", "acc/loss", "train/lr"]))

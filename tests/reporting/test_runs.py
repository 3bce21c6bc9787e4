import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_runs import make_log, write_run

from labs.errors import LabsError
from labs.reporting.runs import find_runs, is_accuracy, read_run


def test_a_finished_run_is_read_whole(tmp_path: Path) -> None:
    correct = np.arange(300) % 2 == 0
    config = "datamodule: {batch_size: 32}\nmodule: {optimizer: {lr: 0.05}}\nother: ${nowhere:1}"
    write_run(tmp_path / "run", seed=3, correct=correct, settings=config, picture=True)

    run = read_run(tmp_path / "run")

    assert (run.status, run.error, run.experiment, run.seed) == ("finished", "", "cub_layer1_frozen", 3)
    assert run.metrics["test/acc"] == 0.5
    assert run.settings == {"batch_size": 32.0, "lr": 0.05}
    assert run.log is not None
    assert run.log["epoch"].tolist() == [1, 2, 3, 4]
    assert run.predictions is not None
    assert len(run.predictions) == 300
    assert run.picture == tmp_path / "run" / "result.png"
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
        ({"format": 2}, "format 2"),
        ({"status": "done"}, "status should be one of running, finished, failed, interrupted, it is 'done'"),
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


def test_an_accuracy_that_the_predictions_deny_is_broken(tmp_path: Path) -> None:
    directory = write_run(tmp_path / "run", correct=np.arange(300) < 120)
    record = json.loads((directory / "metrics.json").read_text())
    record["metrics"]["test/acc"] = 0.93
    (directory / "metrics.json").write_text(json.dumps(record))

    run = read_run(directory)

    assert (run.status, run.error) == (
        "broken",
        "test/acc is 0.9300 in metrics.json, predictions.csv gives 0.4000",
    )


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


def test_where_a_run_logs_is_no_choice_and_settings_may_stand_in_the_record(tmp_path: Path) -> None:
    choices = {"logger": "tensorboard", "trainer": "ddp"}
    run = read_run(write_run(tmp_path / "run", choices=choices, overrides="trainer.devices=2", batch_size=68))

    assert "logger" not in run.choices
    assert run.choices["trainer"] == "ddp"
    assert run.overrides == {"trainer.devices": "2"}
    assert run.settings == {"batch_size": 68.0}


def test_a_job_of_a_sweep_knows_its_own_overrides(tmp_path: Path) -> None:
    directory = write_run(tmp_path / "run", overrides="optimizer.lr=0.1,0.01", settings="module: {}")
    (directory / ".hydra" / "overrides.yaml").write_text("- optimizer.lr=0.01\n- seed=0\n")

    assert read_run(directory).overrides == {"optimizer.lr": "0.01"}


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

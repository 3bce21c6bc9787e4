"""Searches: trials that are cells, proposals that a stop does not change, the best on fresh seeds, tested once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from omegaconf import OmegaConf
from project import ROOT
from test_experiments import composed

from labs.cli.check import check_recipe
from labs.cli.overrides import expand
from labs.reporting.search import conclusions, read_search
from labs.trials.space import as_typed, read_space

pytestmark = pytest.mark.usefixtures("undrawn")
Train = Callable[..., Path]
QUICK = (
    "-m", "trainer=cpu", "trainer.max_epochs=2", "weights=random", "logger=none", "callbacks.pictures=null",
    "trainer.limit_train_batches=4", "experiment=digits_layer1_frozen",
)  # fmt: skip
SPACE = "search.space={optimizer.lr: log(1e-3, 1e-1), freeze: [none, backbone]}"
FOLDER = "search_digits_layer1_frozen"


@pytest.fixture(autouse=True)
def _ctrl_c() -> Iterator[None]:
    """Give Ctrl-C back its meaning: Lightning ignores it once it has seen one."""
    handler = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, handler)


def content(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "search.json").read_text()))


def tried(folder: Path) -> list[tuple[str, dict[str, str], Any]]:
    return [(trial["state"], trial["settings"], trial["value"]) for trial in content(folder)["trials"]]


def started(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(ROOT / "train.py"), *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command, cwd=folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


@pytest.fixture(scope="module")
def whole(made_once: Callable[[str, Callable[[Path], None]], Path]) -> Path:
    """A search that nothing stopped, in a process of its own."""

    def fill(folder: Path) -> None:
        process = started(folder, *QUICK, SPACE, "search.trials=4", "search.fresh_seeds=[100,101]")
        told = process.communicate()[0]
        assert process.returncode == 0, told
        (folder / "told.txt").write_text(told)

    return made_once("whole_search", fill)


def test_trials_are_not_tested_and_the_best_is_on_fresh_seeds(whole: Path) -> None:
    folder, told = whole / "outputs" / FOLDER, (whole / "told.txt").read_text()
    found = read_search(folder)
    assert [trial.state for trial in found.trials] == ["done"] * 4
    assert found.best is not None
    again = {name for kind in ("winner", "before") for name in content(folder)[kind]}
    trials = [file.parent for file in folder.glob("*/metrics.json") if file.parent.name not in again]
    assert len(trials) == 4
    for directory in trials:
        facts = json.loads((directory / "metrics.json").read_text())
        assert facts["status"] == "finished"
        assert not any(name.startswith("test/") for name in facts["metrics"])
        assert not (directory / "predictions.csv").exists()
    for runs in (found.winner, found.before):
        assert sorted(runs) == [100, 101]
        assert all("test/acc" in metrics for metrics in runs.values())
    assert found.best.value == max(trial.value or 0.0 for trial in found.trials)
    assert found.best.values == [found.best.value]
    assert all(line in told for line in conclusions(found))
    assert "winner's curse" in told
    page = (folder / "report" / "report.html").read_text()
    assert "Which settings matter" not in page, "four trials are too few"
    assert "Best so far" in page
    assert "validate_only" not in page.partition("<h2 id=")[2].partition("Commands")[0], "trials have their own table"


def test_typed_again_it_goes_on(whole: Path, tmp_path: Path) -> None:
    before = tried(whole / "outputs" / FOLDER)
    words = (*QUICK, SPACE, "search.fresh_seeds=[]", f"paths.outputs={tmp_path}")
    process = started(tmp_path, *words, "search.trials=4")
    cells = tmp_path / FOLDER
    while len(list(cells.glob("*/metrics.json"))) < 2 and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    with (cells / "journal.log").open("ab") as journal:
        journal.write(b'{"op_code":9,"wor')  # and a disk that was full
    process = started(tmp_path, *words, "search.trials=3")
    told = process.communicate()[0]
    assert process.returncode == 0, told
    assert tried(cells) == before[:3]
    assert "nobody knows how good they are" in told
    written = {path: path.stat().st_mtime_ns for path in cells.glob("*/checkpoints/last.ckpt")}
    process = started(tmp_path, *words, "search.trials=4", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
    told = process.communicate()[0]
    assert process.returncode == 0, told
    assert tried(cells)[:3] == before[:3]
    assert len(tried(cells)) == 4
    assert written.items() <= {path: path.stat().st_mtime_ns for path in cells.glob("*/checkpoints/last.ckpt")}.items()


def test_trials_run_side_by_side(tmp_path: Path) -> None:
    together = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
    process = started(tmp_path, *QUICK, SPACE, "search.trials=3", "search.fresh_seeds=[]", *together)
    told = process.communicate()[0]
    assert process.returncode == 0, told
    assert told.index("running  trial 1") < told.index("done  trial 0"), told
    assert [state for state, _, _ in tried(tmp_path / "outputs" / FOLDER)] == ["done"] * 3


def test_a_trial_that_diverges_is_a_failed_cell(train: Train, capsys: pytest.CaptureFixture[str]) -> None:
    outputs = train(
        *QUICK, "search.space={optimizer.lr: [1e38, 0.01]}", "search.trials=4", "search.metric=val/loss",
        "search.direction=minimize", "search.fresh_seeds=[7]", "search.seed=3",
    )  # fmt: skip
    trials = content(outputs / FOLDER)["trials"]
    ended = {trial["settings"]["optimizer.lr"]: (trial["state"], trial["error"]) for trial in trials}
    assert ended == {"1e+38": ("failed", "val/loss is no number: training diverged."), "0.01": ("done", "")}
    assert "val/loss is no number" in capsys.readouterr().out


def test_a_practical_with_a_closing_table_of_its_own_is_searched(
    train: Train, capsys: pytest.CaptureFixture[str]
) -> None:
    space = "search.space={optimizer.lr: log(1e-1, 1)}"
    words = ("experiment=neuron_not", space, "search.metric=val/loss", "search.direction=minimize")
    outputs = train("-m", "logger=none", *words, "search.trials=1", "search.fresh_seeds=[7]")
    assert [state for state, _, _ in tried(outputs / "search_neuron_not")] == ["done"]
    assert "these settings: val/loss" in capsys.readouterr().out


def test_a_metric_that_no_trial_has_ends_the_search(train: Train, capsys: pytest.CaptureFixture[str]) -> None:
    outputs = train(*QUICK, SPACE, "search.metric=val/f1", "search.trials=3")
    assert [state for state, _, _ in tried(outputs / FOLDER)] == ["failed"]
    assert "it has no metric val/f1 (it has: " in capsys.readouterr().out


def test_no_time_for_a_trial(train: Train, capsys: pytest.CaptureFixture[str]) -> None:
    train(*QUICK, SPACE, "search.minutes=1e-12")
    assert "No trial has a value" in capsys.readouterr().out


def test_a_stop_goes_on_later(train: Train, tmp_path: Path) -> None:
    process = started(tmp_path, *QUICK, SPACE, "search.trials=2", "search.fresh_seeds=[]")
    cells = tmp_path / "outputs" / FOLDER
    while not list(cells.glob("*/log.tsv")) and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    told = process.communicate()[0]
    assert process.returncode == 130, told
    assert "search.trials=2" in told, "what to type"
    assert "interrupted  trial 0" in told


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("search.trials=3",), "search.space={}: nothing to vary"),
        (("search.space={optimizer.lr: log(0, 1)}",), "both above 0"),
        (("search.space={optimizer.lr: often}",), "search.space.optimizer.lr=often: expected uniform(0, 0.5)"),
        ((SPACE, "search.metric=test/acc"), "a search must not see the test images"),
        ((SPACE, "freeze=none,layer1"), "'search.space={freeze: [none, layer1]}'"),
        ((SPACE, "search.trials=many"), "search.trials=many: expected a whole number from 1"),
        ((SPACE, "search.direction=up"), "search.direction=up: expected maximize or minimize"),
        (("search.space={optimizer.speed: log(1e-3, 1)}",), "optimizer.speed"),
    ],
)
def test_mistakes_are_one_line_and_write_nothing(
    words: tuple[str, ...], told: str, train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        train(*QUICK, *words)
    assert ended.value.code == 2
    lines = capsys.readouterr().err
    assert told in lines
    assert "Traceback" not in lines
    assert not list((tmp_path / "outputs").rglob("metrics.json"))


def test_another_search_and_another_process(whole: Path, train: Train, capsys: pytest.CaptureFixture[str]) -> None:
    folder = whole / "outputs" / FOLDER
    here = (*QUICK, f"hydra.sweep.dir='{folder}'")
    for words, told in (
        ((SPACE, "search.seed=1"), "holds another search: its seed is 0, not 1"),
        ((SPACE, "trainer.max_epochs=3"), "holds another search: its trials share other settings"),
        (("search.space={optimizer.lr: log(1e-3, 1)}",), "holds another search: its space is"),
    ):
        with pytest.raises(SystemExit):
            train(*here, *words)
        assert told in capsys.readouterr().err
    with FileLock(folder / ".search.lock"), pytest.raises(SystemExit):
        train(*here, SPACE)
    assert "another process runs the search" in capsys.readouterr().err


SEARCHES = sorted(path.stem for path in (ROOT / "conf" / "search").glob("*.yaml") if path.stem != "any")


@pytest.mark.parametrize("name", SEARCHES)
def test_every_search_has_a_header_and_a_space_that_its_experiment_takes(name: str) -> None:
    header = (ROOT / "conf" / "search" / f"{name}.yaml").read_text(encoding="utf-8")
    assert f"python train.py -m search={name} data=embedded" in header
    search = composed(f"search={name}").search
    space: Any = OmegaConf.to_container(search.space)
    for setting, values in read_space(space).items():
        choices = values.choices if hasattr(values, "choices") else (values.low, values.high)  # type: ignore[attr-defined]
        for value in choices:
            cfg = composed(
                f"experiment={search.experiment}", "data=embedded", *expand([f"{setting}={as_typed(value)}"])
            )
            check_recipe(cfg)

"""Grids that finish: cells are skipped, resumed or retried, and end with the numbers of a grid that nothing stopped."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from filelock import FileLock
from omegaconf import OmegaConf
from project import ROOT

from labs.cli.resolvers import cell_name
from labs.modules.classifier import Classifier

pytestmark = pytest.mark.usefixtures("undrawn")
Train = Callable[..., Path]
SWEEP = (
    "-m", "trainer=cpu", "trainer.max_epochs=3", "weights=random", "logger=none", "callbacks.pictures=null",
    "freeze=none,backbone", "hydra.sweep.dir=outputs/grid",
)  # fmt: skip
SEEDS = "seed=0,1"


@pytest.fixture(autouse=True)
def _ctrl_c() -> Iterator[None]:
    """Give Ctrl-C back its meaning: Lightning ignores it once it has seen one."""
    handler = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, handler)


def facts(grid: Path) -> dict[str, dict[str, Any]]:
    """Return every cell's metrics.json by the cell's short name, such as `none 1`."""
    found = {}
    for file in grid.glob("*/metrics.json"):
        record = json.loads(file.read_text())
        found[f"{record['choices']['freeze']} {record['seed']}"] = {**record, "folder": file.parent}
    return found


def numbers(grid: Path) -> dict[str, tuple[list[list[float]], dict[str, float], str]]:
    """Return what a cell computed: its log, its metrics, its predictions."""
    return {
        name: (
            pd.read_csv(record["folder"] / "log.tsv", sep="\t").drop(columns="seconds").to_numpy().tolist(),
            record["metrics"],
            (record["folder"] / "predictions.csv").read_text(),
        )
        for name, record in facts(grid).items()
    }


@pytest.fixture(scope="module")
def whole(made_once: Callable[[str, Callable[[Path], None]], Path]) -> Path:
    """A grid that nothing stopped, in a process of its own."""

    def fill(folder: Path) -> None:
        done = typed(folder, *SWEEP, SEEDS)
        assert done.returncode == 0, done.stderr
        (folder / "stdout.txt").write_text(done.stdout)

    return made_once("whole_grid", fill) / "outputs" / "grid"


def started(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(ROOT / "train.py"), *arguments]
    return subprocess.Popen(
        command, cwd=folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def typed(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    process = started(folder, *arguments)
    out, err = process.communicate(timeout=300)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def at_epoch(epoch: int, seed: int, what: Callable[[], Any]) -> Callable[..., Any]:
    """Return a `training_step` that does something else once the run of this seed is in this epoch (from 0)."""
    step = Classifier.training_step

    def training_step(self: Classifier, batch: Any, batch_idx: int) -> Any:
        if self.current_epoch == epoch and int(os.environ["PL_GLOBAL_SEED"]) == seed:
            what()
        return step(self, batch, batch_idx)

    return training_step


def interrupt() -> None:
    raise KeyboardInterrupt


@pytest.mark.slow
def test_a_grid_says_how_it_goes_and_ends_in_a_page(whole: Path) -> None:
    said = (whole.parents[1] / "stdout.txt").read_text()
    assert said.startswith("grid: 4 cells, 4 waiting\n[1/4]  running  freeze=none, seed=0")
    assert "[4/4]  done  freeze=backbone, seed=1  test/acc 0." in said
    assert "s left" in said
    assert "What trains" not in said, "what cells print is kept in their directories"
    assert "What trains" in next(whole.glob("*/output.txt")).read_text()
    assert "grid: 4 done\n" in said
    accuracies = [
        record["metrics"]["test/acc"] for record in facts(whole).values() if record["choices"]["freeze"] == "none"
    ]
    assert f"{100 * sum(accuracies) / 2:.2f} ± " in said.partition("grid: 4 done")[2]
    assert "report: outputs/grid/report/report.html" in said
    assert (whole / "report" / "report.html").is_file()
    plan = json.loads((whole / "cells.json").read_text())
    assert {cell["directory"] for cell in plan["cells"]} == {path.parent.name for path in whole.glob("*/metrics.json")}
    assert plan["command"].startswith("python train.py -m trainer=cpu")
    for cell in plan["cells"]:
        record = json.loads((whole / cell["directory"] / "metrics.json").read_text())
        assert cell.pop("recipe") == (whole / cell["directory"] / ".hydra" / "recipe.yaml").read_text()
        assert all(record[name] == value for name, value in cell.items() if name != "directory")


def test_a_second_call_trains_nothing(whole: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in whole.glob("*/*") if path.is_file()}
    start = time.monotonic()

    done = typed(whole.parents[1], *SWEEP, SEEDS)

    assert done.returncode == 0, done.stderr
    assert "grid: 4 skipped" in done.stdout
    assert before == {path: path.stat().st_mtime_ns for path in whole.glob("*/*") if path.is_file()} | {
        path: stamp for path, stamp in before.items() if path.parent.name == "report"
    }
    assert time.monotonic() - start < 30


@pytest.mark.slow
def test_a_cell_is_known_by_its_recipe_not_by_its_name(train: Train, capsys: pytest.CaptureFixture[str]) -> None:
    train(*SWEEP)  # seed 0 without saying so
    outputs = train(*SWEEP, SEEDS)
    assert "grid: 2 done, 2 skipped" in capsys.readouterr().out
    assert len(facts(outputs / "grid")) == 4
    train(*SWEEP, SEEDS, "rerun=true")
    assert "grid: 4 done" in capsys.readouterr().out
    assert len(facts(outputs / "grid")) == len(list((outputs / "grid").glob("*/metrics.json"))) == 4


@pytest.mark.slow
def test_an_interrupted_grid_goes_on(
    train: Train, whole: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(Classifier, "training_step", at_epoch(2, 1, interrupt))
        with pytest.raises(SystemExit) as exit_:
            train(*SWEEP, SEEDS)
    assert exit_.value.code == 130
    said = capsys.readouterr().out
    assert "grid: 2 not run, 1 done, 1 interrupted" in said
    assert re.search(r"go on      python train.py '?retry=outputs/grid/\S*freeze=none,logger=none,seed=1,", said)
    record = facts(tmp_path / "outputs" / "grid")["none 1"]
    assert (record["status"], record["epochs"]) == ("interrupted", 2)

    with monkeypatch.context() as patched:  # now no cell can begin: none loses what it has
        patched.setattr("labs.datamodules.digits.Digits.__init__", lambda *_, **__: 1 / 0)
        with pytest.raises(SystemExit):
            train(*SWEEP, SEEDS)
    assert "grid: 1 skipped, 3 failed" in capsys.readouterr().out
    assert facts(tmp_path / "outputs" / "grid")["none 1"]["status"] == "interrupted"

    outputs = train(*SWEEP, SEEDS)

    assert "grid: 3 done, 1 skipped" in capsys.readouterr().out
    resumed = facts(outputs / "grid")["none 1"]["folder"] / "output.txt"
    assert resumed.read_text().count("epoch 1/3") == 1, "its first epochs are not trained again"
    assert numbers(outputs / "grid") == numbers(whole)


@pytest.mark.slow
def test_a_failing_cell_stops_no_other_and_is_retried(
    train: Train, whole: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(Classifier, "training_step", at_epoch(1, 0, lambda: 1 / 0))
        with pytest.raises(SystemExit) as exit_:
            train(*SWEEP, SEEDS)
    assert exit_.value.code == 2
    said, error = capsys.readouterr()
    assert "grid: 2 done, 2 failed" in said
    assert "failed  freeze=none, seed=0: ZeroDivisionError: division by zero" in said
    assert "2 of 4 cells have no result" in error
    record = facts(tmp_path / "outputs" / "grid")["none 0"]
    assert (record["status"], record["error"]) == ("failed", "ZeroDivisionError: division by zero")
    trace = (record["folder"] / "traceback.txt").read_text()
    assert " trainer=cpu " in trace.splitlines()[0]
    assert trace.endswith("ZeroDivisionError: division by zero\n")
    assert "in training_step" in trace
    retry = next(shlex.split(line)[3:] for line in said.splitlines() if line.startswith("  retry"))

    train(*retry)  # the summary's own command, for one of the two
    assert "grid" in capsys.readouterr().out
    outputs = train(*SWEEP, SEEDS)

    assert "grid: 1 done, 3 skipped" in capsys.readouterr().out
    assert numbers(outputs / "grid") == numbers(whole)
    assert not list((outputs / "grid").glob("*/traceback.txt"))


def test_a_repetition_that_fails_leaves_the_finished_results(
    train: Train, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    grid = train(*SWEEP) / "grid"
    before = numbers(grid)
    monkeypatch.setattr(Classifier, "training_step", at_epoch(0, 0, lambda: 1 / 0))
    with pytest.raises(SystemExit):
        train(*SWEEP, "rerun=true")
    assert "grid: 2 failed" in capsys.readouterr().out
    assert numbers(grid) == before
    assert {record["status"] for record in facts(grid).values()} == {"finished"}


def test_the_same_cell_twice_is_one_and_a_blocked_directory_stops_no_other(
    train: Train, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    grid = train(*SWEEP, "seed=0,0") / "grid"
    assert "grid: 2 done" in capsys.readouterr().out
    folder = facts(grid)["none 0"]["folder"]
    words = OmegaConf.load(folder / ".hydra" / "overrides.yaml")
    blocked = folder.with_name(cell_name([str(word).replace("seed=0", "seed=1") for word in words]))
    blocked.write_text("a file where the cell's directory belongs")
    with pytest.raises(SystemExit) as exit_:
        train(*SWEEP, SEEDS)
    assert exit_.value.code == 2
    assert "grid: 1 done, 2 skipped, 1 failed" in capsys.readouterr().out


@pytest.mark.parametrize("what", ["file", "link"])
def test_a_cell_is_not_put_into_a_folder_of_the_users(
    what: str, train: Train, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """A cell that could not run left a record in place of the user's, and called the folder a run's from then on."""
    folder = tmp_path / "outputs" / "grid" / "mine"
    folder.mkdir(parents=True)
    if what == "file":
        (folder / "metrics.json").write_text("mine")
        (folder / "traceback.txt").write_text("mine")
    else:
        (tmp_path / "profile").write_text("mine")
        (folder / "output.txt").symlink_to(tmp_path / "profile")
    with pytest.raises(SystemExit) as exit_:
        train(*SWEEP, "freeze=none", "hydra.sweep.subdir=mine")
    assert exit_.value.code == 2
    said = capsys.readouterr().err
    assert ("holds files that no run of labs wrote" if what == "file" else "output.txt is a link") in said
    assert {path.read_text() for path in folder.iterdir()} == {"mine"}


def test_a_grid_can_stop_at_the_first_failure(
    train: Train, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Classifier, "training_step", at_epoch(0, 0, lambda: 1 / 0))
    with pytest.raises(SystemExit):
        train(*SWEEP, SEEDS, "sweep.on_error=stop")
    assert "grid: 3 not run, 1 failed" in capsys.readouterr().out


def test_a_cell_stopped_before_it_began_can_be_gone_on_with(
    train: Train, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was said to type retry=<its folder>, in which nothing said what to repeat."""
    with monkeypatch.context() as patched:
        patched.setattr("labs.cli.describe.run_of", lambda *_: interrupt())
        with pytest.raises(SystemExit):
            train(*SWEEP, "freeze=none", "trainer.max_epochs=1")
    command = re.search(r"go on      python train.py '?(retry=[^\s']*)", capsys.readouterr().out)
    assert command is not None
    train(command[1])
    assert "run directory  outputs/grid/" in capsys.readouterr().out


def test_a_cell_that_could_not_start_is_kept_and_can_be_retried(
    train: Train, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with pytest.raises(SystemExit):
        train(*SWEEP, "datamodule.source.train_per_class=12,1000")
    said = capsys.readouterr().out
    assert "grid: 2 done, 2 failed" in said
    assert "expected 2 to 150" in said
    folder = next((tmp_path / "outputs" / "grid").glob("*1000*"))
    assert "LabsError: " in (folder / "traceback.txt").read_text()
    assert json.loads((folder / "metrics.json").read_text())["status"] == "failed"
    reported = (tmp_path / "outputs" / "grid" / "report" / "table.md").read_text()
    assert "seed 0 failed: " in reported
    assert "broken" not in reported
    with pytest.raises(SystemExit):
        train(f"resume={folder}")
    assert "expected 2 to 150" in capsys.readouterr().err


def test_a_cell_that_another_process_trains_is_left_to_it(
    train: Train, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    outputs = train(*SWEEP)
    folder = facts(outputs / "grid")["none 0"]["folder"]
    with FileLock(folder / ".hydra" / "run.lock"):
        train(*SWEEP, "rerun=true")
        assert "grid: 1 done, 1 running in another process" in capsys.readouterr().out
        with pytest.raises(SystemExit):
            train("weights=random", f"hydra.run.dir='{folder}'")
        assert "another process is training in" in capsys.readouterr().err


def test_two_processes_share_a_grid(
    train: Train, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """While the first cell runs, another process takes the third: it is left alone, and nothing is written there."""
    held: list[FileLock] = []

    def take() -> None:
        if not held:
            plan = json.loads((tmp_path / "outputs" / "grid" / "cells.json").read_text())
            folder = tmp_path / "outputs" / "grid" / plan["cells"][2]["directory"]
            (folder / ".hydra").mkdir(parents=True)
            held.append(FileLock(folder / ".hydra" / "run.lock"))
            held[0].acquire()

    monkeypatch.setattr(Classifier, "training_step", at_epoch(0, 0, take))
    outputs = train(*SWEEP, SEEDS)
    assert "grid: 3 done, 1 running in another process" in capsys.readouterr().out
    assert sorted(facts(outputs / "grid")) == ["backbone 1", "none 0", "none 1"]
    held[0].release()
    train(*SWEEP, SEEDS)
    assert "grid: 1 done, 3 skipped" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("sweep.on_error=ignore",), "sweep.on_error=ignore: expected continue or stop"),
        (("rerun=maybe",), "rerun=maybe: expected true or false"),
        (("trainer.devices=2",), "hydra/launcher=joblib"),
        (("module.optimizer.lr=0.1,fast",), "module.optimizer.lr=fast: expected a number"),
        (("hydra/launcher=joblib", "hydra.launcher.n_jobs=0"), "hydra.launcher.n_jobs=0: expected a whole number"),
        (("hydra/launcher=parallel",), "hydra/launcher"),
        (("retry=outputs/grid",), "a run is repeated by itself, without -m"),
        (("hydra.sweep.subdir=same",), "would share the directory"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_a_mistake_starts_no_cell(
    train: Train, arguments: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with pytest.raises(SystemExit) as exit_:
        train(*SWEEP, *arguments)
    assert exit_.value.code == 2
    assert said in capsys.readouterr().err
    assert not list(tmp_path.rglob("metrics.json"))
    assert not list(tmp_path.rglob("traceback.txt"))


def test_a_run_in_the_directory_of_a_finished_one_does_nothing(
    train: Train, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    arguments = [a for a in SWEEP if a not in ("-m", "freeze=none,backbone", "hydra.sweep.dir=outputs/grid")]
    train(*arguments, "hydra.run.dir=mine")
    before = (tmp_path / "mine" / "log.tsv").stat().st_mtime_ns
    capsys.readouterr()
    train(*arguments, "hydra.run.dir=mine")
    assert "nothing was trained; rerun=true starts it again" in capsys.readouterr().out
    assert (tmp_path / "mine" / "log.tsv").stat().st_mtime_ns == before
    train(*arguments, "hydra.run.dir=mine", "rerun=true")
    assert (tmp_path / "mine" / "log.tsv").stat().st_mtime_ns > before
    with pytest.raises(SystemExit):
        train("resume=mine", "rerun=true")
    assert "type one of them" in capsys.readouterr().err


@pytest.mark.slow
def test_side_by_side_with_one_killed_and_then_interrupted(whole: Path, tmp_path: Path) -> None:
    grid, arguments = tmp_path / "outputs" / "grid", (*SWEEP, SEEDS, "hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
    first = started(tmp_path, *arguments)
    victim = _wait_for(grid, lambda: _cell_processes(first.pid))
    assert len(_wait_for(grid, lambda: len(_cell_processes(first.pid)) == 2 and _cell_processes(first.pid))) == 2
    os.kill(victim[0], signal.SIGKILL)
    _wait_for(grid, lambda: any(r["status"] == "finished" for r in facts(grid).values()))
    first.send_signal(signal.SIGINT)
    out, _ = first.communicate(timeout=120)
    assert first.returncode == 130
    assert "killed by SIGKILL" in out
    assert sorted(record["status"] for record in facts(grid).values())[0] == "finished"
    assert "failed  " not in out

    second = typed(tmp_path, *arguments)

    assert second.returncode == 0, second.stderr
    assert numbers(grid) == numbers(whole)
    threads = {json.loads(path.read_text())["threads"] for path in grid.glob("*/environment.json")}
    assert threads == {1}


def _cell_processes(pid: int) -> list[int]:
    found = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False).stdout
    return [int(word) for word in found.split()]


def _wait_for(grid: Path, condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + 120
    while not (value := condition()):
        assert time.monotonic() < deadline, [path.read_text() for path in grid.glob("*/output.txt")]
        time.sleep(0.05)
    return value


def test_its_log_says_what_the_feature_cache_saved(whole: Path) -> None:
    told = re.search(
        r"feature cache: (\d) cells reused ([\d,]+) passes", (whole.parent.parent / "stdout.txt").read_text()
    )
    assert told
    frozen = [record["feature_cache"] for record in facts(whole).values() if "feature_cache" in record]
    assert int(told[1]) == len(frozen) == 2, "the cells of freeze=backbone"
    assert int(told[2].replace(",", "")) == sum(cell["passes"] for cell in frozen) > 0
    assert all(cell["computed_seconds"] > 0 for cell in frozen), "each seed has random weights of its own"

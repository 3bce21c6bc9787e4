"""A new practical edits nothing that exists: two are added to a copy of the project, run, killed, resumed and reported.

`new_practical/` holds their files as they would be written: `brier` trains over epochs, `majority` trains nothing.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image
from project import ROOT

NEW = ROOT / "tests" / "new_practical"
COPIED = (
    "src",
    "conf",
    "docs",
    "tests",
    "benchmarks",
    "README.md",
    "pyproject.toml",
    "train.py",
    "report.py",
    "predict.py",
)

pytestmark = pytest.mark.xdist_group("new_practical")


def digests(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project with both practicals, in which no file that existed is another."""
    folder = tmp_path_factory.mktemp("project")
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info", "recorded", "new_practical")
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=ignored)
        else:
            shutil.copy(ROOT / name, folder / name)
    before = digests(folder)
    shutil.copytree(NEW, folder, dirs_exist_ok=True)
    after = digests(folder)
    assert {name: after[name] for name in before} == before
    assert len(after) > len(before)
    return folder


def started(project: Path, program: str, *arguments: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(project / "src"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, *program.split(), *arguments]
    return subprocess.Popen(
        command, cwd=project, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def typed_in_turn(project: Path, *commands: tuple[str, ...]) -> str:
    """Type several commands, in one process that pays for the imports once."""
    program = (
        "import json, runpy, sys\n"
        "for sys.argv in json.loads(sys.argv[1]):\n"
        "    try:\n        runpy.run_path(sys.argv[0], run_name='__main__')\n"
        "    except SystemExit as stop:\n        assert not stop.code, sys.argv\n"
    )
    return typed(project, "-c", program, json.dumps(commands))


def typed(project: Path, program: str, *arguments: str) -> str:
    process = started(project, program, *arguments)
    said, complaint = process.communicate(timeout=600)
    assert process.returncode == 0, complaint + said
    return said


def facts(run_dir: Path) -> dict:
    found: dict = json.loads((run_dir / "metrics.json").read_text())
    return found


def test_help_lists_them_with_their_pages(project: Path) -> None:
    said = typed(project, "train.py", "--help")
    for word in ("brier_digits", "docs/brier.md", "majority_digits", "docs/majority.md"):
        assert word in said


@pytest.mark.slow
def test_the_tests_find_them_by_themselves(project: Path) -> None:
    files = ("tests/test_practicals.py", "tests/test_experiments.py", "tests/test_readme.py")
    said = typed(project, "-m pytest", "-q", "-n", "0", "-p", "no:cacheprovider", *files, "-k", "brier or majority")
    assert " passed" in said


@pytest.mark.slow
def test_a_run_is_killed_resumed_reported_and_answers(project: Path, tmp_path: Path) -> None:
    recipe = ("experiment=brier_digits", "trainer=cpu", "logger=none", "callbacks.pictures=null")
    stopped = project / "outputs" / "brier_digits" / "stopped"
    process = started(project, "train.py", *recipe, "seed=0", "hydra.run.dir=outputs/brier_digits/stopped")
    deadline = time.monotonic() + 120
    while not (stopped / "checkpoints" / "last.ckpt").is_file() and time.monotonic() < deadline:
        assert process.poll() is None, "the run ended before it could be killed"
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert facts(stopped)["status"] == "running"

    Image.new("L", (40, 30), 128).save(tmp_path / "grey.png")
    said = typed_in_turn(
        project,
        ("train.py", *recipe, "hydra.run.dir=outputs/brier_digits/stopped"),
        ("train.py", *recipe, "hydra.run.dir=outputs/brier_digits/whole"),
        ("report.py", "outputs/brier_digits"),
        ("predict.py", f"run={stopped}", f"image={tmp_path / 'grey.png'}", "top=2"),
    )
    assert "accuracy" in said
    assert said.partition("confidence")[2].count("%") == 2
    whole = stopped.parent / "whole"
    assert facts(stopped)["status"] == "finished"
    assert facts(stopped)["key"] == facts(whole)["key"]
    assert facts(stopped)["metrics"] == facts(whole)["metrics"]
    logs = [pd.read_csv(run / "log.tsv", sep="\t").drop(columns="seconds") for run in (stopped, whole)]
    pd.testing.assert_frame_equal(*logs, check_exact=True)

    report = stopped.parent / "report"
    (row,) = csv.DictReader((report / "table.csv").read_text(encoding="utf-8").splitlines())
    assert float(row["test/brier"]) == pytest.approx(facts(whole)["metrics"]["test/brier"])
    assert float(row["test/acc"]) == pytest.approx(facts(whole)["metrics"]["test/acc"])
    text = (report / "table.md").read_text()
    assert "Brier scores of digits" in text
    assert "Brier score is 0 for certain and right predictions" in text


@pytest.mark.slow
def test_a_method_that_trains_nothing_lives_the_same_life(project: Path) -> None:
    """No epoch, no log and no checkpoint: it is tested, recorded, not repeated, and reported."""
    recipe = ("experiment=majority_digits", "hydra.run.dir=outputs/majority_digits/one")
    said = typed_in_turn(
        project, ("train.py", *recipe), ("train.py", *recipe), ("report.py", "outputs/majority_digits")
    )
    assert "finished before" in said
    assert "The most frequent class" in said
    run_dir = project / "outputs" / "majority_digits" / "one"
    record = facts(run_dir)
    assert record["status"] == "finished"
    assert 0.1 < record["metrics"]["test/acc"] < 0.3
    assert record["counts"]["test"] == 836
    assert record["labels"] == ["embedded data"]
    for name in ("test_log.tsv", "predictions.csv", "environment.json", ".hydra/recipe.yaml", "images/predictions.png"):
        assert (run_dir / name).is_file(), name
    assert not (run_dir / "log.tsv").exists()

    (run_dir / "metrics.json").write_text(json.dumps({**record, "status": "running", "metrics": {}}))  # killed
    typed(project, "train.py", *recipe)
    assert facts(run_dir)["metrics"] == record["metrics"]

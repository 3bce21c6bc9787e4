"""The same command gives the same numbers, also after a kill: every method, small, on the CPU, bit for bit.

`benchmarks/survival.py` does the same with twenty kills of each method.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import survival
from project import ROOT

METHODS = sorted(path.stem for path in (ROOT / "conf" / "module").glob("*.yaml"))
# The others are killed in tests of their own (tests/test_resume.py, tests/modules, tests/callbacks).
KILLED_HERE = ("attribution", "cdan", "feature_svm", "fooling", "layer_activations", "pseudo_label")


@cache
def words(method: str) -> list[str]:
    return survival.small_commands([method])[method][1]


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("method", METHODS)
def test_the_same_command_gives_the_same_numbers(method: str, train: Callable[..., Path], tmp_path: Path) -> None:
    for name in ("one", "other"):
        train(*words(method), f"hydra.run.dir={name}")
    assert survival.difference(tmp_path / "one", tmp_path / "other") == ""


@pytest.mark.slow
def test_killed_runs_end_like_those_that_were_not(tmp_path: Path) -> None:
    """In a process of its own: once gradients were computed, a forked process could compute none."""
    script = str(ROOT / "benchmarks" / "survival.py")
    counts = ("--kills", "2", "--others", "1", "--seed", "1", "--folder", str(tmp_path))
    done = subprocess.run(
        [sys.executable, script, "--methods", *KILLED_HERE, *counts],
        capture_output=True, encoding="utf-8", check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    rows = json.loads((tmp_path / "survival.json").read_text(encoding="utf-8"))["rows"]
    assert {(row["method"], row["survived"]) for row in rows if row["fault"] == "SIGKILL"} == {
        (method, 2) for method in KILLED_HERE
    }


def test_a_difference_is_seen(tmp_path: Path, train: Callable[..., Path]) -> None:
    for seed in (0, 1):
        train("debug=batches", "weights=random", "logger=none", f"hydra.run.dir={seed}", f"seed={seed}")
    found = survival.difference(tmp_path / "0", tmp_path / "1").split(", ")
    assert {"metrics", "log.tsv", "predictions.csv", "best.ckpt state_dict", "last.ckpt optimizer_states"} <= set(found)

"""Tab completion: what a word may become, and the function that bash calls for it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from project import ROOT

from labs.cli.completion import candidates


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("experiment=nst_tu", ["experiment=nst_tuned", "experiment=nst_tutorial"]),
        ("-m experiment=cub_full,cub_sc", ["experiment=cub_full,cub_scratch"]),
        ("freeze=gra", ["freeze=gradual"]),
        ("fre", ["freeze="]),
        ("epo", ["epochs="]),
        ("optimizer.mom", ["optimizer.momentum="]),
        ("cub_fu", ["cub_full"]),
        ("--li", ["--list"]),
        ("--help cub_t", ["cub_table4", "cub_tuned"]),
        ("experiment=nothing", []),
    ],
)
def test_candidates(words: str, found: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", [str(ROOT / "train.py")])
    assert candidates(words.split()) == found


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_bash_calls_it(tmp_path: Path) -> None:
    """One command installs it; `python train.py experiment=...` is completed, and other words are files as before."""
    (tmp_path / "photo.png").touch()
    script = f"""
        python() {{ {sys.executable} "$@"; }}
        eval "$(python {ROOT}/train.py --shell-completion install=bash)"
        cd {tmp_path}
        complete() {{ COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _labs_complete; echo "${{COMPREPLY[@]}}"; }}
        complete python {ROOT}/train.py experiment=nst_tu
        complete python {ROOT}/train.py datamodule.images=pho
        complete python pho
    """
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(["bash", "-c", script], env=environment, capture_output=True, text=True, check=True)
    lines = ["experiment=nst_tuned experiment=nst_tutorial", "datamodule.images=photo.png", "photo.png"]
    assert done.stdout.splitlines() == lines, done.stderr

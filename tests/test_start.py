"""Answers that need no computing come at once: nothing heavy is imported for them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from project import ROOT

HEAVY = ("torch", "lightning", "torchvision", "pandas", "matplotlib", "sklearn")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["experiment=cub_layer1_frozen", "--help"],
        ["experiment=cub_layer1_frozen", "--cfg", "job"],
        ["--info", "defaults"],
        ["experiment=cub_layer9"],
        ["trainer.device=1"],
        ["resume=nowhere"],
        ["quick"],
    ],
    ids=" ".join,
)
def test_light_answers(arguments: list[str], tmp_path: Path) -> None:
    program = (
        "import runpy, sys, atexit\n"
        f"atexit.register(lambda: print('loaded', *[name for name in {HEAVY} if name in sys.modules]))\n"
        f"sys.argv = [{str(ROOT / 'train.py')!r}, *{arguments!r}]\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    assert done.stdout.splitlines()[-1].split() == ["loaded"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("program", ["predict.py", "report.py"])
def test_other_doors(program: str) -> None:
    done = subprocess.run([sys.executable, str(ROOT / program), "--help"], capture_output=True, text=True, check=True)
    assert program in done.stdout
    done = subprocess.run(
        [sys.executable, str(ROOT / program), "nonsense"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr

"""Answers that need no computing come at once: nothing heavy is imported for them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from project import ROOT
from recipes import described

HEAVY = ("torch", "lightning", "torchvision", "pandas", "matplotlib", "sklearn")


def typed(arguments: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Type `python train.py ...` in a folder; the last line of the output is `loaded` and what is heavy of it."""
    program = (
        "import runpy, sys, atexit\n"
        f"atexit.register(lambda: print('loaded', *[name for name in {HEAVY} if name in sys.modules]))\n"
        f"sys.argv = [{str(ROOT / 'train.py')!r}, *{arguments!r}]\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    assert done.stdout.splitlines()[-1].split() == ["loaded"]
    return done


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
    typed(arguments, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["optimzer.lr=0.1"], "there is no setting 'optimzer.lr'. Did you mean module.optimizer.lr?"),
        (["seed=one"], "seed=one: expected a whole number from 0 to 4294967295, such as seed=1."),
        (["compile=maybe"], "compile=maybe: expected true or false."),
        (["experiment=nst_a", "compile=true"], "compile=true: nothing is compiled in this practical; leave it out."),
        (["trainer.max_epochs=0"], "trainer.max_epochs=0: nothing would be trained; type 1 or more."),
        (["-m", "seed=0,1", "trainer.max_epochs=0"], "trainer.max_epochs=0: nothing would be trained; type 1 or more."),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_mistakes_are_found_before_anything_heavy_is_imported(arguments: list[str], said: str, tmp_path: Path) -> None:
    done = typed([*arguments, "weights=random"], tmp_path)
    assert done.returncode == 2
    assert f"error: {said}" in done.stderr
    assert not [path for path in tmp_path.rglob("*") if path.is_file()], "nothing is left behind"


@pytest.mark.parametrize(
    ("variable", "devices", "speaks"), [("", 1, True), ("LOCAL_RANK", 1, True), ("LOCAL_RANK", 2, False)]
)
def test_a_finished_run_imports_nothing_heavy(
    variable: str, devices: int, speaks: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of several processes the first one says how it ended; a rank of another job means nothing to a single one."""
    if variable:
        monkeypatch.setenv(variable, "1")
    recipe = described("weights=random", f"trainer.devices={devices}")
    results = {"status": "finished", "labels": [], "metrics": {"test/acc": 0.5}, "counts": {"test": 100}}
    (tmp_path / "run").mkdir()
    facts = {"format": 2, **recipe.facts, "key": recipe.key, **results}
    (tmp_path / "run" / "metrics.json").write_text(json.dumps(facts))
    done = typed(["weights=random", f"trainer.devices={devices}", "hydra.run.dir=run"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert ("finished before" in done.stdout) is speaks


@pytest.mark.parametrize("program", ["predict.py", "report.py"])
def test_other_doors(program: str) -> None:
    done = subprocess.run([sys.executable, str(ROOT / program), "--help"], capture_output=True, text=True, check=True)
    assert program in done.stdout
    done = subprocess.run(
        [sys.executable, str(ROOT / program), "nonsense"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr

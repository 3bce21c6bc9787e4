"""A hostile run directory gets one clear line at every door: no code runs, nothing leads outside, nothing hangs."""

from __future__ import annotations

import json
import runpy
import shutil
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from any_words import answer_to
from directories import HOSTILE
from project import ROOT
from trained_run import CLASSES, write_trained_run

from labs import LabsError, load_run, runs_table
from labs.nets.torchvision_nets import build_net
from labs.runs.checkpoints import WholeCheckpoints
from labs.runs.trained_net import trained_net

SECONDS = 60
DOORS = ("predict", "report", "resume", "retry", "weights", "load_run", "runs_table")


class NetworkError(BaseException):
    """Nobody may catch it: the network was asked."""


@pytest.fixture(scope="module")
def whole(made_once: Callable[[str, Callable[[Path], None]], Path]) -> Path:
    """A run that nobody has touched."""

    def fill(folder: Path) -> None:
        run = write_trained_run(folder / "run", "data=embedded")
        words = ["experiment=digits_layer1_frozen", "weights=random", "data=embedded"]
        (run / ".hydra" / "overrides.yaml").write_text(yaml.safe_dump(words))
        (run / ".hydra" / "recipe.yaml").write_text("seed: 0\n---\nexperiment: digits_layer1_frozen\n")
        names = [(place, CLASSES[place % 5]) for place in range(10)]
        lines = [f"{place}.png,{label},{label if place else '6'},0.5" for place, label in names]
        (run / "predictions.csv").write_text("\n".join(["name,label,prediction,confidence", *lines]) + "\n")
        (run / "log.tsv").write_text("epoch\ttrain/loss\tval/acc\n1\t0.5\t0.5\n")
        (run / "environment.json").write_text('{"python": "3.12"}')
        facts = json.loads((run / "metrics.json").read_text())
        facts |= {
            "experiment": "digits_layer1_frozen", "data": "embedded", "seed": 0, "choices": {"net": "resnet_small"},
            "metrics": {"test/acc": 0.9}, "counts": {"test": 10}, "epochs": 1, "command": "python train.py",
        }  # fmt: skip
        (run / "metrics.json").write_text(json.dumps(facts))

    return made_once("a run to spoil", fill) / "run"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty working directory, no network, and an end to what would never end."""

    def asked(name: str) -> Callable[..., None]:
        def ask(*_: Any, **__: Any) -> None:
            sys.audit(f"socket.{name}")  # as the real one does: labs may refuse it
            raise NetworkError

        return ask

    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, asked(name.removesuffix("_ex")))
    for name in ("getaddrinfo", "gethostbyname"):
        monkeypatch.setattr(socket, name, asked(name))

    def late(*_: Any) -> None:
        raise NetworkError(f"no answer after {SECONDS} seconds")

    (tmp_path / "here").mkdir()
    (tmp_path / "outside").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("LABS_WEIGHTS", str(tmp_path / "here"))
    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(SECONDS)
    yield tmp_path / "here"
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def program(name: str, *words: str) -> int:
    """Run a program in this process; return its exit code."""
    before, sys.argv = sys.argv, [f"{name}.py", *words]
    try:
        runpy.run_path(str(ROOT / f"{name}.py"), run_name="__main__")
    except SystemExit as end:
        return int(end.code or 0)
    finally:
        sys.argv = before
    return 0


def through(door: str, capsys: pytest.CaptureFixture[str]) -> str:
    """Open the run directory `theirs` by a door; return the one line that refuses it, or nothing."""
    try:
        if door in ("predict", "report"):
            words = ["image=coffee", "picture=false"] if door == "predict" else []
            code = program(door, "theirs", *words)
            error = capsys.readouterr().err
            assert "Traceback" not in error
            assert code in (0, 2)
            return error[max(error.find("error: "), 0) :].strip() if code else ""
        if door in ("resume", "retry"):
            answer = answer_to([f"{door}=theirs"], Path.cwd() / "run") or ""
            if not answer and door == "resume":
                WholeCheckpoints().load_checkpoint("theirs/checkpoints/last.ckpt")
            return answer
        if door == "weights":
            trained_net(weights="theirs")
            build_net(name="resnet_small", weights="theirs", num_classes=5, image_size=16)
        elif door == "load_run":
            load_run("theirs")
        else:
            (status,) = runs_table("theirs")["status"]
            return str(status)
    except LabsError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_directory_is_harmless_at_every_door(
    name: str, whole: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outside = here.parent / "outside"
    (outside / "mine.txt").write_text("mine")
    shutil.copytree(whole, "theirs")
    HOSTILE[name].make(Path("theirs"), outside)
    before = sorted(outside.rglob("*"))
    for door in DOORS:
        answer = through(door, capsys)
        expected = HOSTILE[name].answers.get(door)
        assert expected is None or expected in answer, f"{door}: {answer}"
        assert len(answer.splitlines()) <= 1, f"{door}: {answer}"
        assert len(answer) < 2000
        assert sorted(outside.rglob("*")) == before, door
        assert not Path("made").exists(), door
    assert (outside / "mine.txt").read_text() == "mine"


def test_a_directory_that_nobody_has_touched_is_opened_by_every_door(
    whole: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Otherwise nothing above shows anything."""
    shutil.copytree(whole, "theirs")
    Path("theirs/checkpoints/last.ckpt").unlink()  # of a Lightning run, which this is not
    answers = {door: through(door, capsys) for door in DOORS if door != "resume"}
    assert answers == {**dict.fromkeys(answers, ""), "runs_table": "finished"}

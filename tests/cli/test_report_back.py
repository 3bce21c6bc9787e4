"""What a run says when it ends can be typed."""

from __future__ import annotations

import shlex
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from labs.cli.report_back import say_results
from labs.runs.life import Run
from labs.runs.recipe import Recipe, normal_form
from labs.storage.files import to_json


def said(directory: Path, outputs: str, capsys: pytest.CaptureFixture[str]) -> str:
    facts = {"format": 2, "status": "finished", "experiment": "mine", "practical": "other", "seed": 0, "epochs": 1}
    (directory / "metrics.json").write_text(to_json({**facts, "labels": [], "metrics": {}, "counts": {}}), "utf-8")
    run: Any = SimpleNamespace(
        is_first=True, is_needed=True, recorded_before=False, directory=directory, facts={"practical": "other"}
    )
    say_results(run, outputs)
    return capsys.readouterr().out


@pytest.mark.parametrize(
    ("place", "outputs", "logdir"),
    [
        ("outputs/mine/today", "outputs", "outputs"),
        ("my outputs/mine/today", "my outputs", "my outputs"),
        ("elsewhere", "outputs", "elsewhere"),
        ("my run", "outputs", "my run"),
    ],
)
def test_tensorboard_is_started_where_the_run_lies(
    place: str,
    outputs: str,
    logdir: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / place / "tensorboard").mkdir(parents=True)
    line = said(Path(place), outputs, capsys).splitlines()[-1]
    assert shlex.split(line.removeprefix("look at it")) == ["tensorboard", "--logdir", logdir]


def test_without_its_logger_there_is_nothing_to_start(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "tensorboard" not in said(tmp_path, str(tmp_path), capsys)


def test_brackets_are_letters(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder of a cell, freeze.patterns=[layer1,layer2], lost its end, and [/a] was a traceback after the work."""
    monkeypatch.chdir(tmp_path)
    words = {"experiment": "[/a]", "practical": "digits", "data": "online", "seed": 0, "choices": {}, "command": ""}
    folder = Path("freeze.patterns=[layer1,layer2]")
    (folder / "tensorboard").mkdir(parents=True)
    with Run(folder, Recipe(normal_form({}, 0), {**words, "settings": {}}), {}) as run:
        run.running()
        run.facts |= {"labels": ["[/b]"], "warnings": ["[red]"], "metrics": {"test/acc": 0.5}, "counts": {"test": 8}}
    say_results(run, outputs="[outputs]")
    said = capsys.readouterr().out
    assert "[/a], seed 0  ([/b])" in said
    assert "warning [red]" in said
    assert f"run directory  {folder}\n" in said
    assert f"--logdir '{folder}'" in said

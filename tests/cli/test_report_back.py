"""What a run says when it ends can be typed."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from labs.cli.report_back import say_results
from labs.runs.life import Run
from labs.runs.recipe import Recipe, normal_form

WORDS = {"experiment": "mine", "practical": "digits", "data": "online", "seed": 0, "choices": {}, "command": ""}


def said(directory: Path, outputs: str, capsys: pytest.CaptureFixture[str]) -> str:
    with Run(directory, Recipe(normal_form({}, 0), {**WORDS, "settings": {}}), {}) as run:
        run.running()
        run.facts |= {"metrics": {"test/acc": 0.5}, "counts": {"test": 8}}
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
    words = {**WORDS, "experiment": "[/a]"}
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

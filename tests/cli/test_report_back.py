"""What a run says when it ends."""

from __future__ import annotations

from pathlib import Path

import pytest

from labs.cli.report_back import say_results
from labs.runs.life import Run
from labs.runs.recipe import Recipe, normal_form


def test_brackets_are_letters(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder of a cell, freeze.patterns=[layer1,layer2], lost its end, and [/a] was a traceback after the work."""
    monkeypatch.chdir(tmp_path)
    words = {"experiment": "[/a]", "practical": "digits", "data": "online", "seed": 0, "choices": {}, "command": ""}
    folder = Path("freeze.patterns=[layer1,layer2]")
    with Run(folder, Recipe(normal_form({}, 0), {**words, "settings": {}}), {}) as run:
        run.running()
        run.facts |= {"labels": ["[/b]"], "warnings": ["[red]"], "metrics": {"test/acc": 0.5}, "counts": {"test": 8}}
    say_results(run, outputs="[outputs]")
    said = capsys.readouterr().out
    assert "[/a], seed 0  ([/b])" in said
    assert "warning [red]" in said
    assert f"run directory  {folder}\n" in said
    assert "--logdir [outputs]" in said

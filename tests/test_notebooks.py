"""Every notebook of the docs runs from top to bottom, as a script, and is kept without outputs."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from project import ROOT
from trained_run import write_trained_run

NOTEBOOKS = sorted((ROOT / "docs").glob("*.ipynb"))


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_runs(
    notebook: Path,
    made_once: Callable[[str, Callable[[Path], None]], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its working directory has a run of the quick start."""

    def fill(folder: Path) -> None:
        write_trained_run(folder / "run")

    run = made_once("predicted", fill) / "run"
    shutil.copytree(run, tmp_path / "outputs" / "digits_layer1_frozen" / "2026-11-29_00-00-00")
    monkeypatch.chdir(tmp_path)
    content = json.loads(notebook.read_text(encoding="utf-8"))
    assert (content["nbformat"], content["nbformat_minor"]) == (4, 5)
    namespace: dict[str, Any] = {}
    for cell in content["cells"]:
        if cell["cell_type"] == "code":
            assert not cell["outputs"]
            assert cell["execution_count"] is None
            exec(compile("".join(cell["source"]), f"{notebook.name}, cell {cell['id']}", "exec"), namespace)


def test_there_is_a_notebook() -> None:
    assert NOTEBOOKS

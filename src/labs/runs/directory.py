"""Small things that every part knows of run directories."""

import json
import shutil
from pathlib import Path
from typing import Any


def read_facts(run_dir: Path) -> dict[str, Any]:
    """Read a run's `metrics.json`; empty if there is none, or one that nobody can read."""
    try:
        facts = json.loads((run_dir / "metrics.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return facts if isinstance(facts, dict) else {}


def keep_recipe(run_dir: Path) -> None:
    """Keep the recipe that a run has begun with: Hydra replaces it before anybody can refuse to resume the run."""
    kept = run_dir / ".hydra" / "begun"
    for file in run_dir.glob(".hydra/*.yaml"):
        kept.mkdir(exist_ok=True)
        shutil.copy2(file, kept)


def give_back_recipe(run_dir: Path) -> None:
    """Put the recipe that a run has begun with back in its place."""
    for file in run_dir.glob(".hydra/begun/*.yaml"):
        shutil.copy2(file, run_dir / ".hydra")


def shown_path(path: Path | str) -> str:
    """Return a path the way the user would type it, relative to the working directory if it lies there."""
    try:
        return Path(path).resolve().relative_to(Path.cwd()).as_posix()
    except ValueError:
        return str(path)

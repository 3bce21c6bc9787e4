"""Small things that every part knows of run directories."""

import json
from pathlib import Path
from typing import Any


def read_facts(run_dir: Path) -> dict[str, Any]:
    """Read a run's `metrics.json`; empty if there is none, or one that nobody can read."""
    try:
        facts = json.loads((run_dir / "metrics.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return facts if isinstance(facts, dict) else {}


def shown_path(path: Path | str) -> str:
    """Return a path the way the user would type it, relative to the working directory if it lies there."""
    try:
        return Path(path).resolve().relative_to(Path.cwd()).as_posix()
    except ValueError:
        return str(path)

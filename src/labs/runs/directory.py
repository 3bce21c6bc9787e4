"""Small things that every part knows of run directories."""

import json
from pathlib import Path
from typing import Any

FORMAT = 2  # of metrics.json; 1 had no recipe in normal form


def read_facts(run_dir: Path) -> dict[str, Any]:
    """Read a run's `metrics.json`; empty if there is none, or one that nobody can read."""
    try:
        facts = json.loads((run_dir / "metrics.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return facts if isinstance(facts, dict) else {}


def weights_file(weights: Path) -> Path | None:
    """Return the file that weights are read from: itself, or the checkpoint of a run; None if there is none."""
    checkpoints = [weights / "checkpoints" / f"{name}.ckpt" for name in ("best", "last")]  # some select no epoch
    return next((path for path in (weights, *checkpoints) if path.is_file()), None)


def shown_path(path: Path | str) -> str:
    """Return a path the way the user would type it, relative to the working directory if it lies there."""
    try:
        return Path(path).resolve().relative_to(Path.cwd()).as_posix()
    except ValueError:
        return str(path)

"""Small things that every part knows of run directories."""

from pathlib import Path
from typing import Any

from labs.storage.files import from_json

FORMAT = 2  # of metrics.json; 1 had no recipe in normal form


def read_facts(run_dir: Path) -> dict[str, Any]:
    """Read a run's `metrics.json`; empty if there is none, or one that nobody can read."""
    try:
        facts = from_json((run_dir / "metrics.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return facts if isinstance(facts, dict) else {}


def weights_file(weights: Path) -> Path | None:
    """Return the file that weights are read from: itself, or the checkpoint of a run; None if there is none."""
    checkpoints = [weights / "checkpoints" / f"{name}.ckpt" for name in ("best", "last")]  # some select no epoch
    return next((path for path in (weights, *checkpoints) if path.is_file()), None)


def labels_of_weights(weights: Path) -> list[str]:
    """Return what results must carry because labels that are not to be seen made, or chose, what they start from."""
    if weights_file(weights) is None:
        return []
    run_dir = weights if weights.is_dir() else weights.parent.parent
    labels = [str(label) for label in read_facts(run_dir).get("labels", [])]
    found = [label for label in labels if "target labels" in label]
    found += ["start selected on test"] if "selected on test" in labels else []
    return [*found, "start selected on target labels"] if "oracle" in weights.stem else found


def shown_path(path: Path | str) -> str:
    """Return a path the way the user would type it, relative to the working directory if it lies there."""
    try:
        return Path(path).resolve().relative_to(Path.cwd()).as_posix()
    except ValueError:
        return str(path)

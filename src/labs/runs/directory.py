"""Small things that every part knows of run directories."""

from pathlib import Path
from typing import Any

from labs import LabsError
from labs.storage.files import check_file, read_json

# Bytes: records have some 10,000, and a table one line for each of some thousand images.
LARGEST_RECORD, LARGEST_TABLE = 10_000_000, 200_000_000
FORMAT = 2  # of metrics.json; 1 had no recipe in normal form
# The labels of what starts from weights of elsewhere: a choice of a run, as any other.
START_LABELS = IMAGENET_WEIGHTS, PRETRAINED_WEIGHTS = ("ImageNet weights", "pretrained weights")


_KINDS: dict[str, type | tuple[type, ...]] = {  # of what labs reads again
    **dict.fromkeys(("format", "seed", "epochs"), int),
    **dict.fromkeys(("status", "experiment", "practical", "data", "command", "key"), str),
    **dict.fromkeys(("choices", "settings", "metrics", "counts", "feature_cache"), dict),
    "labels": list,
    "seconds": (int, float),
    "max_epochs": (int, type(None)),
    "warnings": list,
}
_INNER: dict[str, type | tuple[type, ...]] = {"metrics": (int, float), "counts": int, "labels": str, "warnings": str}


def check_size(file: Path) -> None:
    """Refuse a file of a run directory that is larger than any: reading it would fill the memory.

    Raises:
        OSError: It is missing, or no file.
        ValueError: It is too large.
    """
    check_file(file)
    most = LARGEST_TABLE if file.suffix in (".csv", ".tsv") else LARGEST_RECORD
    if file.stat().st_size > most:
        raise ValueError(f"it has {file.stat().st_size:,} bytes, and no run writes more than {most:,}")


def _holds(values: Any, kind: type | tuple[type, ...]) -> bool:
    """Say whether all values of a mapping or a list are of a kind; words can be printed as they are."""
    values = values.values() if isinstance(values, dict) else values
    return all(isinstance(value, kind) and (not isinstance(value, str) or value.isprintable()) for value in values)


def read_facts(run_dir: Path) -> dict[str, Any]:
    """Read a run's `metrics.json`; empty if there is none, or one that is damaged or without labels."""
    try:
        check_size(run_dir / "metrics.json")
        facts = read_json(run_dir / "metrics.json")
    except (OSError, ValueError):
        return {}
    known = isinstance(facts, dict) and all(isinstance(facts[n], kind) for n, kind in _KINDS.items() if n in facts)
    known = known and all(_holds(facts[name], kind) for name, kind in _INNER.items() if name in facts)
    whole = known and (facts.get("status") != "finished" or {"metrics", "labels"} <= set(facts))
    return facts if whole else {}


def labels_of(run_dir: Path, typed: str) -> list[str]:
    """Return what every result of a run must carry, such as "embedded data".

    Raises:
        LabsError: nobody knows, because there is no `metrics.json`, or one that nobody can read.
    """
    facts = read_facts(run_dir)
    if "labels" not in facts:
        raise LabsError(
            f"{typed}: {run_dir / 'metrics.json'} is missing, cut or without labels, so nobody can say what its "
            f"results stand on. `python train.py resume={run_dir}` writes it again."
        )
    return [str(label) for label in facts["labels"]]


def weights_file(weights: Path) -> Path | None:
    """Return the file that weights are read from: itself, or the checkpoint of a run; None if there is none."""
    checkpoints = [weights / "checkpoints" / f"{name}.ckpt" for name in ("best", "last")]  # some select no epoch
    return next((path for path in (weights, *checkpoints) if path.is_file()), None)


def labels_of_weights(weights: Path) -> list[str]:
    """Return what results must carry because of the run that they start from.

    That is its own start from ImageNet's weights, and labels that are not to be seen but made, or chose, its weights.
    """
    if weights_file(weights) is None:
        return []
    run_dir = weights if weights.is_dir() else weights.parent.parent
    is_run = weights.is_dir() or (run_dir / "metrics.json").exists()  # else a file of anywhere, which has no labels
    labels = labels_of(run_dir, f"weights={weights}") if is_run else []
    found = [label for label in labels if "target labels" in label or label in START_LABELS]
    found += ["start selected on test"] if "selected on test" in labels else []
    return [*found, "start selected on target labels"] if "oracle" in weights.stem else found


def shown_path(path: Path | str) -> str:
    """Return a path the way the user would type it, relative to the working directory if it lies there."""
    try:
        return Path(path).resolve().relative_to(Path.cwd()).as_posix()
    except ValueError:
        return str(path)


def printable(text: str) -> str:
    r"""Return a text with a question mark for each letter that cannot be printed, such as those that steer terminals.

    Examples:
        >>> printable("a\tb\x1b[2J")
        'a?b?[2J'
    """
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def one_line(error: BaseException) -> str:
    """Return an exception in one line of at most 300 letters."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]

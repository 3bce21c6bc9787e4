"""Run directories, read into typed records; a run that cannot be trusted is kept and marked as broken."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from labs.errors import LabsError
from labs.reporting.recipe import NOT_RECIPE, read_settings, recipe_facts

FORMAT = 1
STATUSES = ("running", "finished", "failed", "interrupted")
EMBEDDED = "embedded data"


@dataclass(frozen=True)
class Run:
    """Hold what one run directory says. `status` is one of its four words, or "broken" (`error` says why).

    `place` is the directory as a reader should see it; `choices` are its options (net, freeze, ...) and
    `overrides` what its command changed beyond them; `settings` are hyper-parameters of the resolved config.
    """

    directory: Path
    place: str
    status: str
    error: str = ""
    practical: str = ""
    experiment: str = ""
    data: str = ""
    seed: int | None = None
    command: str = ""
    choices: dict[str, str] = field(default_factory=dict)
    overrides: dict[str, str] = field(default_factory=dict)
    settings: dict[str, float] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    labels: tuple[str, ...] = ()
    epochs: int | None = None
    best_epoch: int | None = None
    seconds: float | None = None
    environment: dict[str, str] = field(default_factory=dict)
    log: pd.DataFrame | None = field(default=None, compare=False, repr=False)
    predictions: pd.DataFrame | None = field(default=None, compare=False, repr=False)

    @property
    def finished(self) -> bool:
        """Say whether the numbers of this run may be used."""
        return self.status == "finished"

    @property
    def picture(self) -> Path | None:
        """Return the picture that the run left, if it did."""
        path = self.directory / "result.png"
        return path if path.is_file() else None


class BrokenRunError(Exception):
    """Say why a run directory cannot be trusted."""


def find_runs(paths: Sequence[Path]) -> list[Run]:
    """Read every run directory under the paths, each once, in the order of their names.

    Raises:
        LabsError: A path does not exist, or holds no run.
    """
    found: dict[Path, Run] = {}
    for path in paths:
        if not path.exists():
            raise LabsError(f"no such directory: {path}; give that of a run or of a grid, such as outputs/cub_table4")
        root = path if path.is_dir() else path.parent
        directories = sorted(file.parent for file in root.rglob("metrics.json"))
        if not directories:
            raise LabsError(f"no runs under {path}; a run directory has a metrics.json; make one with python train.py")
        for directory in directories:
            inside = directory.relative_to(root)
            place = (Path(root.resolve().name) / inside).as_posix()
            found.setdefault(directory.resolve(), read_run(directory, place))
    return list(found.values())


def read_run(directory: Path, place: str | None = None) -> Run:
    """Read one run directory. Whatever is wrong with it ends in `status="broken"`, never in an exception."""
    place = place or directory.name
    try:
        record = _read_json(directory / "metrics.json")
    except BrokenRunError as error:
        return Run(directory, place, "broken", str(error))
    identity: dict[str, Any] = {}
    try:
        identity = _read_identity(directory, record)
        content = _read_content(directory, record)
    except BrokenRunError as error:
        return Run(directory, place, "broken", str(error), **identity)
    return Run(directory, place, record["status"], _one_line(record.get("error")), **identity, **content)


def is_accuracy(name: str) -> bool:
    """Say whether a metric is an accuracy, in [0, 1]: `test/acc`, `val/top5_acc`, `test/accuracy`."""
    last = name.rsplit("/", 1)[-1].lower()
    return last.endswith(("acc", "accuracy"))


def _read_json(path: Path) -> dict[str, Any]:
    import json

    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:  # a JSONDecodeError and a UnicodeDecodeError are ValueErrors
        raise BrokenRunError(f"{path.name} cannot be read: {_one_line(error)}") from error
    if not isinstance(record, dict):
        raise BrokenRunError(f"{path.name} should hold an object, it holds a {type(record).__name__}")
    return record


def _read_identity(directory: Path, record: Mapping[str, Any]) -> dict[str, Any]:
    """Return what tells a run apart; read first, so that a run with broken numbers still finds its row."""
    if record.get("format") != FORMAT:
        raise BrokenRunError(f"metrics.json has format {record.get('format')!r}, this report reads format {FORMAT}")
    choices = _expect(record, "choices", dict)
    labels = _expect(record, "labels", list, [])
    command = _expect(record, "command", str, "")
    data = _expect(record, "data", str)
    if data not in ("embedded", "online"):
        raise BrokenRunError(f"metrics.json: data should be 'embedded' or 'online', it is {data!r}")
    return {
        "practical": _expect(record, "practical", str),
        "experiment": _expect(record, "experiment", str),
        "data": data,
        "seed": _expect(record, "seed", int),
        "command": command,
        "choices": {str(name): str(value) for name, value in choices.items() if name not in NOT_RECIPE},
        "overrides": recipe_facts(directory, command, choices),
        "settings": read_settings(directory, record),
        # the data field decides: a run on embedded data is labelled even if its own list forgot it
        "labels": tuple(dict.fromkeys([*([EMBEDDED] if data == "embedded" else []), *map(str, labels)])),
    }


def _read_content(directory: Path, record: Mapping[str, Any]) -> dict[str, Any]:
    status = _expect(record, "status", str)
    if status not in STATUSES:
        raise BrokenRunError(f"metrics.json: status should be one of {', '.join(STATUSES)}, it is {status!r}")
    environment_file = directory / "environment.json"
    environment = _read_json(environment_file) if environment_file.is_file() else {}
    content: dict[str, Any] = {
        "epochs": _expect(record, "epochs", int, None),
        "best_epoch": _expect(record, "best_epoch", int, None),
        "seconds": _expect(record, "seconds", float, None),
        "counts": {name: _count(name, value) for name, value in _expect(record, "counts", dict, {}).items()},
        "environment": {str(name): _one_line(value) for name, value in environment.items()},
    }
    if status != "finished":  # the numbers of a run that did not finish are not read, so that they cannot be used
        return content
    metrics = {str(name): _metric(name, value) for name, value in _expect(record, "metrics", dict).items()}
    predictions = _read_predictions(directory / "predictions.csv", metrics, content["counts"])
    return {
        **content,
        "metrics": metrics,
        "log": _read_log(directory / "log.tsv"),
        "predictions": predictions,
    }


def _expect(record: Mapping[str, Any], name: str, kind: type, default: Any = ...) -> Any:
    value = record.get(name)
    if value is None:
        if default is ...:
            raise BrokenRunError(f"metrics.json lacks {name!r}")
        return default
    kinds = (int, float) if kind is float else kind
    if not isinstance(value, kinds) or (isinstance(value, bool) and kind is not bool):
        raise BrokenRunError(f"metrics.json: {name} should be {kind.__name__}, it is {value!r}")
    return value


def _count(name: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise BrokenRunError(f"metrics.json: counts of {name} should be a number of images, it is {value!r}")
    return value


def _metric(name: str, value: object) -> float:
    """Check one final value. A loss may be NaN or infinite (training diverged); an accuracy may not."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise BrokenRunError(f"metrics.json: {name} should be a number, it is {value!r}")
    if is_accuracy(name) and not 0.0 <= value <= 1.0:  # NaN fails both comparisons
        raise BrokenRunError(f"metrics.json: {name} should lie in [0, 1], it is {value!r}")
    return float(value)


def _read_log(path: Path) -> pd.DataFrame | None:
    if not path.is_file():
        return None
    try:
        log = pd.read_csv(path, sep="\t")
    except (OSError, ValueError) as error:  # pandas' parser errors are ValueErrors
        raise BrokenRunError(f"log.tsv cannot be read: {_one_line(error)}") from error
    if "epoch" not in log.columns:
        raise BrokenRunError("log.tsv has no column 'epoch'")
    if list(log["epoch"]) != list(range(1, len(log) + 1)):
        raise BrokenRunError("log.tsv: the epochs should be 1, 2, 3, ... without a gap")
    for name in log.columns:
        if not pd.api.types.is_numeric_dtype(log[name]):
            raise BrokenRunError(f"log.tsv: column {name} holds something that is not a number")
        if is_accuracy(name) and not log[name].dropna().between(0.0, 1.0).all():
            raise BrokenRunError(f"log.tsv: column {name} should lie in [0, 1]")
    return log


def _read_predictions(path: Path, metrics: Mapping[str, float], counts: Mapping[str, int]) -> pd.DataFrame | None:
    """Read the predictions and check that they give the test accuracy that the run claims."""
    if not path.is_file():
        return None
    try:
        table = pd.read_csv(path, dtype={"name": str, "label": str, "prediction": str}, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise BrokenRunError(f"predictions.csv cannot be read: {_one_line(error)}") from error
    if not {"name", "label", "prediction"} <= set(table.columns):
        return None  # another practical's file: nothing to compare
    claimed = metrics.get("test/acc")
    if claimed is not None and len(table) and len(table) == counts.get("test"):
        measured = float((table["label"] == table["prediction"]).mean())
        if not math.isclose(measured, claimed, abs_tol=1e-4):
            raise BrokenRunError(f"test/acc is {claimed:.4f} in metrics.json, predictions.csv gives {measured:.4f}")
    return table


def _one_line(value: object) -> str:
    return "" if value is None else " ".join(str(value).split())

"""The files of a run directory, read with distrust: each on its own, then against each other."""

import math
import reprlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from labs.practicals import sheet_of
from labs.quantities import quantity
from labs.runs.directory import check_size
from labs.runs.recipe import read_recipe_text
from labs.storage import files

LONGEST = 20_000  # letters of a text; the longest is a recipe that a grid plans


class BrokenRunError(Exception):
    """Say why a run directory cannot be trusted."""


def is_accuracy(name: str) -> bool:
    """Say whether a metric is an accuracy, in [0, 1]: `test/acc`, `val/top5_acc`, `test/accuracy`."""
    last = name.rsplit("/", 1)[-1].lower()
    return last.endswith(("acc", "accuracy"))


def one_line(value: object) -> str:
    """Return a value as text without line breaks; nothing for None."""
    return "" if value is None else " ".join(str(value).split())


@contextmanager
def of_file(name: str) -> Iterator[None]:
    """Name the file in every complaint about its content."""
    try:
        yield
    except BrokenRunError as error:
        raise BrokenRunError(f"{name}: {error}") from error


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        BrokenRunError: The file cannot be read, or holds something else.
    """
    try:
        check_size(path)
        record = files.read_json(path)
    except (OSError, ValueError) as error:  # a JSONDecodeError and a UnicodeDecodeError are ValueErrors
        raise BrokenRunError(f"{path.name} cannot be read: {one_line(error)}") from error
    if not isinstance(record, dict):
        raise BrokenRunError(f"{path.name} should hold an object, it holds a {type(record).__name__}")
    return record


def read_recipe(path: Path) -> str:
    """Read the recipe of a run in its normal form.

    Raises:
        BrokenRunError: The file cannot be read.
    """
    try:
        return read_recipe_text(path)
    except (OSError, ValueError) as error:
        raise BrokenRunError(f"{path.name} cannot be read: {one_line(error)}") from error


def expect(record: Mapping[str, Any], name: str, kind: type, default: Any = ...) -> Any:
    """Return an entry of a record.

    Raises:
        BrokenRunError: It is of another type, or is missing and has no default.
    """
    value = record.get(name)
    if value is None:
        if default is ...:
            raise BrokenRunError(f"lacks {name!r}")
        return default
    if isinstance(value, str) and len(value) > LONGEST:
        raise BrokenRunError(f"{name} has {len(value):,} letters, at most {LONGEST:,}")
    kinds = (int, float) if kind is float else kind
    if not isinstance(value, kinds) or (isinstance(value, bool) and kind is not bool):
        raise BrokenRunError(f"{name} should be {kind.__name__}, it is {reprlib.repr(value)}")
    return value


def image_count(name: str, value: object) -> int:
    """Check the number of images of one split."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise BrokenRunError(f"counts of {name} should be a number of images, it is {reprlib.repr(value)}")
    return value


def final_value(name: str, value: object) -> float:
    """Check one final value. A loss may be NaN or infinite (training diverged); an accuracy may not."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise BrokenRunError(f"{name} should be a number, it is {reprlib.repr(value)}")
    if is_accuracy(name) and not 0.0 <= value <= 1.0:  # NaN fails both comparisons
        raise BrokenRunError(f"{name} should lie in [0, 1], it is {reprlib.repr(value)}")
    return float(value)


def read_log(path: Path) -> pd.DataFrame | None:
    """Read `log.tsv`, one row per epoch; None if the run left none."""
    if not path.is_file():
        return None
    log = _read_numbers(path)
    if "epoch" not in log.columns:
        raise BrokenRunError("log.tsv has no column 'epoch'")
    if list(log["epoch"]) != list(range(1, len(log) + 1)):
        raise BrokenRunError("log.tsv: the epochs should be 1, 2, 3, ... without a gap")
    return log


def read_predictions(path: Path) -> pd.DataFrame | None:
    """Read `predictions.csv`; None if none has the label and the prediction of every image."""
    if not path.is_file():
        return None
    table = _read_table(path, dtype={"name": str, "label": str, "prediction": str}, keep_default_na=False)
    return table if {"name", "label", "prediction"} <= set(table.columns) else None


def check(content: Mapping[str, Any], test_log: Path) -> None:
    """Compare what `metrics.json` claims with the files that were written beside it.

    Args:
        content: `practical`, `metrics`, `counts`, `epochs` and `best_epoch` of the record; `log` and `predictions` as
            read.
        test_log: The run's `test_log.tsv`, which may be missing.

    Raises:
        BrokenRunError: A number differs by more than its printing explains.
    """
    log, predictions = content["log"], content["predictions"]
    evidence: list[tuple[str, float, str]] = []
    if log is not None:
        if content["epochs"] not in (None, len(log)):
            raise BrokenRunError(f"metrics.json says {quantity(content['epochs'], 'epoch')}, log.tsv has {len(log)}")
        epoch = len(log) if content["best_epoch"] is None else content["best_epoch"]
        if epoch not in range(1, len(log) + 1):
            raise BrokenRunError(f"best_epoch is {epoch} in metrics.json, log.tsv has epochs 1 to {len(log)}")
        for name, value in log.iloc[epoch - 1].items():
            evidence.append((str(name), float(value), f"log.tsv at epoch {epoch}"))
    # an empty one: nothing was tested; a long one is not read for that
    if test_log.is_file() and (test_log.stat().st_size > 100 or test_log.read_bytes().strip()):
        for name, values in _read_numbers(test_log).tail(1).items():
            evidence += [(str(name), float(value), test_log.name) for value in values]
    if predictions is not None:
        counted = content["counts"].get("test")
        if counted not in (None, len(predictions)):
            raise BrokenRunError(f"metrics.json counts {counted} test images, predictions.csv has {len(predictions)}")
        right = predictions["label"] == predictions["prediction"]
        evidence += (
            [(sheet_of(content["practical"]).predicts, float(right.mean()), "predictions.csv")] if len(right) else []
        )
    for name, value, source in evidence:
        claimed = content["metrics"].get(name, value)
        same = math.isclose(claimed, value, rel_tol=1e-5, abs_tol=1e-6) or (math.isnan(claimed) and math.isnan(value))
        if not same:
            raise BrokenRunError(f"{name} is {claimed:.6g} in metrics.json, {source} gives {value:.6g}")


def _read_numbers(path: Path) -> pd.DataFrame:
    table = _read_table(path, sep="\t")
    for name in table.columns if len(table) else []:
        if not pd.api.types.is_numeric_dtype(table[name]):
            raise BrokenRunError(f"{path.name}: column {name} holds something that is not a number")
        if is_accuracy(name) and not table[name].dropna().between(0.0, 1.0).all():
            raise BrokenRunError(f"{path.name}: column {name} should lie in [0, 1]")
    return table


def _read_table(path: Path, **options: Any) -> pd.DataFrame:
    try:
        check_size(path)
        return pd.read_csv(path, **options)
    except (OSError, ValueError, TypeError) as error:  # what pandas raises for damaged files
        raise BrokenRunError(f"{path.name} cannot be read: {one_line(error)}") from error

"""Run directories, read into typed records; a run that cannot be trusted is kept and marked as broken."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from labs.practicals import sheet_of
from labs.reporting import evidence
from labs.reporting.evidence import BrokenRunError, expect, of_file, one_line, read_json
from labs.runs.recipe import is_part, of_every_seed, typed_settings

FORMATS = (1, 2)
STATUSES = ("begun", "running", "finished", "failed", "interrupted")
MISSING = "missing"
EMBEDDED = "embedded data"
WEIGHTS = "module.net.weights"


class Sample(NamedTuple):
    """What tells the runs of a row apart: the seed, and the fold of the images that was tested, if there are folds."""

    seed: int | None
    fold: int | None = None

    def __str__(self) -> str:
        """Return it as a reader should see it."""
        return f"{self.seed}" if self.fold is None else f"{self.seed} fold {self.fold}"


@dataclass(frozen=True)
class Run:
    """Hold what one run directory says.

    `status` is a state of a run, "missing" (a grid plans it, no run is there) or "broken" (`error` says why).
    `place` is the directory as a reader should see it; `choices` are its options (net, freeze, ...) and
    `overrides` what its command changed beyond them; `settings` are the numbers among those that are always recorded;
    `recipe` is its recipe in normal form (empty for a run of format 1), `key` its hash, and `grid_command` what starts
    the grid that the run is a cell of, if known. `fold` is the part, of `folds`, of its images that it was tested on.
    `earlier_in` names the grid in whose folder it lies although the last command of that grid has no such cell.
    """

    directory: Path
    place: str
    status: str
    error: str = ""
    practical: str = ""
    experiment: str = ""
    data: str = ""
    seed: int | None = None
    fold: int | None = None
    folds: int | None = None
    command: str = ""
    key: str = ""
    recipe: str = ""
    grid_command: str = ""
    earlier_in: str = ""
    choices: dict[str, str] = field(default_factory=dict)
    overrides: dict[str, str] = field(default_factory=dict)
    settings: dict[str, float] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    labels: tuple[str, ...] = ()
    epochs: int | None = None
    best_epoch: int | None = None
    selected_by: str = ""
    seconds: float | None = None
    environment: dict[str, str] = field(default_factory=dict)
    log: pd.DataFrame | None = field(default=None, compare=False, repr=False)
    predictions: pd.DataFrame | None = field(default=None, compare=False, repr=False)

    @property
    def finished(self) -> bool:
        """Say whether the numbers of this run may be used."""
        return self.status == "finished"

    @property
    def sample(self) -> Sample:
        """Return what tells it from the other runs of its row."""
        return Sample(self.seed, self.fold)

    @property
    def row(self) -> object:
        """Return what runs of one row have in common: the recipe but for seed and fold, or its words in format 1."""
        if self.recipe:
            return of_every_seed(self.recipe)
        return self.experiment, tuple(sorted(self.choices.items())), tuple(sorted(self.overrides.items()))

    @property
    def typed(self) -> tuple[str, ...]:
        """Return the names of the choices and settings that were typed for it and are part of its recipe."""
        return tuple(typed_settings(self.command, ()))

    @property
    def traceback(self) -> str:
        """Name the file that says where a failed run broke, as `place` does; empty if there is none."""
        failed = self.status == "failed" and (self.directory / "traceback.txt").is_file()
        return f"{self.place}/traceback.txt" if failed else ""

    def pictures(self, patterns: Sequence[str]) -> list[Path]:
        """Return the pictures that the run left, in the order of the patterns (such as `images/sample_*.png`)."""
        found = [path for pattern in patterns for path in sorted(self.directory.glob(pattern)) if path.is_file()]
        return list(dict.fromkeys(found))


def read_run(directory: Path, place: str | None = None) -> Run:
    """Read one run directory. Whatever is wrong with it ends in `status="broken"`, never in an exception."""
    place = place or directory.name
    identity: dict[str, Any] = {}
    try:
        record = read_json(directory / "metrics.json")
        with of_file("metrics.json"):
            if record.get("format") not in FORMATS:
                raise BrokenRunError(  # noqa: TRY301
                    f"it has format {record.get('format')!r:.80}, this report reads {' and '.join(map(str, FORMATS))}"
                )
            identity = read_identity(record)
            content = _read_record(record)
        content |= _read_files(directory, {**identity, **content})
        if record["format"] > 1:
            identity["recipe"] = evidence.read_recipe(directory / ".hydra" / "recipe.yaml")
    except BrokenRunError as error:
        return Run(directory, place, "broken", str(error), **identity)
    return Run(directory, place, **identity, **content)


def read_identity(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return what tells a run apart; read first, so that a run with broken numbers still finds its row.

    Raises:
        BrokenRunError: Something is missing or of another type.
    """
    choices = expect(record, "choices", dict)
    practical = expect(record, "practical", str, "other")
    labels = expect(record, "labels", list, [])
    command = expect(record, "command", str, "")
    data = expect(record, "data", str)
    if data not in ("embedded", "online"):
        raise BrokenRunError(f"data should be 'embedded' or 'online', it is {data!r:.80}")
    settings, overrides = expect(record, "settings", dict, {}), typed_settings(command, choices)
    if str(settings.get(WEIGHTS, "")).startswith("a run of "):  # of whichever seed: `labs.cli.describe`
        overrides[WEIGHTS] = settings[WEIGHTS]
    return {
        "practical": practical,
        "experiment": expect(record, "experiment", str),
        "data": data,
        "seed": expect(record, "seed", int),
        "fold": expect(record, "fold", int, None),
        "command": command,
        "key": expect(record, "key", str, ""),
        "recipe": expect(record, "recipe", str, ""),  # of a cell that a grid plans
        "choices": {str(name): str(value) for name, value in choices.items() if is_part(name) and value},
        "overrides": overrides,
        "settings": {
            n: float(v) for n in sheet_of(practical).settings if isinstance(v := settings.get(n), (int, float))
        },
        # the data field decides: a run on embedded data is labeled even if its own list forgot it
        "labels": tuple(dict.fromkeys([*([EMBEDDED] if data == "embedded" else []), *map(str, labels)])),
    }


def _read_record(record: Mapping[str, Any]) -> dict[str, Any]:
    status = expect(record, "status", str)
    if status not in STATUSES:
        raise BrokenRunError(f"status should be one of {', '.join(STATUSES)}, it is {status!r:.80}")
    counts, metrics = expect(record, "counts", dict, {}), {}
    if status == "finished":  # the numbers of a run that did not finish are not read, so that they cannot be used
        values = expect(record, "metrics", dict)
        metrics = {str(name): evidence.final_value(name, value) for name, value in values.items()}
    return {
        "status": status,
        "error": one_line(record.get("error")),
        "folds": expect(record, "folds", int, None),
        "epochs": expect(record, "epochs", int, None),
        "best_epoch": expect(record, "best_epoch", int, None),
        "selected_by": expect(record, "selected_by", str, ""),
        "seconds": expect(record, "seconds", float, None),
        "counts": {str(name): evidence.image_count(name, value) for name, value in counts.items()},
        "metrics": metrics,
    }


def _read_files(directory: Path, content: Mapping[str, Any]) -> dict[str, Any]:
    """Read what lies beside the record: the environment always, results of finished runs only."""
    file = directory / "environment.json"
    environment = read_json(file) if file.is_file() else {}
    found: dict[str, Any] = {"environment": {str(name): one_line(value) for name, value in environment.items()}}
    if content["status"] != "finished":
        return found
    found["log"] = evidence.read_log(directory / "log.tsv")
    found["predictions"] = evidence.read_predictions(directory / "predictions.csv")
    evidence.check({**content, **found}, directory / "test_log.tsv")
    return found

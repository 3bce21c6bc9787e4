"""The cells of a grid: the recipe, the directory and the state of each."""

import shlex
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from hydra.core.config_loader import ConfigLoader
from hydra.errors import ConfigCompositionException
from omegaconf import DictConfig, OmegaConf, open_dict

from labs import LabsError
from labs.cli.check import check_data
from labs.cli.describe import describe
from labs.cli.explain import missing_key, unknown_key
from labs.cli.overrides import quote
from labs.cli.short_forms import with_long_names
from labs.runs.directory import FORMAT, read_facts, shown_path
from labs.runs.processes import is_occupied
from labs.runs.recipe import Recipe, is_part
from labs.runs.recognition import is_finished, is_of, refuse_try_out, refuse_what_no_run_wrote
from labs.runs.trusted import links_out_of, needed_again
from labs.storage.files import read_json, to_json, write_text

OF_A_JOB = ("hydra.job", "hydra.verbose")  # settings of Hydra that mean something to a single cell

State = Literal[
    "waiting", "queued", "submitted", "running", "done", "skipped", "failed", "interrupted", "elsewhere"
]  # fmt: skip


@dataclass
class Cell:
    """Hold one cell. `config` is Hydra's, composed for this cell.

    `state` is "skipped" if the cell had finished before, "elsewhere" if another process is training it, "queued" if its
    job waits on a cluster, "submitted" if this command has queued it.
    `started` and `ended` are seconds of the monotonic clock.
    """

    name: str
    config: DictConfig
    recipe: Recipe
    directory: Path
    state: State = "waiting"
    error: str = ""
    started: float | None = None
    ended: float | None = None
    found: int | None = None  # when `metrics.json` was written that the cell found as it began

    @property
    def overrides(self) -> list[str]:
        """Return what the command line and the grid set for this cell."""
        return [str(override) for override in self.config.hydra.overrides.task]

    @property
    def arguments(self) -> list[str]:
        """Return the arguments of train.py that run this cell, and no other, in its directory."""
        single = [o for o in self.overrides if is_part(o.partition("=")[0], ("grid", "search", "sweep"))]
        hydra = [str(o) for o in self.config.hydra.overrides.hydra if str(o).lstrip("+").startswith(OF_A_JOB)]
        return [*single, *hydra, f"hydra.run.dir={quote(str(self.directory))}"]

    @property
    def retry(self) -> str:
        """Return the command that retries this cell alone, or goes on with it."""
        command = shlex.join(["python", "train.py", f"retry={shown_path(self.directory)}"])
        return command + needed_again(self.recipe.facts["command"])

    @property
    def own_recipe(self) -> DictConfig:
        """Return the recipe as the run will see it: without Hydra's node, in the cell's directory."""
        recipe = OmegaConf.masked_copy(self.config, [str(key) for key in self.config if key != "hydra"])
        recipe.paths.run_dir = str(self.directory)
        return recipe

    def facts(self) -> dict[str, Any]:
        """Return the `metrics.json` of this very recipe; empty if it holds another's or none."""
        facts = read_facts(self.directory)
        return facts if is_of(facts, self.recipe) else {}

    def look(self) -> None:
        """Find out whether the cell needs a run; another process may have begun or finished it in the meantime."""
        if is_occupied(self.directory):
            self.state = "elsewhere"
        elif not self.config.rerun and is_finished(self.directory, self.recipe):
            self.state = "skipped"

    def start(self) -> None:
        """Note that the cell begins, in a directory that now exists."""
        self.directory.mkdir(parents=True, exist_ok=True)
        (self.directory / "traceback.txt").unlink(missing_ok=True)  # of an earlier try
        self.found = self._written()
        self.state, self.started = "running", time.monotonic()

    def was_interrupted(self) -> bool:
        """Say whether this run of the cell was interrupted, and not only an earlier one."""
        return self.has_written() and self.facts().get("status") == "interrupted"

    def has_written(self) -> bool:
        """Say whether `metrics.json` is of this run of the cell."""
        return self._written() != self.found

    def end(self, state: State, error: str = "", trace: str = "") -> None:
        """Note how the cell ended; a failure is kept in its directory: `traceback.txt` and a `metrics.json`.

        Its words are kept, too, even if the run was stopped before it wrote them: `retry=` reads them there.
        """
        self.state, self.error, self.ended = state, error, time.monotonic()
        if state == "failed" and is_occupied(self.directory):
            self.state = "elsewhere"  # another process was a moment quicker; its directory is not ours
        with suppress(
            OSError
        ):  # a full disk, a file where the folder should be: the summary names the error all the same
            if self.state in ("failed", "interrupted"):
                self._keep_words()
            if self.state == "failed":
                self._keep(error, trace)

    def _keep(self, error: str, trace: str) -> None:
        if not (self.directory / "traceback.txt").is_file():  # a run that had begun has written its own
            write_text(self.directory / "traceback.txt", f"{self.recipe.facts['command']}\n\n{trace}")
        if not self.facts():  # finished results of this recipe stay, and what was stopped can still go on
            own = {**self.recipe.facts, "key": self.recipe.key}
            record = {"format": FORMAT, "status": "failed", **own, "metrics": {}, "labels": [], "error": error}
            write_text(self.directory / "metrics.json", to_json(record))

    def _keep_words(self) -> None:
        saved = self.directory / ".hydra" / "overrides.yaml"
        if not saved.is_file():  # a run that could not start takes back what it wrote; retry and report need its recipe
            saved.parent.mkdir(parents=True, exist_ok=True)
            write_text(saved, OmegaConf.to_yaml(OmegaConf.create(self.overrides)))
            write_text(saved.with_name("recipe.yaml"), self.recipe.text)

    def _written(self) -> int | None:
        file = self.directory / "metrics.json"
        return file.stat().st_mtime_ns if file.is_file() else None


def compose_cells(
    loader: ConfigLoader, config: DictConfig, job_overrides: Sequence[Sequence[str]], first: int
) -> list[Cell]:
    """Compose every cell of a grid, and find out where each one is stored and whether it has finished.

    The key of its recipe identifies a cell: a run of the same recipe in this grid counts, whatever its folder is
    called.

    Args:
        loader: Hydra's.
        config: the recipe of the whole grid.
        job_overrides: one list per cell.
        first: the number of the first cell, when a sweeper launches several batches.
    """
    grid = Path(config.hydra.sweep.dir).absolute()
    known = {file.parent: read_facts(file.parent) for file in sorted(grid.glob("*/metrics.json"))}
    cells: list[Cell] = []
    for number, composed in enumerate(_composed(loader, config, job_overrides), start=first):
        with open_dict(composed):
            composed.hydra.job.id = composed.hydra.job.num = number
        choices = {str(name): str(choice) for name, choice in composed.hydra.runtime.choices.items()}
        check_data(composed, choices, composed.hydra.runtime.config_sources)
        typed = [str(override) for override in composed.hydra.overrides.task]
        recipe = describe(composed, choices, typed)
        directory = grid / str(composed.hydra.sweep.subdir)
        if not is_of(known.get(directory, {}), recipe):
            directory = next((place for place, facts in known.items() if is_of(facts, recipe)), directory)
        if any(directory == other.directory for other in cells):
            if any(recipe.key == other.recipe.key for other in cells):
                continue  # the same cell twice
            raise LabsError(f"two cells of the grid would share the directory {directory}; hydra.sweep.subdir says so.")
        if not is_of(known.get(directory, {}), recipe):
            refuse_try_out(directory, recipe)
        composed.hydra.sweep.subdir = str(directory.relative_to(grid))
        cell = Cell(directory.name, composed, recipe, directory)
        cell.look()
        if cell.state == "waiting":
            _refuse_what_is_not_ours(cell)
        cells.append(cell)
    _name(cells)
    return cells


def _refuse_what_is_not_ours(cell: Cell) -> None:
    """Refuse a folder of the user's, and one through which a cell would write elsewhere.

    Raises:
        LabsError: names what lies there.
    """
    refuse_what_no_run_wrote(cell.directory, cell.recipe.facts["practical"])
    if links := links_out_of(cell.directory):
        raise LabsError(
            f"{links[0]} is a link that leads out of the cell's folder, so its run would write elsewhere. Remove the "
            "link, or type another hydra.sweep.dir=<folder>."
        )


def _composed(loader: ConfigLoader, config: DictConfig, job_overrides: Sequence[Sequence[str]]) -> list[DictConfig]:
    """Compose every cell.

    Raises:
        LabsError: a word does not fit every cell.
    """
    found: list[DictConfig] = []
    refused: dict[str, list[list[str]]] = {}
    for overrides in map(with_long_names, job_overrides):
        try:
            found.append(loader.load_sweep_config(config, overrides))
        except ConfigCompositionException as error:
            key = missing_key(error)
            if key is None:
                raise
            refused.setdefault(key, []).append(overrides)
    if not refused:
        return found
    key, without = max(refused.items(), key=lambda item: len(item[1]))
    if len(without) == len(job_overrides):
        raise LabsError(unknown_key(key, without[0]))
    common = set.intersection(*map(set, job_overrides))
    names = [", ".join(word for word in overrides if word not in common) for overrides in without]
    shown = "; ".join([*names[:3], *([f"and {len(names) - 3} more"] if len(names) > 3 else [])])
    raise LabsError(
        f"{len(without)} of {len(job_overrides)} cells have no setting '{key}' ({shown}). "
        "A word must fit every cell: type the cells that have it as a grid of their own."
    )


def write_plan(cells: Sequence[Cell], grid: Path, command: str) -> None:
    """Write `cells.json`: which cells the grid has, so that a report can show those that were not run.

    Raises:
        LabsError: a file of that name is the user's.
    """
    planned = [
        {
            "directory": str(cell.directory.relative_to(grid.absolute())),
            **cell.recipe.facts,
            "key": cell.recipe.key,
            "recipe": cell.recipe.text,
        }
        for cell in cells
    ]
    plan = grid / "cells.json"
    if plan.exists() and not _is_plan(plan):
        raise LabsError(
            f"{plan} was not written by a grid, and this one would replace it. Type hydra.sweep.dir=<folder>."
        )
    grid.mkdir(parents=True, exist_ok=True)
    write_text(plan, to_json({"command": command, "cells": planned}))


def _is_plan(file: Path) -> bool:
    try:
        content = read_json(file)
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and {"command", "cells"} <= set(content)


def _name(cells: Sequence[Cell]) -> None:
    """Name every cell by the overrides in which it differs from others: `cub_full, dataset, seed=1`."""
    parts = [[o for o in cell.overrides if not o.startswith("grid=")] for cell in cells]
    common = set.intersection(*map(set, parts)) if len(parts) > 1 else set()
    for cell, own in zip(cells, parts, strict=True):
        words = [o.removeprefix("experiment=") for o in own if o not in common]
        cell.name = ", ".join(words) or cell.directory.name

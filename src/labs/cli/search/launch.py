"""The way through a search: propose settings, run them as cells, and run the best once more on fresh seeds."""

import math
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from threading import Event, Lock
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.types import Override
from joblib import Parallel, delayed
from omegaconf import DictConfig, OmegaConf

from labs import LabsError
from labs.cli.grid.board import Board
from labs.cli.grid.cells import Cell, compose_cells, write_plan
from labs.cli.grid.closing import sum_up
from labs.cli.grid.launch import Run, check_cells, run_all, run_cell
from labs.cli.overrides import expand
from labs.cli.search.closing import say_best
from labs.cli.search.study import Proposal, Study, words_of
from labs.runs.processes import is_occupied
from labs.runs.recipe import key_of, of_every_seed
from labs.runs.signals import exit_code


class Search:
    """Run the trials of a search, and its best settings on fresh seeds.

    Args:
        run: how to run cells.
        loader: Hydra's.
        config: the recipe of the whole search.
        words: what was typed for every trial.

    Raises:
        LabsError: a setting of the search is wrong, or its folder holds another search.
    """

    def __init__(self, run: Run, loader: ConfigLoader, config: DictConfig, words: Sequence[Override]) -> None:
        self.run, self.loader, self.config = run, loader, config
        self.settings = _settings(config)
        self.fixed, seeds = _fixed(words, self.settings["experiment"])
        self.settings["seeds"] = seeds or [config.seed]
        self.folder = Path(config.hydra.sweep.dir)
        self.cells: list[Cell] = []
        self._composing, self._halt = Lock(), Event()
        self._command = shlex.join(["python", "train.py", *sys.argv[1:]])

    def __call__(self) -> None:
        """Search, unless a signal stops it; typed again, it goes on.

        Raises:
            LabsError: no trial has a value.
            SystemExit: a signal stopped it.
        """
        probe = self._composed([], self.settings["seeds"][0])
        check_cells([probe], self.run)
        self.run.expect(self.settings["trials"])
        recipe = key_of(of_every_seed(probe.recipe.text))
        self.study = Study(self.folder, self.settings, recipe, self.run.at_once)
        self.ends = time.monotonic() + 60 * (self.settings["minutes"] or math.inf)
        code = None
        try:
            planned = self.settings["trials"] * len(self.settings["seeds"]) + 2 * len(self.settings["fresh_seeds"])
            with Board(self.folder.name, self.cells, self.run.at_once, planned) as board:
                try:
                    self._try_all(board)
                    best = self.study.best()
                    if best is not None and not self._halt.is_set():
                        self._confirm(words_of(best), board)
                except (KeyboardInterrupt, SystemExit) as error:
                    code = exit_code(error) or 1
            sum_up(self.cells, self.folder, interrupted=code is not None)
            if code is not None:
                sys.exit(code)
            say_best(self.folder)
        finally:
            self.study.close()

    # Trials

    def _try_all(self, board: Board) -> None:
        def worker() -> None:
            while not self._halt.is_set() and time.monotonic() < self.ends and (found := self.study.propose()):
                self._try(found, board)

        with self.run.interruptible(self._halt):
            Parallel(n_jobs=self.run.at_once, backend="threading")(delayed(worker)() for _ in range(self.run.at_once))

    def _try(self, proposal: Proposal, board: Board) -> None:
        """Run a trial on each of its seeds, and note its values."""
        values: dict[int, float] = {}
        for place, seed in enumerate(self.settings["seeds"]):
            number = [f"trial={proposal.number}"] if place == 0 else []  # only the first seed can be stopped
            cell = self._trial(proposal, seed, number, board)
            if cell.state in ("interrupted", "waiting"):
                return  # it goes on when the command is typed again
            facts = cell.facts()
            value = facts.get("metrics", {}).get(self.settings["metric"])
            pruned = "pruned" in facts
            error = cell.error if cell.state == "failed" else self._no_value(cell, value)
            if error and cell.state != "failed":
                cell.state, cell.error = "failed", error
                board.announce(cell)
            if error or pruned:
                self.study.end(proposal.number, values, pruned=pruned, error=error)
                if error and self.config.sweep.on_error == "stop":
                    self._halt.set()
                return
            values[seed] = float(value)
        self.study.end(proposal.number, values)

    def _trial(self, proposal: Proposal, seed: int, number: Sequence[str], board: Board) -> Cell:
        words = [*expand(proposal.words), *number, "validate_only=true"]
        cell = self._composed(words, seed)
        cell.name = ", ".join([f"trial {proposal.number}", *proposal.words, *([f"seed={seed}"] if seed else [])])
        with self._composing:
            self.cells.append(cell)
            write_plan(self.cells, self.folder, self._command)
        while True:
            if cell.state == "waiting":
                check_cells([cell], self.run)
                run_cell(cell, self.run, board)
            if cell.state != "elsewhere":
                return cell
            board.announce(cell)
            while is_occupied(cell.directory) and not self._halt.wait(1):  # a process of a search that was killed
                pass
            cell.state = "waiting"
            if self._halt.is_set():
                return cell

    def _no_value(self, cell: Cell, value: Any) -> str:
        metric = self.settings["metric"]
        if not isinstance(value, (int, float)):
            self._halt.set()  # no other trial would have it
            known = ", ".join(name for name in cell.facts().get("metrics", {})) or "none"
            return f"it has no metric {metric} (it has: {known}); type another search.metric."
        return "" if math.isfinite(value) else f"{metric} is no number: training diverged."

    # The best on fresh seeds

    def _confirm(self, best: list[str], board: Board) -> None:
        """Run and test the best settings, and those before the search, on seeds that no trial has seen."""
        seeds = self.settings["fresh_seeds"]
        words_of_groups = {"winner": expand(best), "before": []}
        cells = {name: [self._composed(words, seed) for seed in seeds] for name, words in words_of_groups.items()}
        for name, group in cells.items():
            for cell, seed in zip(group, seeds, strict=True):
                cell.name = ", ".join([name, *(best if name == "winner" else []), f"seed={seed}"])
        self.cells += [cell for group in cells.values() for cell in group]
        write_plan(self.cells, self.folder, self._command)
        self.study.note({name: [cell.directory.name for cell in group] for name, group in cells.items()})
        run_all([cell for group in cells.values() for cell in group], self.run, board, stop=False)

    def _composed(self, words: Sequence[str], seed: int) -> Cell:
        overrides = [*self.fixed, *words, f"seed={seed}"]
        with self._composing:  # Hydra composes one at a time
            (cell,) = compose_cells(self.loader, self.config, [overrides], first=len(self.cells))
            return cell


def _settings(config: DictConfig) -> dict[str, Any]:
    """Return the settings of the search, checked."""
    found: Any = OmegaConf.to_container(config.search, resolve=True)
    if str(found["metric"]).startswith("test/"):
        raise LabsError(
            f"search.metric={found['metric']}: a search must not see the test images; type a metric of the validation "
            "images, such as val/acc."
        )
    for name, allowed in {"direction": ("maximize", "minimize"), "pruner": ("median", "none")}.items():
        if found[name] not in allowed:
            raise LabsError(f"search.{name}={found[name]}: expected {' or '.join(allowed)}.")
    for name, least in {"trials": 1, "seed": 0}.items():
        if isinstance(found[name], bool) or not isinstance(found[name], int) or found[name] < least:
            raise LabsError(f"search.{name}={found[name]}: expected a whole number from {least}.")
    if found["minutes"] is not None and not (isinstance(found["minutes"], (int, float)) and found["minutes"] > 0):
        raise LabsError(f"search.minutes={found['minutes']}: expected minutes such as 30, or null for no limit.")
    if not isinstance(found["fresh_seeds"], list):
        raise LabsError(f"search.fresh_seeds={found['fresh_seeds']}: expected a list of seeds, such as [100,101,102].")
    return found


def _fixed(words: Sequence[Override], experiment: str | None) -> tuple[list[str], list[int]]:
    """Return what was typed for every trial, and the seeds of each.

    Raises:
        LabsError: another setting than the seed has several values.
    """
    fixed, seeds = [], []
    for word in words:
        name = str(word.key_or_group)
        if name.startswith("search.") or (word.is_hydra_override() and not name.startswith("hydra.sweep")):
            continue
        if not word.is_sweep_override():
            fixed.append(str(word.input_line))
        elif name == "seed":
            seeds = [int(value) for value in word.sweep_string_iterator()]
        else:
            values = ", ".join(word.sweep_string_iterator())
            raise LabsError(
                f"{word.input_line}: in a search, only seeds can have several values. To search over it, type "
                f"'search.space={{{name}: [{values}]}}'."
            )
    if experiment and not any(word.startswith("experiment=") for word in fixed):
        fixed.insert(0, f"experiment={experiment}")
    return fixed, seeds

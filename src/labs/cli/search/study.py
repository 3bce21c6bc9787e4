"""What a search has tried: proposed by Optuna and kept in a journal, so that nothing is lost or tried twice."""

import math
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

import optuna
from filelock import FileLock, Timeout
from optuna.exceptions import ExperimentalWarning
from optuna.trial import FrozenTrial, TrialState

from labs import LabsError
from labs.reporting.search import RESULTS
from labs.runs.directory import shown_path
from labs.storage.files import to_json, write_text
from labs.trials.journal import JOURNAL, cut_torn_line, noted, open_journal, trial_of
from labs.trials.space import as_typed, read_space

STATES = {TrialState.COMPLETE: "done", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}


class Proposal(NamedTuple):
    """A trial: its number, and the words that set what the search varies."""

    number: int
    words: list[str]


class Study:
    """Propose settings, and note how they did.

    A proposal is a function of the search's seed, the trial's number, and the trials that ended before it: a search
    that is stopped and typed again ends like one that was not, if its trials run one after another.

    Args:
        folder: of the search.
        settings: as in `conf/search/`.
        recipe: the key of what all trials share; values of another could not be compared.
        at_once: trials side by side.

    Raises:
        LabsError: the folder holds another search or a journal that cannot be read, or another process runs this one.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any], recipe: str, at_once: int) -> None:
        self.folder, self.settings, self.at_once = folder, settings, at_once
        self.space = read_space(settings["space"])
        self._changes = Lock()
        self._going: set[int] = set()  # trials of this process
        self._again: dict[str, list[str]] = {}
        folder.mkdir(parents=True, exist_ok=True)
        self._only_one = FileLock(folder / ".search.lock")
        try:
            self._only_one.acquire(timeout=0)
        except Timeout:
            raise LabsError(
                f"another process runs the search in {shown_path(folder)}; wait for it, or type another "
                "hydra.sweep.dir=<folder>."
            ) from None
        try:
            cut_torn_line(folder)
            self._study = open_journal(folder, settings["direction"])
            self._check(recipe)
            self._write()
        except (ValueError, KeyError) as error:
            self.close()
            raise LabsError(
                f"{shown_path(folder / JOURNAL)} is not the journal of a search ({error}). {_ELSEWHERE}"
            ) from error
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let another process go on with the search."""
        self._only_one.release()

    def propose(self) -> Proposal | None:
        """Return a trial that was begun and has not ended, else a new one; None when there are as many as asked for."""
        with self._changes:
            trials = self._study.get_trials(deepcopy=False)
            begun = [t for t in trials if t.state == TrialState.RUNNING and t.number not in self._going]
            if not begun and len(trials) >= self.settings["trials"]:
                return None
            trial = begun[0] if begun else self._ask(len(trials))
            self._going.add(trial.number)
            return Proposal(trial.number, words_of(trial))

    def end(self, number: int, values: Mapping[int, float], *, pruned: bool = False, error: str = "") -> None:
        """Note how a trial ended.

        Args:
            number: of the trial.
            values: of the metric, by seed; the trial's value is their mean.
            pruned: whether it was stopped because others were better.
            error: why it failed.
        """
        value = sum(values.values()) / len(values) if values else math.nan
        failed = bool(error) or not (pruned or math.isfinite(value))
        state = TrialState.FAIL if failed else TrialState.PRUNED if pruned else TrialState.COMPLETE
        with self._changes:
            trial = trial_of(self._study, number)
            trial.set_user_attr("values", {str(seed): value for seed, value in values.items()})
            trial.set_user_attr("error", error)
            self._study.tell(number, value if state == TrialState.COMPLETE else None, state=state)
            self._going.discard(number)
            self._write()

    def best(self) -> FrozenTrial | None:
        """Return the trial with the best value, the first of several."""
        try:
            return self._study.best_trial
        except ValueError:  # none has a value
            return None

    def note(self, directories: Mapping[str, Sequence[str]]) -> None:
        """Note in which directories the best settings and those before the search are run again."""
        with self._changes:
            self._again = {name: list(found) for name, found in directories.items()}
            self._write()

    def _ask(self, number: int) -> FrozenTrial:
        """Propose a new trial, whatever was drawn before this process began."""
        seed = 1000 * self.settings["seed"] + number
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            # side by side, trials that have not ended count as bad ones, so that no two are alike
            self._study.sampler = optuna.samplers.TPESampler(seed=seed, constant_liar=self.at_once > 1)
            asked = self._study.ask(self.space)
        return self._study.get_trials(deepcopy=False)[asked.number]

    def _check(self, recipe: str) -> None:
        """Note what is searched, or refuse a journal of something else."""
        known = ("metric", "direction", "pruner", "seeds", "space", "seed")
        own = {"recipe": recipe, **{name: self.settings[name] for name in known}}
        found = noted(self._study)
        if not found:
            for name, value in own.items():
                self._study.set_user_attr(name, value)
        elif other := [name for name in own if found.get(name) != own[name]]:
            changes = [f"its {name} is {found.get(name)}, not {own[name]}" for name in other if name != "recipe"]
            why = "; ".join(changes) or "its trials share other settings"
            raise LabsError(f"{shown_path(self.folder)} holds another search: {why}. {_ELSEWHERE}")

    def _write(self) -> None:
        """Write what the report reads."""
        trials = [
            {
                "number": trial.number, "state": STATES.get(trial.state, "running"), "value": trial.value,
                "settings": {name: as_typed(value) for name, value in trial.params.items()},
                "numbers": trial.params, **trial.user_attrs,
                "epochs": max(trial.intermediate_values, default=0),
            }
            for trial in self._study.get_trials(deepcopy=False)
        ]  # fmt: skip
        content = {"format": 1, **noted(self._study), "trials": trials, **self._again}
        write_text(self.folder / RESULTS, to_json(content))


_ELSEWHERE = "Type another hydra.sweep.dir=<folder>, or remove that one."


def words_of(trial: FrozenTrial) -> list[str]:
    """Return the words that set what a trial tries."""
    return [f"{name}={as_typed(value)}" for name, value in trial.params.items()]

"""Stop a trial of a search that does worse than most others did in the same epoch."""

import math
from pathlib import Path
from typing import Any

import lightning.pytorch as pl

from labs.callbacks.measured import measured

FIRST_SHARE = 0.25  # of the epochs, in which no trial is stopped: early values say little of late ones


def pruning(*, trial: int | None, folder: str) -> "Pruning | None":
    """Return what reports to the search that a run is a trial of; None for any other run."""
    return None if trial is None else Pruning(trial=trial, folder=folder)


class Pruning(pl.Callback):
    """Report the metric of a search after each epoch, and end the training where the search's rule says so.

    The run ends as one that was stopped early: its record holds the epochs that it had.

    Args:
        trial: its number in the search.
        folder: of the run, which lies in that of the search.
    """

    def __init__(self, *, trial: int, folder: str) -> None:
        self.number, self.folder = trial, Path(folder).parent
        self.facts: dict[str, Any] = {}  # for metrics.json

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Open the journal of the search."""
        from labs.trials.journal import PRUNERS, noted, open_journal, trial_of  # only a trial waits for Optuna

        study = open_journal(self.folder)
        facts = noted(study)
        study.pruner = PRUNERS[str(facts["pruner"])]
        self.metric, self.trial = str(facts["metric"]), trial_of(study, self.number)
        self.known = set(study.get_trials(deepcopy=False)[self.number].intermediate_values)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Report, ask, and stop, in all processes of the run or in none."""
        epoch = trainer.current_epoch + 1
        if trainer.strategy.broadcast(trainer.is_global_zero and self._is_bad(trainer, epoch)):
            self.facts["pruned"] = epoch
            trainer.should_stop = True

    def _is_bad(self, trainer: pl.Trainer, epoch: int) -> bool:
        """Report the metric of an epoch, and say whether the search's rule stops the trial there."""
        value = measured(trainer, "train/", "val/").get(self.metric, math.nan)
        if math.isfinite(value) and epoch not in self.known:  # a resumed trial has reported its first epochs
            self.trial.report(value, epoch)
            self.known.add(epoch)
        planned = trainer.max_epochs or 0
        return FIRST_SHARE * planned <= epoch < planned and bool(self.trial.should_prune())

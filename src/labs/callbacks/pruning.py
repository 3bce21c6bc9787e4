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
        from labs.trials.journal import noted, open_journal, trial_of  # only a trial waits for Optuna

        facts = noted(open_journal(self.folder))
        self.metric = str(facts["metric"])
        self.study = open_journal(self.folder, pruner=str(facts["pruner"]))
        self.trial = trial_of(self.study, self.number)
        self.known = set(self.study.get_trials(deepcopy=False)[self.number].intermediate_values)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Report, ask, and stop."""
        if not trainer.is_global_zero:
            return
        value, epoch = measured(trainer, "train/", "val/").get(self.metric, math.nan), trainer.current_epoch + 1
        if math.isfinite(value) and epoch not in self.known:  # a resumed trial has reported its first epochs
            self.trial.report(value, epoch)
            self.known.add(epoch)
        planned = trainer.max_epochs or 0
        if FIRST_SHARE * planned <= epoch < planned and self.trial.should_prune():
            self.facts["pruned"] = epoch
            trainer.should_stop = True

"""Stop a trial of a search that is worse than most others were in the same epoch."""

import math
from pathlib import Path
from typing import Any

import lightning.pytorch as pl

from labs import LabsError
from labs.callbacks.measured import measured

FIRST_SHARE = 0.25  # fraction of the epochs in which no trial is stopped, because early values say little


def pruning(*, trial: int | None, folder: str) -> "Pruning | None":
    """Return the callback that reports to a search, or None if the run is not a trial of one.

    Raises:
        LabsError: There is no search that has this trial.
    """
    if trial is None:
        return None
    from labs.trials.journal import JOURNAL  # only a trial waits for Optuna

    if not (Path(folder).parent / JOURNAL).is_file():
        raise LabsError(f"trial={trial}: a search numbers its trials itself, and there is none; leave trial= out.")
    return Pruning(trial=trial, folder=folder)


class Pruning(pl.Callback):
    """Report the search's metric after each epoch, and stop training if the search's pruning rule says so.

    The run then ends like one that was stopped early, and its record holds the epochs so far.

    Args:
        trial: Number of the trial in the search.
        folder: Folder of the run, inside the folder of the search.
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
        """Report the metric, and stop in all processes of the run or in none."""
        epoch = trainer.current_epoch + 1
        if trainer.strategy.broadcast(trainer.is_global_zero and self._is_bad(trainer, epoch)):
            self.facts["pruned"] = epoch
            trainer.should_stop = True

    def _is_bad(self, trainer: pl.Trainer, epoch: int) -> bool:
        """Report the metric of an epoch, and return whether the pruning rule stops the trial."""
        value = measured(trainer, "train/", "val/").get(self.metric, math.nan)
        if math.isfinite(value) and epoch not in self.known:  # a resumed trial has reported its first epochs
            self.trial.report(value, epoch)
            self.known.add(epoch)
        planned = trainer.max_epochs or 0
        return FIRST_SHARE * planned <= epoch < planned and bool(self.trial.should_prune())

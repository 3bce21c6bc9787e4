"""Separate the metrics of this epoch from those that Lightning remembers from an earlier one."""

import math

import lightning.pytorch as pl
import torch

# Marks a metric that this epoch has not logged yet. It is not a number, so that no checkpoint is selected by it.
NOT_MEASURED = torch.tensor(math.nan)
OF_AN_EPOCH = ("train/", "val/")


def begin_epoch(trainer: pl.Trainer) -> None:
    """Forget the values of the previous epoch: without validation, Lightning would repeat them."""
    for name in trainer.callback_metrics:
        if name.startswith(OF_AN_EPOCH):
            trainer.callback_metrics[name] = NOT_MEASURED


def measured(trainer: pl.Trainer, *stages: str) -> dict[str, float]:
    """Return the metrics of these stages (`train/`, `val/`, `test/`) that were measured, including NaN."""
    found = {name: value for name, value in trainer.callback_metrics.items() if value is not NOT_MEASURED}
    return {name: value.item() for name, value in found.items() if name.startswith(stages)}

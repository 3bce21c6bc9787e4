"""Make every random number of an epoch a function of (seed, epoch), so that a run can be resumed exactly."""

import random

import lightning.pytorch as pl
import numpy as np
import torch


class Reseed(pl.Callback):
    """Seed Python, NumPy and torch at the start of every training epoch, differently on each rank.

    Dropout, and anything else that draws from the global generators, then gets the same numbers whether or not the run
    was interrupted before this epoch.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Seed this epoch."""
        words = np.random.SeedSequence([self.seed, trainer.current_epoch, trainer.global_rank]).generate_state(3)
        random.seed(int(words[0]))
        np.random.seed(int(words[1]))  # noqa: NPY002 - other libraries draw from the global state
        torch.manual_seed(int(words[2]))

"""SIGTERM in a run of several processes."""

import signal

import lightning.pytorch as pl

from labs.runs.signals import stop


class StopSignals(pl.Callback):
    """Stop a run of several processes immediately: Lightning's handler would wait for the busy processes."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Replace the handler that Lightning has just set, and that it removes at the end."""
        if trainer.world_size > 1:
            signal.signal(signal.SIGTERM, stop)

    def on_test_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Do as in training."""
        self.on_train_start(trainer, pl_module)

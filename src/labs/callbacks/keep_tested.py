"""Keep the weights of a method without gradient steps, so that its run can classify images later."""

from pathlib import Path

import lightning.pytorch as pl


class KeepTested(pl.Callback):
    """Save the tested weights.

    Args:
        dirpath: Folder of the run's checkpoints.
    """

    def __init__(self, *, dirpath: str) -> None:
        self.file = Path(dirpath) / "last.ckpt"

    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write `last.ckpt`."""
        trainer.save_checkpoint(self.file, weights_only=True)

"""TensorBoard beyond scalars: the HPARAMS tab, and a card with the recipe and the freeze table."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams


def writer(trainer: pl.Trainer) -> SummaryWriter | None:
    """Return the run's TensorBoard writer, or None if it has none (`logger=none`)."""
    return next((logger.experiment for logger in trainer.loggers if isinstance(logger, TensorBoardLogger)), None)


class TensorBoardCards(pl.Callback):
    """Fill the HPARAMS tab once, with the final test metrics, and the TEXT tab with command and freeze table.

    Args:
        recipe: the run's settings by name, plain words and numbers.
    """

    def __init__(self, recipe: Mapping[str, Any]) -> None:
        self.recipe = dict(recipe)

    @rank_zero_only
    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the TEXT tab."""
        board = writer(trainer)
        table = Path(trainer.default_root_dir) / "freeze.txt"
        if board is not None and table.is_file():
            board.add_text(
                "recipe",
                f"    {self.recipe['command']}\n\n"
                + "\n".join(f"    {line}" for line in table.read_text(encoding="utf-8").splitlines()),
            )

    @rank_zero_only
    def on_test_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the HPARAMS tab."""
        board = writer(trainer)
        if board is None:
            return
        settings = {
            "seed": self.recipe["seed"],
            "experiment": self.recipe["experiment"],
            **self.recipe["choices"],
        }
        metrics = {name: value.item() for name, value in trainer.callback_metrics.items() if name.startswith("test/")}
        file_writer = board._get_file_writer()
        for summary in hparams({name: str(value) for name, value in settings.items()}, metrics):
            file_writer.add_summary(summary)

"""TensorBoard beyond scalars: training beside validation, HPARAMS, and a card with recipe and freeze table."""

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
    """Fill three tabs that Lightning leaves empty.

    TEXT: the command and the freeze table. CUSTOM SCALARS: training and validation on one chart. HPARAMS: the recipe
    with the final test metrics, written once, when they are known.

    Args:
        recipe: what `metrics.json` says of the run besides its results.
    """

    def __init__(self, recipe: Mapping[str, Any]) -> None:
        self.recipe = dict(recipe)
        self.laid_out = False

    @rank_zero_only
    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the TEXT tab."""
        board = writer(trainer)
        table = Path(trainer.default_root_dir) / "freeze.txt"
        if board is not None:
            frozen = table.read_text(encoding="utf-8").splitlines() if table.is_file() else []
            board.add_text("recipe", "\n".join(f"    {line}" for line in (self.recipe["command"], "", *frozen)))

    @rank_zero_only
    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Lay out the CUSTOM SCALARS tab once the names of the metrics are known."""
        board = writer(trainer)
        if board is None or self.laid_out:
            return
        self.laid_out = True
        logged = [name for name in trainer.callback_metrics if name.startswith(("train/", "val/"))]
        names = dict.fromkeys(name.partition("/")[2] for name in logged)
        charts = {name: ["Multiline", [f"{split}/{name}" for split in ("train", "val")]] for name in names}
        board.add_custom_scalars({"training and validation": charts})

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
            **self.recipe["settings"],
        }
        metrics = {name: value.item() for name, value in trainer.callback_metrics.items() if name.startswith("test/")}
        file_writer = board._get_file_writer()
        plain = {name: value if isinstance(value, (int, float)) else str(value) for name, value in settings.items()}
        for summary in hparams(plain, metrics):
            file_writer.add_summary(summary)

"""TensorBoard beyond scalars: training and validation in one chart, HPARAMS, the recipe, and pictures."""

import math
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.loggers.logger import DummyLogger
from lightning.pytorch.utilities import rank_zero_only
from PIL import Image
from torch.utils.tensorboard import FileWriter, SummaryWriter
from torch.utils.tensorboard.summary import hparams

from labs.drawing.figures import Figure
from labs.storage.files import replacing

MOST = 100  # epochs with pictures, in a run directory and in TensorBoard
HPARAMS = ".hparams"  # suffix of a separate file, which a run that is resumed with other settings replaces


def writer(trainer: pl.Trainer) -> Any:
    """Return the run's TensorBoard writer or, without one (`logger=none`), an object whose methods do nothing."""
    found = (logger.experiment for logger in trainer.loggers if isinstance(logger, TensorBoardLogger))
    return next(found, DummyLogger().experiment)


def picture_is_due(trainer: pl.Trainer, every: int = 1) -> bool:
    """Return whether this epoch has a picture: each does that is asked for, unless so many would fill the disk.

    Of more than `MOST` pictures every second, third, ... is drawn; of endless ones they become rarer. The last epoch
    always has one.

    Args:
        trainer: Knows the epoch, and how many there will be.
        every: Number of epochs from one picture to the next.
    """
    epoch, planned = trainer.current_epoch + 1, trainer.max_epochs or 0
    number, count = epoch // every, planned // every
    between = math.ceil(count / MOST) if planned > 0 else 2 ** max(0, int(math.log2(max(2 * number / MOST, 1))))
    return epoch == planned or (epoch % every == 0 and number % max(1, between) == 0)


def images_folder(trainer: pl.Trainer, *parts: str) -> Path:
    """Return `images/` of the run directory, or a folder in it, and create it if needed."""
    folder = Path(trainer.default_root_dir, "images", *parts)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def show_figures(trainer: pl.Trainer, figures: Mapping[str, Figure]) -> None:
    """Save figures as `images/<name>.png`, and show them in TensorBoard as `test/<name>`."""
    for name, figure in figures.items():
        figure.write(images_folder(trainer) / f"{name}.png", dpi=110)
        writer(trainer).add_figure(f"test/{name}", figure, global_step=trainer.global_step, close=False)


def save_picture(picture: np.ndarray, path: Path) -> None:
    """Save a picture, uint8 (height, width, 3), as a PNG file."""
    with replacing(path) as staged:
        Image.fromarray(picture).save(staged, format="PNG")


def show_picture(trainer: pl.Trainer, tag: str, path: Path, step: int = 0) -> None:
    """Show a picture file in TensorBoard, at most 3000 pixels wide and 4000 high."""
    if not isinstance(writer(trainer), SummaryWriter):
        return
    with Image.open(path) as image:
        image.thumbnail((3000, 4000))
        writer(trainer).add_image(tag, np.asarray(image.convert("RGB")), step, dataformats="HWC")


class TensorBoardCards(pl.Callback):
    """Fill three tabs that Lightning leaves empty.

    TEXT: the command and the freeze table. CUSTOM SCALARS: training and validation in one chart. HPARAMS: the recipe
    with the final test metrics.

    Args:
        recipe: The facts of the run in `metrics.json`, without its results.
    """

    def __init__(self, recipe: Mapping[str, Any]) -> None:
        self.recipe = dict(recipe)
        self.laid_out = False

    @rank_zero_only
    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the TEXT tab, and hand the recipe to other loggers."""
        for logger in trainer.loggers:
            if not isinstance(logger, TensorBoardLogger):
                logger.log_hyperparams(self._settings())
        table = Path(trainer.default_root_dir) / "freeze.txt"
        frozen = table.read_text(encoding="utf-8").splitlines() if table.is_file() else []
        lines = (*self.recipe["command"].splitlines(), "", *frozen)
        text = "\n".join(f"    {line}" for line in lines)  # as code: nothing in it is Markdown
        writer(trainer).add_text("recipe", text)

    @rank_zero_only
    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Set up the CUSTOM SCALARS tab when the names of the metrics are known."""
        if self.laid_out:
            return
        self.laid_out = True
        logged = [name for name in trainer.callback_metrics if name.startswith(("train/", "val/"))]
        names = dict.fromkeys(name.partition("/")[2] for name in logged)
        charts = {name: ["Multiline", [f"{split}/{name}" for split in ("train", "val")]] for name in names}
        writer(trainer).add_custom_scalars({"training and validation": charts})

    @rank_zero_only
    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the HPARAMS tab last: TensorBoard stops reading a file when it finds a later one."""
        board = writer(trainer)
        if not isinstance(board, SummaryWriter):
            return
        board.flush()
        folder = Path(board.get_logdir())
        for earlier in folder.glob(f"*{HPARAMS}"):  # TensorBoard shows the first it finds
            earlier.unlink()
        metrics = {name: value.item() for name, value in trainer.callback_metrics.items() if name.startswith("test/")}
        with closing(FileWriter(str(folder), filename_suffix=HPARAMS)) as own:
            for summary in hparams(self._settings(), metrics):
                own.add_summary(summary)

    def _settings(self) -> dict[str, Any]:
        """Return the recipe as one flat table of numbers and texts."""
        settings = {name: self.recipe[name] for name in ("seed", "experiment")}
        settings |= {**self.recipe["choices"], **self.recipe["settings"]}
        return {name: value if isinstance(value, (int, float)) else str(value) for name, value in settings.items()}

"""Learning curves with the test split: a figure of all three curves, of which the test curve selects nothing."""

from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pandas as pd
import torch
import torch.nn.functional as F
from lightning.pytorch.utilities import rank_zero_only

from labs.callbacks.measured import measured
from labs.callbacks.notes import of_the_run
from labs.callbacks.record import tsv
from labs.callbacks.tensorboard import images_folder, show_picture
from labs.datamodules.image_classification import ImageClassification
from labs.datamodules.protocols import handed_over
from labs.drawing.curves import curves_png
from labs.nets.eval_mode import evaluating
from labs.storage.files import write_text

NOTE = "the tested epoch is selected on validation images, not by the test curve"


class LearningCurves(pl.Callback):
    """Measure loss and accuracy of the test split after every epoch, and draw them with training and validation.

    The callback writes `learning_curves.tsv` during the run and `images/learning_curves.png` at its end. The test
    metrics are not logged, so that no checkpoint or schedule can depend on them. No random number is drawn.
    """

    def __init__(self) -> None:
        self.rows: list[dict[str, float]] = []

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Refuse data other than labeled images, before training."""
        handed_over(trainer, ImageClassification, to=self)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Add the epoch's row."""
        epoch = trainer.current_epoch + 1
        row = {"epoch": epoch, **measured(trainer, "train/", "val/"), **self._tested(trainer, pl_module)}
        self.rows = [earlier for earlier in self.rows if earlier["epoch"] < epoch] + [row]
        self._write(trainer)

    @rank_zero_only
    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw the curves."""
        if not self.rows:
            return
        path = images_folder(trainer) / "learning_curves.png"
        data = handed_over(trainer, ImageClassification, to=self)
        notes = of_the_run(trainer, data.labels)
        notes += [] if data.validation == "test" else [NOTE]
        curves_png(pd.DataFrame(self.rows), path, f"Learning curves, {data.dataset}", notes)
        show_picture(trainer, "learning_curves", path, trainer.global_step)

    def state_dict(self) -> dict[str, Any]:
        """Save the rows with the checkpoint."""
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the rows of the resumed run."""
        rows = [{str(name): float(value) for name, value in row.items()} for row in state_dict["rows"]]
        self.rows = [{**row, "epoch": int(row["epoch"])} for row in rows]

    def _tested(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> dict[str, float]:
        """Return loss and accuracy of the test split with the current weights."""
        data, device = handed_over(trainer, ImageClassification, to=self), pl_module.device
        labels = torch.from_numpy(data.images["test"].labels[data.rows["test"]])
        with torch.no_grad(), evaluating(pl_module), trainer.precision_plugin.forward_context():
            logits = torch.cat([pl_module(images).float().cpu() for images in data.every("test", device)])
        right = (logits.argmax(dim=1) == labels).float().mean()
        return {"test/acc": right.item(), "test/loss": F.cross_entropy(logits, labels).item()}

    @rank_zero_only
    def _write(self, trainer: pl.Trainer) -> None:
        write_text(Path(trainer.default_root_dir) / "learning_curves.tsv", tsv(self.rows))

"""Follow the test split from epoch to epoch, for a figure with all three curves; nothing is chosen by it."""

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

NOTE = "the test curve chooses nothing: the epoch that is tested is chosen on validation images"


class LearningCurves(pl.Callback):
    """Measure loss and accuracy of the test split after every epoch, and draw them beside training and validation.

    It writes `learning_curves.tsv` as the run goes on and `images/learning_curves.png` when it ends. The numbers stay
    out of the log, so that no checkpoint and no schedule can be chosen by them; no random number is drawn.
    """

    def __init__(self) -> None:
        self.rows: list[dict[str, float]] = []

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Refuse other data than labeled images before anything is trained."""
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
        """Take up the rows of the run that is resumed."""
        rows = [{str(name): float(value) for name, value in row.items()} for row in state_dict["rows"]]
        self.rows = [{**row, "epoch": int(row["epoch"])} for row in rows]

    def _tested(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> dict[str, float]:
        """Return loss and accuracy of the test split, of the weights as they are now."""
        data, device = handed_over(trainer, ImageClassification, to=self), pl_module.device
        labels = torch.from_numpy(data.images["test"].labels[data.rows["test"]])
        with torch.no_grad(), evaluating(pl_module), trainer.precision_plugin.forward_context():
            logits = torch.cat([pl_module(images).float().cpu() for images in data.every("test", device)])
        right = (logits.argmax(dim=1) == labels).float().mean()
        return {"test/acc": right.item(), "test/loss": F.cross_entropy(logits, labels).item()}

    @rank_zero_only
    def _write(self, trainer: pl.Trainer) -> None:
        write_text(Path(trainer.default_root_dir) / "learning_curves.tsv", tsv(self.rows))

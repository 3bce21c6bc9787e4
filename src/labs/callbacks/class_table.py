"""A table of the accuracy of each class."""

from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pandas as pd
from lightning.pytorch.utilities import rank_zero_only
from torchmetrics.classification import MulticlassConfusionMatrix

from labs.datamodules.protocols import ImagesOfClasses, handed_over
from labs.storage.files import write_text


class ClassTable(pl.Callback):
    """Write `classes.tsv`: per class the test images, the correct predictions, and the most frequent mistake."""

    def on_test_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start counting."""
        classes = handed_over(trainer, ImagesOfClasses, to=self).classes
        self.confusion = MulticlassConfusionMatrix(num_classes=len(classes)).to(pl_module.device)

    def on_test_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, *_: Any) -> None:
        """Count a batch if the method returns predictions for it."""
        if outputs:
            self.confusion.update(outputs["preds"], outputs["labels"])

    def on_test_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the table."""
        self._write(trainer, self.confusion.compute().cpu().numpy())  # of all ranks

    @rank_zero_only
    def _write(self, trainer: pl.Trainer, matrix: Any) -> None:
        classes = handed_over(trainer, ImagesOfClasses, to=self).classes
        rows = []
        for label, name in enumerate(classes):
            images, right = int(matrix[label].sum()), int(matrix[label, label])
            wrong = matrix[label].copy()
            wrong[label] = 0
            often = classes[int(wrong.argmax())] if wrong.any() else ""
            share = f"{right / images:.6f}" if images else ""
            rows.append((name, images, right, share, often, int(wrong.max()) if often else 0))
        columns = ["class", "images", "right", "accuracy", "most_often_taken_for", "times"]
        table = pd.DataFrame(rows, columns=columns).to_csv(sep="\t", index=False, lineterminator="\n")
        write_text(Path(trainer.default_root_dir) / "classes.tsv", table)

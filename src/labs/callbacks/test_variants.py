"""Test a classifier on shifted, brightened, rotated and inverted test images: one table and one sheet."""

from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
import torch.nn.functional as F
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor
from torchmetrics import MeanMetric
from torchmetrics.classification import MulticlassAccuracy

from labs import LabsError
from labs.callbacks.notes import is_limited, of_the_run
from labs.callbacks.record import tsv
from labs.callbacks.tensorboard import images_folder, show_picture
from labs.datamodules.image_classification import ImageClassification
from labs.datamodules.protocols import ImagesOfClasses, handed_over
from labs.drawing.figures import shortened
from labs.drawing.tile_sheets import Section, Tile, tile_sheet
from labs.functional.image_variants import VARIANTS
from labs.nets.eval_mode import as_built, evaluating
from labs.storage.files import write_text

LONGEST = 13  # characters of a class name below an image
FILE, PICTURE = "variants.tsv", "test_variants"


class TestVariants(pl.Callback):
    """Test the net on eight versions of each test image (`labs.functional.image_variants`).

    The versions are made from the stored 8-bit pixels and normalized like the originals. `variants.tsv` holds the
    accuracy and the loss of each version, and the share of images whose prediction does not change.
    `images/test_variants.png` shows some of them with their predictions. `test/<version>_acc` is a metric of the run.

    Args:
        shown: Number of test images on the sheet, evenly spaced in the split.
    """

    __test__ = False  # pytest would take this class for a test

    def __init__(self, *, shown: int = 6) -> None:
        if shown < 1:
            raise LabsError(f"callbacks.variants.shown={shown}: expected 1 or more.")
        self.shown = shown

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Refuse runs that do not train a classifier, before training."""
        if not isinstance(handed_over(trainer, ImagesOfClasses, to=self), ImageClassification):
            raise LabsError("callbacks=test_variants works only for classifiers; leave it out.")

    def on_test_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Compute the metrics; logged here, they are available to all callbacks at the end."""
        data = handed_over(trainer, ImagesOfClasses, to=self)
        assert isinstance(data, ImageClassification)
        count = len(data.rows["test"])
        if is_limited(trainer, "test"):
            count = min(count, int(trainer.num_test_batches[0]) * data.batch_size)
        rows: list[dict[str, Any]] = []
        found = {name: self._answers(name, data, pl_module, count) for name in VARIANTS}
        labels = torch.as_tensor(data.images["test"].labels[data.images["test"].rows[:count]])
        for name, logits in found.items():
            accuracy = MulticlassAccuracy(len(data.classes), average="micro")
            loss, same = MeanMetric(nan_strategy="disable"), MeanMetric()
            accuracy.update(logits, labels)
            loss.update(F.cross_entropy(logits, labels, reduction="none"))
            same.update((logits.argmax(dim=1) == found["normal"].argmax(dim=1)).float())
            values = (accuracy.compute().item(), same.compute().item(), loss.compute().item())
            rows.append({"variant": name, **dict(zip(("accuracy", "same_answer", "loss"), values, strict=True))})
            if name != "normal":  # that is test/acc
                pl_module.log(f"test/{name}_acc", values[0], batch_size=1)
        self._write(trainer, data, rows, found, count)

    def _answers(self, name: str, data: ImageClassification, module: pl.LightningModule, count: int) -> Tensor:
        """Return the logits of one version of the first test images, on the CPU."""
        net = module.get_submodule("net")
        logits = []
        with as_built(net), evaluating(net), torch.no_grad():
            for positions in torch.arange(count).split(data.batch_size):
                stored = data.images["test"][positions.tolist()].images.to(module.device)
                images = data.transformed(VARIANTS[name](stored), positions.to(module.device), None)
                logits.append(net(images.to(next(net.parameters()).dtype)).float().cpu())
        return torch.cat(logits)

    @rank_zero_only
    def _write(
        self,
        trainer: pl.Trainer,
        data: ImageClassification,
        rows: list[dict[str, Any]],
        found: dict[str, Tensor],
        count: int,
    ) -> None:
        rounded = [{k: f"{v:.6f}" if isinstance(v, float) else v for k, v in row.items()} for row in rows]
        write_text(Path(trainer.default_root_dir) / FILE, tsv(rounded))
        places = np.unique(np.linspace(0, count - 1, min(self.shown, count)).round().astype(int))
        stored = data.images["test"][places.tolist()]
        tiles = [
            Tile(
                np.moveaxis(VARIANTS[name](stored.images[[row]])[0].numpy(), 0, 2) / 255,
                _caption(name if row == 0 else "", data.classes, found[name][place], int(stored.labels[row])),
            )
            for row, place in enumerate(places)
            for name in VARIANTS
        ]
        best, worst = (pick(rows[1:], key=lambda row: row["accuracy"]) for pick in (max, min))
        listed = (f"{row['variant'].replace('_', ' ')} {row['accuracy']:.1%}" for row in (rows[0], best, worst))
        path = images_folder(trainer) / f"{PICTURE}.png"
        title = f"Accuracy on changed test images: {', '.join(listed)}"
        note = "Below each image: the net's prediction and its confidence; + means right, - means wrong."
        tile_sheet(
            [Section("", tiles)], path, title, of_the_run(trainer, data.labels), columns=len(VARIANTS), note=note
        )
        show_picture(trainer, f"test/{PICTURE}", path, trainer.global_step)


def _caption(variant: str, classes: list[str], logits: Tensor, label: int) -> str:
    confidence, answer = logits.softmax(dim=0).max(dim=0)
    sign = "+" if int(answer) == label else "-"
    line = f"{sign} {shortened(classes[int(answer)], LONGEST)} {confidence:.0%}"
    return f"{variant.replace('_', ' ')}\n{line}" if variant else f"{line}"

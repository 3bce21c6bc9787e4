"""Loss and accuracy of the training batch every few steps: the course of a short training."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
import torch.nn.functional as F
from lightning.pytorch.utilities import rank_zero_only

from labs import LabsError
from labs.callbacks.notes import of_the_run
from labs.callbacks.tensorboard import images_folder, show_picture
from labs.datamodules.batches import Batch
from labs.datamodules.protocols import Recorded, handed_over
from labs.drawing.step_curves import draw_steps
from labs.nets.eval_mode import evaluating
from labs.storage.files import write_text

FILE = "steps.tsv"


class StepCurves(pl.Callback):
    """Measure the net on the batch of the current step, in eval mode (without dropout).

    Loggers show the results as `steps/loss` and `steps/acc`. They are saved in `steps.tsv` and drawn in
    `images/steps.png`. The results of the run do not change.

    Args:
        every: Number of optimizer steps from one measurement to the next, from the first step on.
    """

    def __init__(self, *, every: int) -> None:
        if every < 1:
            raise LabsError(f"callbacks.steps.every={every}: expected 1 or more.")
        self.every = every
        self.rows: list[list[float]] = []  # step (from 1), loss, accuracy

    @rank_zero_only
    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        """Measure if it is due."""
        step = trainer.global_step
        if (step - 1) % self.every or (self.rows and self.rows[-1][0] >= step):  # or gradients are accumulated
            return
        net = pl_module.get_submodule("net")
        with torch.no_grad(), evaluating(net), trainer.precision_plugin.forward_context():
            logits = pl_module(batch.images).float()
        loss = float(F.cross_entropy(logits, batch.labels))
        accuracy = float((logits.argmax(1) == batch.labels).float().mean())
        self.rows.append([step, loss, accuracy])
        for logger in trainer.loggers:
            logger.log_metrics({"steps/loss": loss, "steps/acc": accuracy}, step=step)

    @rank_zero_only
    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the table and draw it."""
        if not self.rows:
            return
        lines = ["step\tloss\tacc", *(f"{step:.0f}\t{loss:.6g}\t{acc:.6g}" for step, loss, acc in self.rows)]
        write_text(Path(trainer.default_root_dir) / FILE, "\n".join(lines) + "\n")
        path = images_folder(trainer) / "steps.png"
        note = of_the_run(trainer, handed_over(trainer, Recorded, to=self).labels)
        draw_steps(np.array(self.rows), path, note)
        show_picture(trainer, "steps", path, trainer.global_step)

    def state_dict(self) -> dict[str, Any]:
        """Save the measurements, for a resumed run."""
        return {"rows": [list(row) for row in self.rows]}

    def load_state_dict(self, state_dict: dict[str, Sequence[Sequence[float]]]) -> None:
        """Restore the measurements."""
        self.rows = [list(row) for row in state_dict["rows"]]

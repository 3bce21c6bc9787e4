"""(d) From the start of the process to the end of the first training step, against the bare imports."""

import time
from pathlib import Path
from typing import Any

import lightning.pytorch as pl

from parts.common import SCRATCH, Row, forget_outputs, median, python, seconds, train

IMPORTS = "import torch, torchvision, lightning.pytorch, hydra, omegaconf, torchmetrics, torch.utils.tensorboard"


class FirstStep(pl.Callback):
    """Write down when the first step has ended.

    Args:
        file: receives the time, in seconds of the system's clock.
    """

    def __init__(self, *, file: str) -> None:
        self.file = Path(file)

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        """Write, once."""
        if trainer.global_step == 1:
            self.file.write_text(str(time.time()), encoding="utf-8")


def measure(quick: bool) -> list[Row]:
    """Time the quick start in turns with the imports that it cannot do without."""
    file = SCRATCH / "first_step"
    clock = ["+callbacks.first_step._target_=parts.start.FirstStep", f"+callbacks.first_step.file={file}"]
    train("trainer.max_epochs=1")  # embedded weights are made
    starts, imports = [], []
    for _ in range(3 if quick else 7):
        forget_outputs()
        began = time.time()
        train("trainer.max_epochs=1", *clock)
        starts.append(float(file.read_text(encoding="utf-8")) - began)
        imports.append(python("-c", IMPORTS))
    over = median([a - b for a, b in zip(starts, imports)])
    return [
        Row(
            "d",
            "the quick start, from the start of the process to the end of its first step, against bare imports",
            seconds(median(starts)),
            seconds(median(imports)),
            f"{over:.2f} s more",
            "<= 1.5 s",
            over <= 1.5,
            {"starts": starts, "imports": imports},
        )
    ]

"""How a net is executed: its memory format, and with or without compilation."""

import os
import shutil
import time

import lightning.pytorch as pl
import torch
from lightning.pytorch.utilities import rank_zero_only
from rich.console import Console

from labs import LabsError
from labs.quantities import duration


class Execution(pl.Callback):
    """Use the fastest memory format, and compile the net on request; results change by rounding alone.

    The net is compiled during the first epoch. After the second epoch the callback prints the time this took.

    Args:
        channels_last: Whether the channels of each pixel are adjacent in memory (NHWC), the fastest format for
            convolutions.
        compile: Whether torch.compile generates code for the net.
    """

    def __init__(self, *, channels_last: bool = True, compile: bool = False) -> None:  # noqa: A002 - the field's word
        self.channels_last, self.compile = channels_last, compile
        self.seconds: list[float] = []
        self.facts: dict[str, float] = {}  # for metrics.json

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Prepare the net once.

        Raises:
            LabsError: If this machine has no compiler.
        """
        net = pl_module.get_submodule("net")
        if stage != "fit":
            return
        if self.channels_last:
            net.to(memory_format=torch.channels_last)
        if self.compile:
            compilers = (os.environ.get("CXX", ""), "g++", "clang++", "cl")
            if not any(name and shutil.which(name) for name in compilers):
                raise LabsError(
                    "compile=true: no C++ compiler was found; install g++ or clang++, or leave compile=true out."
                )
            torch.compiler.reset()  # forget the nets of earlier cells of a grid
            net.compile()

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Refuse settings that do not work together.

        Raises:
            LabsError: If gradients would be clipped before a fused optimizer has unscaled them.
        """
        fused = any(group.get("fused") for optimizer in trainer.optimizers for group in optimizer.param_groups)
        if fused and trainer.precision == "16-mixed" and trainer.gradient_clip_val:
            raise LabsError(
                "precision=fp16: the gradients of a fused optimizer cannot be clipped; type optimizer.fused=false."
            )

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Record the start time."""
        self.started = time.monotonic()

    @rank_zero_only
    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Print how much longer the first epoch took than the second."""
        if not self.compile or len(self.seconds) == 2:
            return
        self.seconds.append(time.monotonic() - self.started)
        if len(self.seconds) == 2:
            first, second = self.seconds
            self.facts["compile_seconds"] = round(max(first - second, 0.0), 1)
            line = f"Compilation took {duration(first - second)}, once. An epoch now takes {second:.2f} s."
            Console(emoji=False).print(line, highlight=False, soft_wrap=True)

"""How a net is executed: the order of its channels in memory, and as written or compiled."""

import os
import shutil
import time

import lightning.pytorch as pl
import torch
from lightning.pytorch.utilities import rank_zero_only
from rich.console import Console

from labs import LabsError
from labs.runs.durations import duration


class Execution(pl.Callback):
    """Lay a net's weights out as its device likes them, and compile it if asked; numbers change by rounding alone.

    Compiling happens in the first epoch; what it costs is told after the second, apart from the training.

    Args:
        channels_last: keep the channels of each pixel together (NHWC), the order that convolutions are fastest in.
        compile: let torch.compile generate the net's code.
    """

    def __init__(self, *, channels_last: bool = True, compile: bool = False) -> None:  # noqa: A002 - the field's word
        self.channels_last, self.compile = channels_last, compile
        self.seconds: list[float] = []
        self.facts: dict[str, float] = {}  # for metrics.json

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Prepare the net, once.

        Raises:
            LabsError: nothing can be compiled on this machine.
        """
        net = pl_module.get_submodule("net")
        if stage != "fit":
            return
        if self.channels_last:
            net.to(memory_format=torch.channels_last)
        if self.compile:
            compilers = (os.environ.get("CXX", ""), "g++", "clang++", "cl")
            if not any(name and shutil.which(name) for name in compilers):
                raise LabsError("compile=true: there is no C++ compiler here; install g++ or clang++, or leave it out.")
            torch.compiler.reset()  # an earlier cell of a grid has nets of its own
            net.compile()

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Refuse what cannot go together.

        Raises:
            LabsError: gradients would be clipped that the optimizer itself brings back to scale.
        """
        fused = any(group.get("fused") for optimizer in trainer.optimizers for group in optimizer.param_groups)
        if fused and trainer.precision == "16-mixed" and trainer.gradient_clip_val:
            raise LabsError("precision=fp16 cannot clip a fused optimizer's gradients; type optimizer.fused=false.")

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Take the time."""
        self.started = time.monotonic()

    @rank_zero_only
    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Tell how much longer the first epoch took than the second."""
        if not self.compile or len(self.seconds) == 2:
            return
        self.seconds.append(time.monotonic() - self.started)
        if len(self.seconds) == 2:
            first, second = self.seconds
            self.facts["compile_seconds"] = round(max(first - second, 0.0), 1)
            line = f"compile: {duration(first - second)}, once; an epoch takes {second:.2f} s now"
            Console(emoji=False).print(line, highlight=False, soft_wrap=True)

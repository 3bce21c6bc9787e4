"""Histograms of the trained weights and their gradients in TensorBoard."""

import lightning.pytorch as pl
import torch
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor
from torch.optim import Optimizer
from torch.utils.tensorboard import SummaryWriter

from labs import LabsError
from labs.callbacks.tensorboard import writer

BINS = 64


class Histograms(pl.Callback):
    """Write a histogram of each trained parameter and of its gradient before an optimizer step.

    TensorBoard shows them under `weights/<name>` and `gradients/<name>`, in its tabs Histograms and Distributions.
    Frozen parameters have no gradient and are left out. The results of the run do not change.

    Args:
        every: Number of optimizer steps from one histogram to the next, from the first step on.
    """

    def __init__(self, *, every: int) -> None:
        if every < 1:
            raise LabsError(f"callbacks.histograms.every={every}: expected 1 or more.")
        self.every = every

    @rank_zero_only
    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Optimizer
    ) -> None:
        """Write the histograms if they are due."""
        if trainer.global_step % self.every or not isinstance(writer(trainer), SummaryWriter):
            return
        stepped = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
        for name, parameter in pl_module.named_parameters():
            if parameter.grad is not None and id(parameter) in stepped:
                for kind, values in (("weights", parameter), ("gradients", parameter.grad)):
                    _write(trainer, f"{kind}/{name.removeprefix('net.')}", values.detach())


def _write(trainer: pl.Trainer, tag: str, values: Tensor) -> None:
    """Write one histogram, computed on the device of the values, because a layer may have millions of them."""
    values = values.float().flatten()
    low, high = (float(end) for end in torch.aminmax(values))
    if not torch.isfinite(torch.tensor([low, high])).all():
        return  # other callbacks report values that are not finite
    if low == high:  # TensorBoard needs a width
        low, high = low - 1e-6, high + 1e-6
    counts = torch.histc(values, BINS, low, high)
    limits = torch.linspace(low, high, BINS + 1)[1:]
    writer(trainer).add_histogram_raw(
        tag,
        min=low,
        max=high,
        num=values.numel(),
        sum=float(values.sum()),
        sum_squares=float(values.square().sum()),
        bucket_limits=limits.tolist(),
        bucket_counts=counts.tolist(),
        global_step=trainer.global_step,
    )

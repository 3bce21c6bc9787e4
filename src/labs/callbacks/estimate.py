"""What a run will need: its memory before the first step, and its time after the first steps."""

import math
import time
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor, nn

from labs.callbacks.notes import say_warning
from labs.callbacks.work import TimeLeft, Work, work_of
from labs.inspection.saved import bytes_saved
from labs.quantities import duration, quantity
from labs.runs.memory import free, most_taken, size, taken

UNITS, SECONDS, LONG = 3, 2.0, 10.0  # after so many units and seconds, or so many seconds, the time is known
WORTH = 10.0  # seconds; a shorter training needs no estimate
OF_A_STEP = 1 / 3  # time of a forward pass, where a step is a forward and a backward pass


class Estimate(pl.Callback):
    """Print how much memory a training takes, before its first step, and how long it takes, after the first steps.

    The memory is that of the process so far, gradients, the optimizer's state, and what the backward pass needs. It
    warns if that is more than is free. Nothing that the run computes changes. `metrics.json` keeps both estimates and
    the memory that the training really took, so that they can be compared.
    """

    def __init__(self) -> None:
        self.facts: dict[str, Any] = {}  # for metrics.json
        self.left: TimeLeft | None = None  # until the time was printed

    @rank_zero_only
    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin to measure, if the run shows any progress."""
        self.left, self.began, self.first_epoch = None, False, trainer.current_epoch
        if trainer.progress_bar_callback is not None:
            self.left, self.since = TimeLeft(), time.monotonic()
            self.left.begin(work_of(trainer, pl_module, 0).done)

    @rank_zero_only
    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Print the memory, before the first step: it is now known what trains, and on which images."""
        if self.left is not None and not self.began:
            self.began = True
            self._memory(trainer, pl_module, batch)

    @rank_zero_only
    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        """Look at the clock: a step can have many evaluations of its loss."""
        work = work_of(trainer, pl_module, 0)
        if work.unit == "evaluation":
            self._clock(trainer, work)

    @rank_zero_only
    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *places: Any) -> None:
        """Look at the clock."""
        self._clock(trainer, work_of(trainer, pl_module, places[2] + 1))

    @rank_zero_only
    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Record the memory that the training took."""
        if self.facts and (most := most_taken(pl_module.device)) is not None:
            self.facts["estimate"]["measured_bytes"] = most

    def _memory(self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any) -> None:
        now, left = taken(pl_module.device), free(pl_module.device)
        if now is None or left is None:
            return
        images = getattr(getattr(batch, "labeled", batch), "images", None)
        net, kept = getattr(pl_module, "net", None), None
        if pl_module.automatic_optimization and isinstance(images, Tensor) and isinstance(net, nn.Module):
            kept = bytes_saved(net, images)
        if kept is not None and trainer.precision in ("bf16-mixed", "16-mixed"):
            kept //= 2
        more = state_bytes(trainer.optimizers) + (kept or 0)
        self.facts["estimate"] = {"bytes": now + more}
        where = "of the GPU's memory" if pl_module.device.type == "cuda" else "of memory"
        least = "about" if kept is not None else "at least"
        count = len(images) if kept is not None and images is not None else 0
        batches = f" for batches of {count}" if count else ""
        print(f"Training takes {least} {size(now + more)} {where}{batches}; {size(left)} are free.", flush=True)
        if more > left:
            fitting = int(count * max(left - (more - (kept or 0)), 0) / kept) if kept else 0
            smaller = 2 ** int(math.log2(fitting)) if fitting else 1
            advice = f"Type batch_size={smaller}" if count > 1 else "Choose a smaller net or smaller images"
            say_warning(f"this training needs {size(more)} more, but only {size(left)} are free. {advice}.")

    def _clock(self, trainer: pl.Trainer, work: Work) -> None:
        if self.left is None:
            return
        self.left.note(work.done)
        seconds, each = time.monotonic() - self.since, self.left.seconds_each(work.done)
        counted = work.done - self.left.marks[-1][1]
        if each is None or counted < 1 or not (seconds >= LONG or (counted >= UNITS and seconds >= SECONDS)):
            return
        left, self.left = self.left, None
        rest = left.seconds(trainer, work)
        if rest is None:
            return
        whole = seconds + rest + (OF_A_STEP * each * validations(trainer) if work.unit == "step" else 0)
        self.facts.setdefault("estimate", {})["seconds"] = round(whole, 1)
        if whole < WORTH or trainer.current_epoch > self.first_epoch:  # the line of an epoch says it, too
            return
        if work.unit == "step" and (trainer.max_epochs or 0) > 1:
            what = f"{trainer.max_epochs} epochs of {quantity(int(trainer.num_training_batches), 'step')}"
        else:
            what = quantity(work.planned, work.unit) if work.planned else f"{work.unit}s"
        print(f"Training takes about {duration(whole)}: {what}, {each:.2g} s each on this machine.", flush=True)


def state_bytes(optimizers: list[torch.optim.Optimizer]) -> int:
    """Return the bytes of gradients and of optimizers' states that are not there yet.

    Examples:
        >>> weights = torch.nn.Parameter(torch.zeros(1000))
        >>> state_bytes([torch.optim.Adam([weights])]), state_bytes([torch.optim.SGD([weights])])
        (12000, 4000)
    """
    return sum(
        parameter.numel() * parameter.element_size() * ((parameter.grad is None) + _states(group, optimizer, parameter))
        for optimizer in optimizers
        for group in optimizer.param_groups
        for parameter in group["params"]
        if parameter.requires_grad
    )


def _states(group: dict[str, Any], optimizer: torch.optim.Optimizer, parameter: Tensor) -> int:
    """Return how many tensors of the parameter's size an optimizer will keep for it."""
    if optimizer.state.get(parameter):  # a resumed run
        return 0
    if "history_size" in group:  # L-BFGS
        return 2 * int(group["history_size"])
    moments = 2 + bool(group.get("amsgrad")) if "betas" in group else bool(group.get("momentum"))
    return int(moments) + ("alpha" in group) + bool(group.get("centered"))  # RMSprop


def validations(trainer: pl.Trainer) -> float:
    """Return the number of validation batches that a training still has; 0 if it is not known."""
    batches = sum(trainer.num_val_batches)
    epochs = (trainer.max_epochs or 0) - trainer.current_epoch
    every = trainer.check_val_every_n_epoch or 1
    return batches * max(epochs // every, 0) if math.isfinite(batches) else 0

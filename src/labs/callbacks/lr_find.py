"""Find a learning rate before training: Lightning's learning-rate range test, on a copy of the method."""

import copy
import functools
import io
import math
from collections.abc import Sequence
from contextlib import redirect_stderr
from typing import Any

import lightning.pytorch as pl
from lightning.fabric.plugins.io.checkpoint_io import CheckpointIO
from lightning.pytorch.tuner.tuning import Tuner
from lightning.pytorch.utilities.seed import isolate_rng
from rich.console import Console

from labs import LabsError
from labs.callbacks.tensorboard import images_folder, writer
from labs.drawing.figures import Figure

ENDLESS = 10_000  # epochs; the test ends after its steps
FIRST = 10  # steps to ignore, because their smoothed losses cover few batches
SMOOTHING = 0.98  # of Lightning's moving average of the loss


class LearningRateSearch(pl.Callback):
    """Train a copy while the learning rate grows, and use a tenth of the rate with the lowest loss.

    Lightning suggests the rate at which the loss falls fastest per unit of the rate, which is always one of the
    smallest rates tried. A tenth of the rate with the lowest loss is what fast.ai calls `minimum`.

    Except for its learning rate, the run starts as it would without the search. A resumed run searches again, but keeps
    the rate of its checkpoint. The curve is `images/lr_find.png`; the rate is in `metrics.json` and `log.tsv`.

    Args:
        min_lr: Learning rate of the first step.
        max_lr: Learning rate of the last step.
        steps: Number of optimizer steps. The rate grows by the same factor in each.
        stop_at: Stop when the loss reaches this multiple of the lowest loss. None: never.
    """

    def __init__(
        self, *, min_lr: float = 1e-6, max_lr: float = 1.0, steps: int = 100, stop_at: float | None = 4.0
    ) -> None:
        if not 0 < min_lr < max_lr:
            raise LabsError(
                f"lr_find.min_lr={min_lr:g}: expected a learning rate between 0 and lr_find.max_lr={max_lr:g}."
            )
        if steps < 20:
            raise LabsError(f"lr_find.steps={steps}: expected 20 or more, because the first {FIRST} are ignored.")
        self.min_lr, self.max_lr, self.steps, self.stop_at = min_lr, max_lr, steps, stop_at
        self.facts: dict[str, float] = {}  # for metrics.json

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Find the rate after the data is ready and before the optimizer is built.

        Raises:
            LabsError: If the method does not have exactly one optimizer, or if several devices train.
        """
        if stage != "fit":
            return
        build = getattr(pl_module, "optimizer", None)
        if not isinstance(build, functools.partial) or not pl_module.automatic_optimization:
            raise LabsError("lr_find=true works only for methods with one optimizer; leave lr_find=true out.")
        if trainer.world_size > 1:
            raise LabsError("lr_find=true works only on one device; type trainer.devices=1.")
        found = self._test(trainer, pl_module)
        found.results["loss"] = unbiased(found.results["loss"])
        rate, before = suggested(found.results["lr"], found.results["loss"]), build.keywords.get("lr")
        if rate is None:
            raise LabsError(
                f"lr_find=true: the loss did not fall at any learning rate from {self.min_lr:g} to {self.max_lr:g}; "
                "type other values of lr_find.min_lr, lr_find.max_lr or lr_find.steps."
            )
        self._draw(trainer, found.results["lr"], found.results["loss"], rate, before)
        pl_module.__dict__["optimizer"] = functools.partial(build, lr=rate)  # not a submodule
        self.facts["lr_found"] = rate
        line = f"Learning rate {rate:.2g} (found by lr_find; the recipe has {before}). The curve is images/lr_find.png."
        Console(emoji=False).print(line, highlight=False, soft_wrap=True)

    def _test(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> Any:
        """Return Lightning's result; the method and the data of the run are not changed."""
        data: Any = copy.copy(trainer.datamodule)  # type: ignore[attr-defined]
        pl_module.trainer, kept = None, pl_module._trainer
        try:
            method = copy.deepcopy(pl_module)
        finally:
            pl_module.trainer = kept
        with isolate_rng():
            other = pl.Trainer(
                accelerator=trainer.accelerator,
                devices=1,
                precision=trainer.precision,
                max_epochs=ENDLESS,
                limit_train_batches=trainer.limit_train_batches,
                limit_val_batches=0,
                accumulate_grad_batches=trainer.accumulate_grad_batches,
                logger=False,
                enable_checkpointing=False,
                enable_progress_bar=False,
                enable_model_summary=False,
                use_distributed_sampler=False,
                default_root_dir=trainer.default_root_dir,
                plugins=[_InMemory()],
            )
            with redirect_stderr(io.StringIO()):  # hides a progress bar that cannot be turned off
                return Tuner(other).lr_find(
                    method,
                    datamodule=data,
                    min_lr=self.min_lr,
                    max_lr=self.max_lr,
                    num_training=self.steps,
                    early_stop_threshold=self.stop_at,
                    update_attr=False,
                )

    def _draw(
        self, trainer: pl.Trainer, rates: Sequence[float], losses: Sequence[float], rate: float, before: Any
    ) -> None:
        figure = Figure(figsize=(7, 4.2), layout="constrained")
        axes = figure.add_subplot()
        axes.plot(rates, losses, linewidth=1.6)
        axes.axvline(
            rate, color="#b3261e", linewidth=1.4, label=f"found: {rate:.2g}, a tenth of the rate with the lowest loss"
        )
        if before is not None:
            axes.axvline(float(before), color="#777777", linewidth=1, linestyle="--", label=f"recipe: {before:g}")
        axes.set(
            title="Learning-rate range test", xlabel="learning rate", ylabel="smoothed training loss", xscale="log"
        )
        axes.legend(frameon=False, fontsize=9)
        axes.grid(alpha=0.25)
        figure.write(images_folder(trainer) / "lr_find.png", dpi=110)
        writer(trainer).add_figure("lr_find", figure, close=False)


class _InMemory(CheckpointIO):
    """Keep the one checkpoint of the test in memory: Lightning would leave it on the disk if the process is killed."""

    def __init__(self) -> None:
        self.kept: dict[str, Any] = {}

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Keep a copy."""
        self.kept = copy.deepcopy(checkpoint)

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        """Return the copy."""
        return self.kept

    def remove_checkpoint(self, path: Any) -> None:
        """Forget the copy."""
        self.kept = {}


def suggested(rates: Sequence[float], losses: Sequence[float]) -> float | None:
    """Return a tenth of the rate with the lowest loss, or None if the loss never fell below that of the first steps.

    Examples:
        >>> suggested([10.0**n for n in range(-20, 0)], [2.0] * 15 + [1.5, 1.0, 1.2, 3.0, float("nan")])
        1e-05
    """
    known = [(loss, rate) for loss, rate in list(zip(losses, rates, strict=False))[FIRST:] if math.isfinite(loss)]
    if not known or min(known)[0] >= min(losses[:FIRST]):
        return None
    return min(known)[1] / 10


def unbiased(losses: Sequence[float]) -> list[float]:
    """Return smoothed losses without the bias of Lightning 2.6, which halves the first one.

    Lightning divides the exponential moving average of n losses by 1 - b^(n + 1) instead of 1 - b^n. Its curve
    therefore rises during the first fifty steps, whatever the loss does.

    Examples:
        >>> [round(loss, 3) for loss in unbiased([1 / 1.98, (1 - 0.98**2) / (1 - 0.98**3)])]
        [1.0, 1.0]
    """
    b = SMOOTHING
    return [loss * (1 - b ** (n + 1)) / (1 - b**n) for n, loss in enumerate(losses, start=1)]

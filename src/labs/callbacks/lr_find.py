"""Look for a learning rate before training begins: Lightning's own range test, on a copy of the method."""

import copy
import functools
import io
import math
import tempfile
from collections.abc import Sequence
from contextlib import redirect_stderr
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.tuner.tuning import Tuner
from lightning.pytorch.utilities.seed import isolate_rng
from rich.console import Console

from labs import LabsError
from labs.callbacks.tensorboard import images_folder, writer
from labs.drawing.figures import Figure
from labs.storage.files import replacing

ENDLESS = 10_000  # epochs: the test ends by its steps
FIRST = 10  # steps whose losses are of few batches
SMOOTHING = 0.98  # Lightning's: the share of the mean loss before that stays


class LearningRateSearch(pl.Callback):
    """Train a copy for some steps while the rate grows, and take a tenth of the rate at which the loss was lowest.

    Lightning's own suggestion, where the loss falls fastest for each unit of the rate, lies among the smallest rates
    that were tried: there a unit is a thousand steps away. A tenth of the best one is what fast.ai calls `minimum`.

    The run itself begins as it would have begun, but for its learning rate. A run that goes on looks again, and keeps
    the rate of its checkpoint. The curve is `images/lr_find.png`, the rate stands in `metrics.json` and in `log.tsv`.

    Args:
        min_lr: the rate of the first step.
        max_lr: the rate of the last step.
        steps: of optimization, in each of which the rate grows by the same factor.
        stop_at: end when the loss is so many times the lowest one; None: never.
    """

    def __init__(
        self, *, min_lr: float = 1e-6, max_lr: float = 1.0, steps: int = 100, stop_at: float | None = 4.0
    ) -> None:
        if not 0 < min_lr < max_lr:
            raise LabsError(
                f"lr_find.min_lr={min_lr:g}: expected a rate between 0 and callbacks.lr_find.max_lr={max_lr:g}."
            )
        if steps < 20:
            raise LabsError(f"lr_find.steps={steps}: expected 20 or more; the first {FIRST} tell nothing.")
        self.min_lr, self.max_lr, self.steps, self.stop_at = min_lr, max_lr, steps, stop_at
        self.facts: dict[str, float] = {}  # for metrics.json

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Look for the rate, now that the data is there and the optimizer is not.

        Raises:
            LabsError: the method has no single optimizer, or several devices train.
        """
        if stage != "fit":
            return
        build = getattr(pl_module, "optimizer", None)
        if not isinstance(build, functools.partial) or not pl_module.automatic_optimization:
            raise LabsError(
                "lr_find=true: this method has no single optimizer whose rate could be found; leave it out."
            )
        if trainer.world_size > 1:
            raise LabsError("lr_find=true: the rate is looked for on one device; type trainer.devices=1.")
        found = self._test(trainer, pl_module)
        found.results["loss"] = unbiased(found.results["loss"])
        rate, before = suggested(found.results["lr"], found.results["loss"]), build.keywords.get("lr")
        if rate is None:
            raise LabsError(
                f"lr_find=true: the loss fell at no rate from {self.min_lr:g} to {self.max_lr:g}; type other values of "
                "lr_find.min_lr, lr_find.max_lr or lr_find.steps."
            )
        self._draw(trainer, found.results["lr"], found.results["loss"], rate, before)
        pl_module.__dict__["optimizer"] = functools.partial(build, lr=rate)  # no part of the net: a function
        self.facts["lr_found"] = rate
        line = f"learning rate {rate:.2g} (lr_find; the recipe has {before}); its curve is images/lr_find.png"
        Console(emoji=False).print(line, highlight=False, soft_wrap=True)

    def _test(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> Any:
        """Return Lightning's finder, after its test; neither method nor data of the run are touched."""
        data: Any = copy.copy(trainer.datamodule)  # type: ignore[attr-defined]
        pl_module.trainer, kept = None, pl_module._trainer
        try:
            method = copy.deepcopy(pl_module)
        finally:
            pl_module.trainer = kept
        with isolate_rng(), tempfile.TemporaryDirectory() as folder:
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
                default_root_dir=folder,
            )
            with redirect_stderr(io.StringIO()):  # a bar that cannot be turned off
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
            rate, color="#b3261e", linewidth=1.4, label=f"found: {rate:.2g}, a tenth of the rate of the lowest loss"
        )
        if before is not None:
            axes.axvline(float(before), color="#777777", linewidth=1, linestyle="--", label=f"the recipe's: {before:g}")
        axes.set(
            title="Learning-rate range test", xlabel="learning rate", ylabel="training loss, smoothed", xscale="log"
        )
        axes.legend(frameon=False, fontsize=9)
        axes.grid(alpha=0.25)
        with replacing(images_folder(trainer) / "lr_find.png") as staged:
            figure.savefig(staged, format="png", dpi=110)
        writer(trainer).add_figure("lr_find", figure, close=False)


def suggested(rates: Sequence[float], losses: Sequence[float]) -> float | None:
    """Return a tenth of the rate at which the loss was lowest; None where it never fell below that of the first steps.

    Examples:
        >>> suggested([10.0**n for n in range(-20, 0)], [2.0] * 15 + [1.5, 1.0, 1.2, 3.0, float("nan")])
        1e-05
    """
    known = [(loss, rate) for loss, rate in list(zip(losses, rates, strict=False))[FIRST:] if math.isfinite(loss)]
    if not known or min(known)[0] >= min(losses[:FIRST]):
        return None
    return min(known)[1] / 10


def unbiased(losses: Sequence[float]) -> list[float]:
    """Return smoothed losses as they would be without Lightning's slip (2.6), which halves the first one.

    The mean of n losses, in which old ones fade, is divided by 1 - b^(n + 1) in place of 1 - b^n: the curve would rise
    for its first fifty steps, whatever the loss does.

    Examples:
        >>> [round(loss, 3) for loss in unbiased([1 / 1.98, (1 - 0.98**2) / (1 - 0.98**3)])]
        [1.0, 1.0]
    """
    b = SMOOTHING
    return [loss * (1 - b ** (n + 1)) / (1 - b**n) for n, loss in enumerate(losses, start=1)]

"""Warn as soon as it is known that a training fails: the likeliest cause in one line, and what to type."""

import copy
import math
from collections.abc import Mapping
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from labs.callbacks.measured import measured
from labs.callbacks.notes import is_limited, say_warning

PATIENCE = 1 / 3  # share of the epochs after which a net must be better than guessing
STEPS = 50  # optimizer steps that any net may take to begin to learn
ENOUGH = 300  # training images to judge an accuracy by; those of several epochs are pooled
EXPLODED = 10  # a loss this many times that of guessing is no noise


class LearningWatch(pl.Callback):
    """Print a line when a loss is not a number or explodes, and when a classifier does no better than guessing.

    It looks at whatever a method logs as `train/...loss`, `val/...loss` and `train/...acc`. What guessing gives
    follows from the labels of the first epoch: always the most frequent class, with the classes' shares as
    probabilities. Each kind of failure is said once.
    """

    def __init__(self) -> None:
        self.found: dict[str, str] = {}  # warnings by kind
        self.shares: list[float] = []  # of the classes among the training images
        self.images = 0  # of an epoch
        self.rows: list[dict[str, float]] = []  # what the epochs measured
        self.rate = math.nan  # at which the run began
        self.printed_warnings: list[str] = []  # what this process has printed
        self._labels: list[Tensor] = []
        self._preds: list[Tensor] = []

    @property
    def warnings(self) -> list[str]:
        """What must be said of the run, for `metrics.json`."""
        return list(self.found.values())

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note the learning rate that the run begins with."""
        if math.isnan(self.rate) and trainer.optimizers:
            self.rate = float(trainer.optimizers[0].param_groups[0]["lr"])

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Warn of batch norm that has a single image to take statistics of; collect labels in the first epoch."""
        labels = getattr(getattr(batch, "labeled", batch), "labels", None)
        if not isinstance(labels, Tensor) or labels.is_floating_point() or labels.ndim != 1:
            return
        if not self.shares:
            self._labels.append(labels)
        alone = trainer.global_step == 0 and len(labels) == 1 and not hasattr(batch, "labeled")
        if alone and any(isinstance(layer, _BatchNorm) and layer.training for layer in pl_module.modules()):
            self._warn(
                "batch norm",
                "batch norm sees one image at a time, so the net works differently in training and in the test. "
                "Try batch_size=16, or freeze.batch_norm=eval.",
                trainer.current_epoch,
            )

    def on_validation_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, *_: Any
    ) -> None:
        """Collect the answers to the validation images, of a method that hands them on."""
        if isinstance(outputs, Mapping) and isinstance(outputs.get("preds"), Tensor):
            self._preds.append(outputs["preds"])

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Look at the epoch's numbers."""
        if self._labels and not self.shares:
            labels = torch.cat(self._labels).cpu()
            counts = torch.bincount(labels[labels >= 0])
            self.images = int(counts.sum()) * trainer.world_size
            self.shares = (counts[counts > 0] / counts.sum()).tolist()
        answers = torch.cat(self._preds).tolist() if self._preds else []
        self._labels, self._preds = [], []
        row = measured(trainer, "train/", "val/")
        self.rows = [*self.rows, row][-ENOUGH:]
        losses = sorted((name, value) for name, value in row.items() if name.endswith("loss"))
        if broken := [name for name, value in losses if not math.isfinite(value)]:
            verb = "is not a finite number" if len(broken) == 1 else "are not finite numbers"
            text = f"{', '.join(broken)} {verb}: training diverged. {self._smaller(trainer)}"
            self._warn("loss", text, trainer.current_epoch)
        self._check_loss("train/", f"training diverged. {self._smaller(trainer)}", trainer.current_epoch)
        planned = trainer.max_epochs or -1
        is_due = planned > 1 and trainer.current_epoch + 1 == math.ceil(planned * PATIENCE)
        if is_due and trainer.global_step >= STEPS and not self.found and self._at_chance(trainer):
            self._warn("chance", f"after a third of the epochs {self._guesses(answers)}", trainer.current_epoch)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Look once more: a net that did no better than guessing may have learned since, or broken down."""
        self._check_loss(
            "val/",
            "the net works only on its training batches; with batch norm, its running averages need smaller or more "
            f"steps. Try {self._rates(0.1)}, more epochs, weights=pretrained, or a smaller net.",
        )
        if not self._at_chance(trainer):
            self.found.pop("chance", None)
        elif not self.found:
            self._warn("chance", f"at the end of training {self._guesses([])}")

    def state_dict(self) -> dict[str, Any]:
        """Save what has been found, and what it is found by."""
        names = ("found", "shares", "images", "rows", "rate")
        return {name: copy.copy(getattr(self, name)) for name in names}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from there."""
        for name, value in state_dict.items():
            setattr(self, name, value)

    # What it looks for

    def _check_loss(self, stage: str, cause: str, epoch: int | None = None) -> None:
        """Warn of a classifier's loss far above that of guessing."""
        if not self.rows or self._accuracy() is None or len(self.shares) < 2:
            return
        limit = EXPLODED * max(1.0, self._guessing())
        losses = {name: value for name, value in self.rows[-1].items() if name.startswith(stage)}
        for name, value in losses.items():
            if name.endswith("loss") and value > limit:
                text = f"{name} is {value:,.4g}, where guessing gives {self._guessing():.2f}: {cause}"
                self._warn("loss", text, epoch)

    def _accuracy(self) -> str | None:
        """Return the name of the accuracy on training images, if the method has one."""
        return next((name for name in self.rows[-1] if name.startswith("train/") and name.endswith("acc")), None)

    def _at_chance(self, trainer: pl.Trainer) -> bool:
        """Say whether the latest epochs, as many as are needed to judge by, were no better than guessing."""
        rows = self.rows[-math.ceil(ENOUGH / max(self.images, 1)) :]
        images, accuracy = self.images * len(rows), self._accuracy() if rows else None
        if accuracy is None or images < ENOUGH or len(self.shares) < 2 or is_limited(trainer, "train"):
            return False
        chance = max(self.shares)
        limit = chance + 3 * math.sqrt(chance * (1 - chance) / images)  # three standard deviations of a guesser
        right = sum(row.get(accuracy, math.nan) for row in rows) / len(rows)
        # a net that learns slowly shows it in its loss first
        return right <= limit < 1 and rows[-1].get("train/loss", math.inf) > 0.95 * self._guessing()

    def _guessing(self) -> float:
        """Return the cross-entropy of an answer that gives each class its share."""
        return -sum(share * math.log(share) for share in self.shares)

    # What it says

    def _guesses(self, answers: list[int]) -> str:
        """Say that the net does no better than guessing, the likeliest cause, and what to try."""
        right = self.rows[-1][self._accuracy() or ""]
        text = f"the net names {right:.0%} of its training images correctly, no better than guessing"
        if len(answers) > 1 and len(set(answers)) == 1:
            return (
                f"{text}, and it gives every validation image the same answer: its units may be dead (ReLUs that "
                f"output 0 for every image). Try {self._rates(0.1)}, or weights=pretrained."
            )
        return f"{text}. Try {self._rates(0.1)} or {self._rates(10, plain=True)}, more epochs, or weights=pretrained."

    def _smaller(self, trainer: pl.Trainer) -> str:
        other = "" if trainer.precision == "32-true" else ", or precision=fp32"
        return f"Try a smaller learning rate: {self._rates(0.1)}{other}."

    def _rates(self, factor: float, *, plain: bool = False) -> str:
        """Return a learning rate to type, beside the one that was used."""
        rate = self.rate if math.isfinite(self.rate) and self.rate > 0 else 0.01
        return f"lr={rate * factor:.2g}" + ("" if plain else f" (this run began at {rate:g})")

    def _warn(self, kind: str, text: str, epoch: int | None = None) -> None:
        """Print a warning of a kind that has not been found yet; `epoch` counts from 0."""
        if kind not in self.found:
            self.found[kind] = text if epoch is None else f"epoch {epoch + 1}: {text}"
            self.printed_warnings.append(self.found[kind])
            say_warning(self.found[kind])

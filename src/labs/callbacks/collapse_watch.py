"""Warn when a GAN fails: one picture for all, a discriminator that wins, or a generator that has not begun."""

from typing import Any

import lightning.pytorch as pl

from labs.callbacks.notes import is_limited, say_warning
from labs.quantities import quantity


class CollapseWatch(pl.Callback):
    """Print a warning when a failure begins, once for as long as it lasts, with what to try.

    At the end of a run whose samples have never shown more than one class a warning says that, too, unless another has
    said what is wrong.

    Args:
        coverage: name of the metric that counts classes.
        discriminator_loss: name of the metric that is the discriminator's loss.
        lost: classes that may be lost of the most that were ever covered.
        loss: mean discriminator loss of an epoch below which it has won.
        patience: epochs in a row that either must last.
    """

    def __init__(
        self, *, coverage: str, discriminator_loss: str, lost: int = 2, loss: float = 0.02, patience: int = 2
    ) -> None:
        self.names = (coverage, discriminator_loss)
        self.lost, self.loss, self.patience = lost, loss, patience
        self.most = 0.0
        self.epochs = {"coverage": 0, "loss": 0}  # in a row
        self.warnings: list[str] = []  # for metrics.json
        self.printed_warnings: list[str] = []  # what this process has printed

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Look at the epoch's numbers."""
        metrics = trainer.callback_metrics
        coverage, discriminator_loss = self.names
        covered = float(metrics.get(coverage, self.most))
        self.most = max(self.most, covered)
        if self._lasts("coverage", covered <= self.most - self.lost):
            self._say(
                trainer.current_epoch + 1,
                f"mode collapse? Samples cover {quantity(round(covered), 'class')}, {self.most:.0f} before; "
                "try a smaller optimizer.lr, or gan_loss=non_saturating.",
            )
        loss = float(metrics.get(discriminator_loss, 1.0))
        if self._lasts("loss", loss < self.loss):
            self._say(
                trainer.current_epoch + 1,
                f"the discriminator has won: its loss is {loss:.2g}, and the generator learns little from it; "
                "try a higher optimizer.lr, a smaller module.discriminator_lr, a smaller net.ndf, or "
                "module.generator_steps=2.",
            )

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Look at all epochs; a try-out is too short to be judged."""
        if self.most == 1 and not self.warnings and not is_limited(trainer, "train"):
            self._say(
                trainer.current_epoch,  # that many epochs have ended
                "the samples have shown one class until the end: the generator has hardly begun to learn; "
                "try net.init=default, a higher optimizer.lr, or more epochs.",
            )

    def state_dict(self) -> dict[str, Any]:
        """Save how long it has lasted."""
        return {"most": self.most, "epochs": dict(self.epochs), "warnings": list(self.warnings)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on counting."""
        self.most, self.epochs = state_dict["most"], dict(state_dict["epochs"])
        self.warnings = list(state_dict.get("warnings", []))  # checkpoints of earlier versions have none

    def _lasts(self, what: str, bad: bool) -> bool:
        """Say whether something has been bad for exactly `patience` epochs in a row."""
        self.epochs[what] = self.epochs[what] + 1 if bad else 0
        return self.epochs[what] == self.patience

    def _say(self, epoch: int, text: str) -> None:
        line = f"epoch {epoch}: {text}"
        self.warnings.append(line)
        self.printed_warnings.append(line)
        say_warning(line)

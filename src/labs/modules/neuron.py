"""One neuron learns NOT: the output for a bit x is a(w * x + b), and should be 1 - x.

Hand-out 004, part 1. With the sigmoid a(z) = 1 / (1 + e^-z) the output is a probability, and training minimizes the
mean over a batch of the cross-entropy

    -y log a(z) - (1 - y) log(1 - a(z)),   z = w * x + b,   y = 1 - x

which tends to zero as w falls and b grows: w < 0 < b. Without an activation, a(z) = z, training minimizes (z - y)^2.
Then w = -1 and b = 1 solve the task exactly.
"""

from collections.abc import Callable
from typing import Any, Literal

import lightning.pytorch as pl
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchmetrics import MeanMetric
from torchmetrics.classification import BinaryAccuracy

from labs.datamodules.bits import BitBatch
from labs.datamodules.protocols import handed_over

COLUMNS = ("weight", "bias", "train_loss", "test_loss", "test_acc")


class Neuron(pl.LightningModule):
    """Train a weight and a bias. An output above 0.5 counts as the answer 1.

    Args:
        optimizer: Builds the optimizer of both.
        activation: `sigmoid`, trained with cross-entropy, or `linear` (no activation), trained with squared error.
    """

    def __init__(
        self,
        *,
        optimizer: Callable[..., torch.optim.Optimizer],
        activation: Literal["sigmoid", "linear"] = "sigmoid",
    ) -> None:
        super().__init__()
        self.neuron, self.optimizer, self.activation = nn.Linear(1, 1), optimizer, activation
        self.train_loss, self.val_loss, self.test_loss = MeanMetric(), MeanMetric(), MeanMetric()
        self.train_acc, self.val_acc, self.test_acc = BinaryAccuracy(), BinaryAccuracy(), BinaryAccuracy()
        self.path: list[tuple[float, ...]] = []  # COLUMNS, at the start and after each step

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the outputs (batch, 1) for inputs (batch, 1)."""
        z: Tensor = self.neuron(inputs)
        return z if self.activation == "linear" else z.sigmoid()

    def loss(self, batch: BitBatch) -> Tensor:
        """Return the mean loss of a batch."""
        z = self.neuron(batch.inputs)
        if self.activation == "linear":
            return F.mse_loss(z, batch.labels)
        return F.binary_cross_entropy_with_logits(z, batch.labels)

    def training_step(self, batch: BitBatch, batch_idx: int) -> Tensor:
        """Return the loss of a batch."""
        return self._measure("train", batch)

    def validation_step(self, batch: BitBatch, batch_idx: int) -> None:
        """Measure the loss and the accuracy on held-out bits."""
        self._measure("val", batch)

    def test_step(self, batch: BitBatch, batch_idx: int) -> None:
        """Measure as in validation, and log the parameters and the step from which all answers stayed right."""
        self._measure("test", batch)
        learned = {"weight": self.neuron.weight.item(), "bias": self.neuron.bias.item()}
        wrong = [step for step, row in enumerate(self.path) if row[-1] < 1]
        if self.path and self.path[-1][-1] == 1:
            learned["right_from"] = float(wrong[-1] + 1 if wrong else 0)
        self.log_dict({f"test/{name}": value for name, value in learned.items()}, batch_size=1)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Build the optimizer."""
        return self.optimizer(self.parameters())

    @torch.no_grad()
    def on_train_start(self) -> None:
        """Record the parameters and the results before training."""
        data = handed_over(self.trainer, pl.LightningDataModule, to=self)
        self.held_out = BitBatch(*(part.to(self.device) for part in next(iter(data.val_dataloader()))))
        if not self.path:
            self._note(torch.nan)

    @torch.no_grad()
    def on_train_batch_end(self, outputs: Any, batch: BitBatch, batch_idx: int) -> None:
        """Record the parameters and the results after a step, with the batch loss from before the step."""
        self._note(outputs["loss"].item())

    @property
    def noted(self) -> dict[str, Tensor]:
        """Weight, bias, losses and accuracy at the start and after each step, (steps + 1,) each."""
        return dict(zip(COLUMNS, torch.tensor(self.path).T, strict=True))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Save the path so far."""
        checkpoint["path"] = self.path

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the path."""
        self.path = [tuple(row) for row in checkpoint["path"]]

    def _note(self, train_loss: float) -> None:
        right = self._answers(self.held_out.inputs) == self.held_out.labels
        numbers = (self.neuron.weight, self.neuron.bias, train_loss, self.loss(self.held_out), right.float().mean())
        self.path.append(tuple(float(number) for number in numbers))

    def _answers(self, inputs: Tensor) -> Tensor:
        return (self(inputs) > 0.5).float()

    def _measure(self, stage: str, batch: BitBatch) -> Tensor:
        loss = self.loss(batch)
        mean_loss, accuracy = getattr(self, f"{stage}_loss"), getattr(self, f"{stage}_acc")
        mean_loss.update(loss.detach().expand(len(batch.labels)))
        accuracy.update(self._answers(batch.inputs), batch.labels.int())
        self.log_dict({f"{stage}/loss": mean_loss, f"{stage}/acc": accuracy}, on_step=False, on_epoch=True)
        return loss

"""Train on the Brier score: predicted probabilities p, and the label as a vector y of zeros and a one.

|p - y|^2, p = softmax(z)                                                        (G. W. Brier, 1950)
"""

from collections.abc import Callable
from typing import Any

import lightning.pytorch as pl
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchmetrics import MeanMetric
from torchmetrics.classification import MulticlassAccuracy

from labs.datamodules.batches import Batch


class Brier(pl.LightningModule):
    """Train a net to predict probabilities.

    Args:
        net: maps images to logits.
        num_classes: classes of the dataset.
        optimizer: builds the optimizer.
    """

    def __init__(self, *, net: nn.Module, num_classes: int, optimizer: Callable[..., torch.optim.Optimizer]) -> None:
        super().__init__()
        self.net, self.num_classes, self.optimizer = net, num_classes, optimizer
        self.scores = nn.ModuleDict({stage: MeanMetric() for stage in ("train_", "val_", "test_")})
        self.test_acc = MulticlassAccuracy(num_classes, average="micro")

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (batch, num_classes)."""
        logits: Tensor = self.net(images)
        return logits

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the Brier score of a batch."""
        return self._score("train", self(batch.images), batch.labels).mean()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Measure the score."""
        self._score("val", self(batch.images), batch.labels)

    def test_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """Measure score and accuracy, and hand on the predictions."""
        logits = self(batch.images)
        self._score("test", logits, batch.labels)
        self.test_acc.update(logits, batch.labels)
        self.log("test/acc", self.test_acc, on_step=False, on_epoch=True)
        confidence, preds = logits.softmax(dim=1).max(dim=1)
        return {"positions": batch.positions, "labels": batch.labels, "preds": preds, "confidence": confidence}

    def configure_optimizers(self) -> Any:
        """Build the optimizer of what trains."""
        return self.optimizer([p for p in self.parameters() if p.requires_grad])

    def _score(self, stage: str, logits: Tensor, labels: Tensor) -> Tensor:
        scores = (logits.softmax(dim=1) - F.one_hot(labels, self.num_classes)).square().sum(dim=1)
        self.scores[f"{stage}_"].update(scores.detach())
        self.log(f"{stage}/brier", self.scores[f"{stage}_"], on_step=False, on_epoch=True)
        return scores

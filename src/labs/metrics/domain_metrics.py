"""What is measured of a net between two domains: how good it is on each, and how well they can be told apart."""

from typing import Literal

import torch
from torch import Tensor, nn
from torchmetrics import CatMetric
from torchmetrics.classification import BinaryAccuracy, MulticlassAccuracy

from labs.functional.validators import mean_entropy, soft_neighborhood_density


class DomainMetrics(nn.Module):
    """Collect predictions of images of both domains, and measure them.

    Args:
        num_classes: classes of the images.
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.source, self.target = (MulticlassAccuracy(num_classes, average="micro") for _ in range(2))
        self.source_told, self.target_told = BinaryAccuracy(), BinaryAccuracy()  # recognised by the domain head
        self.target_probabilities = CatMetric(nan_strategy="disable")  # else what is no number is left out

    def update(
        self,
        domain: Literal["source", "target"],
        logits: Tensor,
        labels: Tensor,
        domain_logits: Tensor,
        *,
        unlabeled: bool,
    ) -> None:
        """Add a batch.

        Args:
            domain: of all of its images.
            logits: (batch, classes).
            labels: (batch,).
            domain_logits: (batch,), above 0 for the unlabelled domain.
            unlabeled: whether this is the unlabelled domain.
        """
        right, told = (self.source, self.source_told) if domain == "source" else (self.target, self.target_told)
        right.update(logits, labels)
        told.update(domain_logits > 0, torch.full_like(labels, int(unlabeled)))
        if domain == "target":
            self.target_probabilities.update(logits.float().softmax(dim=1))

    def compute(self) -> dict[str, Tensor]:
        """Return what was measured, and begin anew.

        `source_acc` and `target_acc`; `domain_acc`, the mean of the shares of each domain that is recognised, 0.5 by
        chance; and of the target's predictions `target_entropy` and `target_density`, which need no labels.
        """
        probabilities = self.target_probabilities.compute().cpu()  # what follows needs float64, which Apple GPUs lack
        measured = {
            "source_acc": self.source.compute(),
            "target_acc": self.target.compute(),
            "domain_acc": (self.source_told.compute() + self.target_told.compute()) / 2,
            "target_entropy": mean_entropy(probabilities).float(),
            "target_density": soft_neighborhood_density(probabilities).float(),
        }
        for metric in self.children():
            metric.reset()  # type: ignore[operator]
        return measured

"""Metrics over two domains: accuracy on each, and how well the domains can be distinguished."""

from typing import Literal

import torch
from torch import Tensor, nn
from torchmetrics import CatMetric
from torchmetrics.classification import BinaryAccuracy, MulticlassAccuracy

from labs.functional.validators import mean_entropy, soft_neighborhood_density


class DomainMetrics(nn.Module):
    """Collect predictions on both domains, and compute their metrics.

    Args:
        num_classes: number of classes.
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.source, self.target = (MulticlassAccuracy(num_classes, average="micro") for _ in range(2))
        self.source_domain, self.target_domain = BinaryAccuracy(), BinaryAccuracy()  # of the domain discriminator
        self.target_probabilities = CatMetric(nan_strategy="disable")  # otherwise NaN would be dropped

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
            domain: the domain of all images in the batch.
            logits: (batch, classes).
            labels: (batch,).
            domain_logits: (batch,), positive for the unlabeled domain.
            unlabeled: whether this is the unlabeled domain.
        """
        source = domain == "source"
        class_acc, domain_acc = (self.source, self.source_domain) if source else (self.target, self.target_domain)
        class_acc.update(logits, labels)
        domain_acc.update(domain_logits > 0, torch.full_like(labels, int(unlabeled)))
        if domain == "target":
            self.target_probabilities.update(logits.float().softmax(dim=1))

    def compute(self) -> dict[str, Tensor]:
        """Return the metrics, and reset them.

        `source_acc` and `target_acc` are the accuracies on each domain. `domain_acc` is the domain discriminator's
        accuracy, averaged over both domains, 0.5 by chance. `target_entropy` and `target_density` are computed from the
        predictions on the target and need no labels.
        """
        probabilities = self.target_probabilities.compute().cpu()  # float64 is needed, which Apple GPUs lack
        measured = {
            "source_acc": self.source.compute(),
            "target_acc": self.target.compute(),
            "domain_acc": (self.source_domain.compute() + self.target_domain.compute()) / 2,
            "target_entropy": mean_entropy(probabilities).float(),
            "target_density": soft_neighborhood_density(probabilities).float(),
        }
        for metric in self.children():
            metric.reset()  # type: ignore[operator]
        return measured

"""Conditional domain-adversarial training: the domain head sees the features together with the predictions.

M. Long et al., "Conditional Adversarial Domain Adaptation", NeurIPS 2018. It differs from `labs.modules.dann` in the
input of the domain head (equation 4, the multilinear map) and in the weights of its loss (equation 9, CDAN+E):

    T(f, g) = f x g,  g = softmax(G_y(f))          w = 1 + exp(-H(g))

Thus each class is aligned with the same class, and images with a confident prediction have more weight. There are two
differences from the authors' code: no gradient flows through g or w (there, one flows through w), and the full product
is computed at any size (there, products of more than 4,096 entries are sampled).
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from labs.modules.dann import DANN


class CDAN(DANN):
    """Train as DANN does, with a domain head that is conditioned on the predictions.

    Args:
        entropy_weights: Whether images with a confident prediction have more weight.
        dann: Arguments of `labs.modules.dann.DANN`.
    """

    def __init__(self, *, entropy_weights: bool = True, **dann: Any) -> None:
        super().__init__(**dann)
        self.entropy_weights = entropy_weights

    def domain_features(self, num_classes: int) -> int:
        """Return the domain head's input size: features times classes."""
        return super().domain_features(num_classes) * num_classes

    def domain_logits(self, features: Tensor, logits: Tensor) -> Tensor:
        """Return the domain logits (batch,) for the outer product of features and class probabilities."""
        classes = logits.detach().softmax(dim=1)
        return self.domain_head(torch.einsum("bc,bf->bcf", classes, features).flatten(start_dim=1))

    def domain_loss(self, features: Tensor, logits: Tensor, is_unlabeled: Tensor) -> Tensor:
        """Return the weighted binary cross-entropy; the weights of each domain sum to one, as DANN's do."""
        losses = F.binary_cross_entropy_with_logits(
            self.domain_logits(features, logits), is_unlabeled, reduction="none"
        )
        if not self.entropy_weights:
            return 2 * losses.mean()
        weights = certainty(logits.detach())
        sums = [(weights * domain).sum() for domain in (is_unlabeled, 1 - is_unlabeled)]
        weights = weights * torch.where(is_unlabeled > 0, 1 / sums[0], 1 / sums[1])
        return (weights * losses).sum()


def certainty(logits: Tensor) -> Tensor:
    """Return 1 + exp(-H), where H is the entropy of each prediction in nats: near 1 if uncertain, 2 if certain.

    Args:
        logits: (batch, classes).

    Examples:
        >>> import torch
        >>> certainty(torch.tensor([[100.0, 0.0], [0.0, 0.0]]))
        tensor([2.0000, 1.5000])
    """
    return 1 + torch.exp(-torch.special.entr(logits.float().softmax(dim=1)).sum(dim=1))

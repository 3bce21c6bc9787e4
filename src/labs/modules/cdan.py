"""Conditional domain-adversarial training: the domain head sees features together with what is predicted from them.

M. Long et al., "Conditional Adversarial Domain Adaptation", NeurIPS 2018. As `labs.modules.dann`, but for what the
domain head is given (equation 4, the multilinear map) and how its loss is weighted (equation 9, CDAN+E):

    T(f, g) = f x g,  g = softmax(G_y(f))          w = 1 + exp(-H(g))

so that classes are aligned with classes, and images whose class is certain count more. No gradient goes through g or w
(in the authors' code one goes through w), and the product is whole at any size (there it is sampled above 4,096).
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from labs.modules.dann import DANN


class CDAN(DANN):
    """Train as DANN does, with a domain head that is conditioned on the predictions.

    Args:
        entropy_weights: weight images by the certainty of their predictions.
        dann: what `labs.modules.dann.DANN` takes.
    """

    def __init__(self, *, entropy_weights: bool = True, **dann: Any) -> None:
        super().__init__(**dann)
        self.entropy_weights = entropy_weights

    def domain_features(self, num_classes: int) -> int:
        """Return the domain head's input size: every feature for each class."""
        return super().domain_features(num_classes) * num_classes

    def domain_logits(self, features: Tensor, logits: Tensor) -> Tensor:
        """Return what the domain head says (batch,) of the outer product of features and class probabilities."""
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
    """Return 1 + exp(-H) of predictions (batch, classes), H their entropy in nats: near 1 (uncertain) to 2 (certain).

    Examples:
        >>> import torch
        >>> certainty(torch.tensor([[100.0, 0.0], [0.0, 0.0]]))
        tensor([2.0000, 1.5000])
    """
    return 1 + torch.exp(-torch.special.entr(logits.float().softmax(dim=1)).sum(dim=1))

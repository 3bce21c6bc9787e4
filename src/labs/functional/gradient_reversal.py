"""Gradient reversal: the identity forward, a factor of -weight backward; and the schedule of the weight.

Y. Ganin et al., "Domain-Adversarial Training of Neural Networks", JMLR 2016: the layer is equations 16 and 17, the
schedule of the weight that of section 5.2.2.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from labs import LabsError


class _ReverseGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor, weight: float) -> Tensor:
        ctx.weight = weight
        return features.view_as(features)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0] * -ctx.weight, None


def reverse_gradient(features: Tensor, weight: float) -> Tensor:
    """Return the features unchanged; in the backward pass multiply their gradient by -weight.

    A weight of 0 blocks the gradient, and a weight of -1 gives the plain identity.

    Examples:
        >>> import torch
        >>> features = torch.tensor([1.0, 2.0], requires_grad=True)
        >>> (3 * reverse_gradient(features, weight=0.5)).sum().backward()
        >>> features.grad
        tensor([-1.5000, -1.5000])
    """
    return _ReverseGradient.apply(features, weight)


@dataclass(frozen=True)
class ReversalWeight:
    """Weight of the gradient reversal, as a pure function of training progress p in [0, 1].

        weight * (2 / (1 + exp(-gamma p)) - 1)

    Args:
        weight: Final weight. 0: the domains do not affect the features; -1: no reversal.
        gamma: Speed of growth (10 in the paper). None: the weight is constant.

    Raises:
        LabsError: If gamma is not above 0, or if the weight is not a finite number.

    Examples:
        >>> [round(ReversalWeight()(progress), 5) for progress in (0.0, 0.5, 1.0)]
        [0.0, 0.98661, 0.99991]
        >>> ReversalWeight(weight=0.3, gamma=None)(0.0)
        0.3
    """

    weight: float = 1.0
    gamma: float | None = 10.0

    def __post_init__(self) -> None:
        if self.gamma is not None and not 0 < self.gamma < math.inf:
            raise LabsError(f"reversal.gamma={self.gamma}: expected a number above 0, or null for a constant weight.")
        if not math.isfinite(self.weight):
            raise LabsError(f"reversal.weight={self.weight}: expected a number, such as 1.0.")

    def __call__(self, progress: float) -> float:
        """Return the weight at a progress in [0, 1]."""
        return self.weight if self.gamma is None else self.weight * math.tanh(self.gamma * progress / 2)

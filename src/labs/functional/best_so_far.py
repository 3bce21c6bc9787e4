"""The best state of each problem of a batch, and the problems whose loss has exploded."""

import math

import torch
from torch import Tensor, nn


class BestSoFar(nn.Module):
    """Remember the point with the lowest loss of each problem.

    A loss has exploded if it is not finite, or if it was more than `factor` times the lowest loss for `patience`
    evaluations in a row. A quasi-Newton step that overshoots recovers after an evaluation or two, and does not count.
    The state is stored in buffers, so checkpoints contain it.

    Args:
        points: Initial points of the problems, (batch, ...).
        factor: Multiple of the lowest loss.
        patience: Number of evaluations in a row.
    """

    points: Tensor  # (batch, ...)
    losses: Tensor  # (batch,)
    above: Tensor  # (batch,) evaluations in a row above the limit
    rollbacks: Tensor  # (batch,) how often a problem was reset to its best point

    def __init__(self, points: Tensor, *, factor: float = 10.0, patience: int = 10) -> None:
        super().__init__()
        self.factor, self.patience = factor, patience
        count = len(points)
        self.register_buffer("points", points.clone())
        self.register_buffer("losses", torch.full((count,), math.inf, device=points.device))
        self.register_buffer("above", torch.zeros(count, dtype=torch.int64, device=points.device))
        self.register_buffer("rollbacks", torch.zeros(count, dtype=torch.int64, device=points.device))

    @torch.no_grad()
    def see(self, points: Tensor, losses: Tensor) -> Tensor:
        """Record an evaluation; return whether each problem has exploded, (batch,)."""
        better = losses < self.losses
        self.points.copy_(torch.where(better.view(-1, *[1] * (points.dim() - 1)), points, self.points))
        self.losses.copy_(torch.where(better, losses, self.losses))
        self.above.copy_(torch.where(losses > self.factor * self.losses, self.above + 1, 0))
        return ~losses.isfinite() | (self.above >= self.patience)

    @torch.no_grad()
    def send_back(self, points: Tensor, exploded: Tensor) -> None:
        """Reset exploded problems to their points with the lowest loss, in place."""
        points[exploded] = self.points[exploded]
        self.above[exploded] = 0
        self.rollbacks += exploded

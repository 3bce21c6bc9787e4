"""The best state of each problem of a batch, and which problems have left it for good."""

import math

import torch
from torch import Tensor, nn


class BestSoFar(nn.Module):
    """Remember, problem by problem, the point with the lowest loss.

    A loss has exploded when it is no finite number, or has been more than `factor` times the lowest for `patience`
    evaluations in a row: a quasi-Newton step that shoots past costs an evaluation or two, and is left to recover.
    The state is buffers, so it is saved with a checkpoint.

    Args:
        points: where the problems start, (batch, ...).
        factor: times the lowest loss.
        patience: evaluations in a row.
    """

    points: Tensor  # (batch, ...)
    losses: Tensor  # (batch,)
    above: Tensor  # (batch,) evaluations in a row
    rollbacks: Tensor  # (batch,) times that a problem was sent back

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
        """Take note of an evaluation; return which problems have exploded, (batch,), True or False."""
        better = losses < self.losses
        self.points.copy_(torch.where(better.view(-1, *[1] * (points.dim() - 1)), points, self.points))
        self.losses.copy_(torch.where(better, losses, self.losses))
        self.above.copy_(torch.where(losses > self.factor * self.losses, self.above + 1, 0))
        return ~losses.isfinite() | (self.above >= self.patience)

    @torch.no_grad()
    def send_back(self, points: Tensor, exploded: Tensor) -> None:
        """Put the problems that have exploded back where their loss was lowest, in place."""
        points[exploded] = self.points[exploded]
        self.above[exploded] = 0
        self.rollbacks += exploded

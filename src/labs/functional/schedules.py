"""Learning-rate schedules as pure functions of the epoch."""

import math

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR


def warmup_cosine_factor(epoch: int, warmup_epochs: int, max_epochs: int) -> float:
    """Return the share of the full learning rate in an epoch (from 0): a linear warm-up, then half a cosine.

    Loshchilov and Hutter 2017 (arXiv:1608.03983), equation 5 with one cycle, after the warm-up of Goyal et al. 2017.

    Examples:
        >>> [round(warmup_cosine_factor(e, 2, 6), 3) for e in range(6)]
        [0.333, 0.667, 1.0, 0.854, 0.5, 0.146]
    """
    if epoch < warmup_epochs:
        return (epoch + 1) / (warmup_epochs + 1)
    progress = (epoch - warmup_epochs) / max(max_epochs - warmup_epochs, 1)
    return 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))


def warmup_cosine(optimizer: Optimizer, *, warmup_epochs: int, max_epochs: int) -> LambdaLR:
    """Schedule an optimizer by `warmup_cosine_factor`, one step an epoch."""
    if warmup_epochs < 0:
        raise ValueError(f"warmup_epochs={warmup_epochs}: expected 0 or more epochs")
    return LambdaLR(optimizer, lambda epoch: warmup_cosine_factor(epoch, warmup_epochs, max_epochs))

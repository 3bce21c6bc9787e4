"""Learning-rate schedules as pure functions of the epoch or the step."""

import inspect
import math
from collections.abc import Callable
from functools import partial
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR


def warmup_cosine_factor(epoch: int, warmup_epochs: int, max_epochs: int) -> float:
    """Return the factor of the learning rate in an epoch (from 0): a linear warm-up, then half a cosine.

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
    """Schedule an optimizer by `warmup_cosine_factor`, with one step per epoch."""
    if warmup_epochs < 0:
        raise ValueError(f"warmup_epochs={warmup_epochs}: expected 0 or more epochs")
    return LambdaLR(optimizer, lambda epoch: warmup_cosine_factor(epoch, warmup_epochs, max_epochs))


def inverse_decay_factor(progress: float, alpha: float, beta: float) -> float:
    """Return the factor of the learning rate at a progress p in [0, 1]: 1 / (1 + alpha p)^beta.

    Ganin et al., "Domain-Adversarial Training of Neural Networks", JMLR 2016, section 5.2.2: mu_p with mu_0 = 0.01.

    Examples:
        >>> round(0.01 * inverse_decay_factor(1.0, alpha=10, beta=0.75), 6)
        0.001656
    """
    return float((1 + alpha * progress) ** -beta)


def inverse_decay(optimizer: Optimizer, *, total_steps: int, alpha: float = 10.0, beta: float = 0.75) -> LambdaLR:
    """Schedule an optimizer by `inverse_decay_factor`, with one step per batch and progress = step / `total_steps`."""
    if alpha < 0:
        raise ValueError(f"alpha={alpha}: expected 0 or more")
    return LambdaLR(optimizer, lambda step: inverse_decay_factor(min(step / total_steps, 1.0), alpha, beta))


def with_total_steps(scheduler: Callable[..., Any], total_steps: int) -> tuple[Callable[..., Any], str]:
    """Pass the number of steps to a schedule that has `total_steps`; return it with its interval, `step` or `epoch`.

    A schedule with a parameter `total_steps`, such as torch's OneCycleLR, advances per batch, any other per epoch.
    """
    if "total_steps" not in inspect.signature(scheduler).parameters:
        return scheduler, "epoch"
    typed = getattr(scheduler, "keywords", {}).get("total_steps")
    return partial(scheduler, total_steps=total_steps) if typed is None else scheduler, "step"

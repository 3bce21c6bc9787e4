"""Change images until a net takes each for the class that is wanted, by steps of one length along the gradient."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor


class Ascended(NamedTuple):
    """Images (problems, channels, height, width), and how many steps each took, (problems,) int64."""

    images: Tensor
    steps: Tensor


def targeted_ascent(
    logits_of: Callable[[Tensor], Tensor],
    images: Tensor,
    targets: Tensor,
    *,
    lr: float,
    steps: int,
    scale: Tensor,
    at_once: int,
    on_solved: Callable[[int], None] = lambda count: None,
) -> Ascended:
    """Climb the score of a class, x <- x + lr * g / |g|, until it is the highest score.

    Each image and its target are a problem of their own. Before each step the problem is tested; one that is solved,
    or has taken all its steps, leaves the batch, and the next takes its place. The step is taken, and its length is
    measured, in the space where images are divided by `scale`.

    Args:
        logits_of: maps images (batch, ...) to logits (batch, classes); its gradient is asked for.
        images: where each problem starts, (problems, channels, height, width).
        targets: the class that each wants, (problems,) int64.
        lr: Euclidean length of a step.
        steps: at most, for each problem.
        scale: standard deviations of the net's normalization, which broadcast against images; ones: pixels as they are.
        at_once: problems that go through the net together.
        on_solved: is called with the number of problems that have left since the last call.

    Examples:
        >>> found = targeted_ascent(lambda x: x.flatten(1), torch.tensor([[[[1.0, 0.5]]]]), torch.tensor([1]),
        ...                         lr=0.2, steps=9, scale=torch.ones(1), at_once=1)
        >>> found.images, found.steps  # after three steps the second number is the larger one
        (tensor([[[[1.0000, 1.1000]]]]), tensor([3]))
    """
    points, taken = images.clone(), torch.zeros_like(targets)
    places = torch.arange(len(images), device=images.device)
    active, waiting = places[:at_once], places[at_once:]
    while len(active):
        images = points[active].requires_grad_()
        logits = logits_of(images)
        wanted = targets[active]
        goes_on = (logits.argmax(1) != wanted) & (taken[active] < steps)
        if goes_on.any():
            (gradient,) = torch.autograd.grad(logits.gather(1, wanted[:, None])[goes_on].sum(), images)
            active, direction = active[goes_on], gradient[goes_on] * scale  # d score / d (image / scale)
            # where there is no gradient there is no step
            length = torch.linalg.vector_norm(direction.flatten(1), dim=1).clamp_min(torch.finfo(direction.dtype).tiny)
            points[active] += lr * scale * direction / length[:, None, None, None]
            taken[active] += 1
        else:
            active = active[:0]
        free = at_once - len(active)
        on_solved(int((~goes_on).sum()))
        active, waiting = torch.cat([active, waiting[:free]]), waiting[free:]
    return Ascended(points, taken)

"""Change images until a net predicts their target classes, by steps of constant length along the gradient."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor


class Ascended(NamedTuple):
    """Images (problems, channels, height, width), and the number of steps of each, (problems,) int64."""

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
    """Raise the score of a class, x <- x + lr * g / |g|, until it is the highest score.

    Each image with its target is a separate problem. Before each step the problem is tested. If it is solved, or has
    taken all its steps, it leaves the batch, and the next one takes its place. The step and its length refer to the
    space in which images are divided by `scale`.

    Args:
        logits_of: Maps images (batch, ...) to logits (batch, classes), with gradients.
        images: Start of each problem, (problems, channels, height, width).
        targets: Target class of each problem, (problems,) int64.
        lr: Euclidean length of a step.
        steps: Largest number of steps per problem.
        scale: Standard deviations of the net's normalization, which broadcast against images; ones for no scaling.
        at_once: Number of problems that go through the net together.
        on_solved: Called with the number of problems that have left since the last call.

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
            # a zero gradient gives no step
            length = torch.linalg.vector_norm(direction.flatten(1), dim=1).clamp_min(torch.finfo(direction.dtype).tiny)
            points[active] += lr * scale * direction / length[:, None, None, None]
            taken[active] += 1
        else:
            active = active[:0]
        free = at_once - len(active)
        on_solved(int((~goes_on).sum()))
        active, waiting = torch.cat([active, waiting[:free]]), waiting[free:]
    return Ascended(points, taken)

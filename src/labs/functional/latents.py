"""Latents of a generator, and the ways from one to another."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from labs import LabsError

PARALLEL = 1e-3  # sine of the angle below which two latents count as parallel


def seeded_latents(count: int, size: int, seed: int) -> Tensor:
    """Return standard normal latents (count, size); a latent is a pure function of its place, the size and the seed."""
    # torch fills in blocks of 16 numbers, and a last block that is not full with other ones
    return torch.randn(-(-count // 16) * 16, size, generator=torch.Generator().manual_seed(seed))[:count]


def interpolate(start: Tensor, end: Tensor, steps: int, path: Literal["linear", "spherical"]) -> Tensor:
    """Go from each latent of `start` to its partner in `end`; the end points are the latents themselves, exactly.

    `linear` passes closer to the origin than normal latents ever lie; `spherical` keeps their length (White 2016,
    "Sampling generative networks").

    Args:
        start: latents (columns, size).
        end: latents of the same shape.
        steps: points of the way, both ends among them.
        path: straight, or along a great circle.

    Returns:
        Latents (steps, columns, size).

    Raises:
        LabsError: fewer than two steps.

    Examples:
        >>> interpolate(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]]), 3, "linear")[1].tolist()
        [[0.5, 0.5]]
    """
    if steps < 2:
        raise LabsError(f"callbacks.samples.steps={steps}: expected 2 or more, the two latents among them.")
    way = torch.linspace(0, 1, steps, dtype=start.dtype, device=start.device)[:, None, None]
    linear = (1 - way) * start + way * end
    if path == "linear":
        return linear
    cosine = F.cosine_similarity(start, end, dim=1).clamp(-1, 1)
    angle = cosine.acos()[None, :, None]
    sine = angle.sin()
    along = (((1 - way) * angle).sin() * start + (way * angle).sin() * end) / sine
    along[0], along[-1] = start, end
    return torch.where(sine < PARALLEL, linear, along)

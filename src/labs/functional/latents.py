"""Latents of a generator, and interpolations between them."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from labs import LabsError

PARALLEL = 1e-3  # sine of the angle below which two latents count as parallel


def seeded_latents(count: int, size: int, seed: int) -> Tensor:
    """Return standard normal latents (count, size); each is a pure function of its index, the size and the seed."""
    # torch draws in blocks of 16 numbers, and an incomplete last block would get different numbers
    return torch.randn(-(-count // 16) * 16, size, generator=torch.Generator().manual_seed(seed))[:count]


def interpolate(start: Tensor, end: Tensor, steps: int, path: Literal["linear", "spherical"]) -> Tensor:
    """Interpolate from each latent of `start` to the same row of `end`; both ends are exactly these latents.

    `linear` passes closer to the origin than normal latents are; `spherical` preserves their length (White 2016,
    "Sampling generative networks").

    Args:
        start: Latents (columns, size).
        end: Latents of the same shape.
        steps: Number of points, including both ends.
        path: A straight line, or a great circle.

    Returns:
        Latents (steps, columns, size).

    Raises:
        LabsError: If there are fewer than two steps.

    Examples:
        >>> interpolate(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]]), 3, "linear")[1].tolist()
        [[0.5, 0.5]]
    """
    if steps < 2:
        raise LabsError(f"callbacks.samples.steps={steps}: expected 2 or more, including both ends.")
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

"""The losses of a generative adversarial network, and the ways from one latent to another.

Everything takes logits, never probabilities: D = sigmoid(logit), and log D = -softplus(-logit) does not overflow in
any precision.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from labs.errors import LabsError

PARALLEL = 1e-4  # sine of the angle below which two latents count as parallel


def discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Return -E[log D(x)] - E[log(1 - D(G(z)))] (Goodfellow et al. 2014, equation 1, to be minimised).

    Args:
        real: logits of real images, any shape.
        fake: logits of generated images, any shape.

    Returns:
        A scalar in float32; 2 ln 2 where D is one half everywhere.

    Examples:
        >>> round(discriminator_loss(torch.zeros(4), torch.zeros(4)).item(), 4)
        1.3863
    """
    return F.softplus(-real.float()).mean() + F.softplus(fake.float()).mean()


def generator_loss(fake: Tensor, kind: Literal["non_saturating", "true"]) -> Tensor:
    """Return what the generator minimises.

    `non_saturating` is -E[log D(G(z))]; `true` is E[log(1 - D(G(z)))], the loss of the minimax game, whose gradient
    vanishes where the discriminator is sure: with respect to the logit it is -D, where the other's is D - 1
    (Goodfellow et al. 2014, section 3).

    Args:
        fake: logits of generated images, any shape.
        kind: which of the two.

    Returns:
        A scalar in float32.

    Examples:
        >>> [round(generator_loss(torch.zeros(4), kind).item(), 4) for kind in ("non_saturating", "true")]
        [0.6931, -0.6931]
    """
    return F.softplus(-fake.float()).mean() if kind == "non_saturating" else -F.softplus(fake.float()).mean()


def seeded_latents(count: int, size: int, seed: int) -> Tensor:
    """Return standard normal latents (count, size), a pure function of the arguments on every machine."""
    return torch.randn(count, size, generator=torch.Generator().manual_seed(seed))


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

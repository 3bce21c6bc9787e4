"""The losses of a generative adversarial network.

All functions take logits, not probabilities: D = sigmoid(logit), and log D = -softplus(-logit) does not overflow in any
precision.
"""

from typing import Literal

import torch.nn.functional as F
from torch import Tensor


def discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Return -E[log D(x)] - E[log(1 - D(G(z)))] (Goodfellow et al. 2014, equation 1, to be minimized).

    Args:
        real: Logits of real images, any shape.
        fake: Logits of generated images, any shape.

    Returns:
        A scalar in float32; 2 ln 2 if D is one half everywhere.

    Examples:
        >>> import torch
        >>> round(discriminator_loss(torch.zeros(4), torch.zeros(4)).item(), 4)
        1.3863
    """
    return F.softplus(-real.float()).mean() + F.softplus(fake.float()).mean()


def generator_loss(fake: Tensor, kind: Literal["non_saturating", "true"]) -> Tensor:
    """Return the generator's loss.

    `non_saturating` is -E[log D(G(z))]. `true` is E[log(1 - D(G(z)))], the loss of the minimax game, whose gradient
    vanishes if the discriminator is confident: with respect to the logit it is -D, instead of D - 1 (Goodfellow et al.
    2014, section 3).

    Args:
        fake: Logits of generated images, any shape.
        kind: `non_saturating` or `true`.

    Returns:
        A scalar in float32.

    Examples:
        >>> import torch
        >>> [round(generator_loss(torch.zeros(4), kind).item(), 4) for kind in ("non_saturating", "true")]
        [0.6931, -0.6931]
    """
    return F.softplus(-fake.float()).mean() if kind == "non_saturating" else -F.softplus(fake.float()).mean()

"""Parts of gradient ascent on an image: jitter, blur, penalty and normalized gradients."""

from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

Form = Literal["norm", "square"]  # of the L2 penalty: |x| or |x|^2


def seeded(*words: int) -> torch.Generator:
    """Return a CPU generator whose numbers are a pure function of integers, such as a seed and a step."""
    return torch.Generator().manual_seed(int(np.random.SeedSequence(words).generate_state(1)[0]))


def jitter(images: Tensor, shift: tuple[int, int]) -> Tensor:
    """Shift images (..., height, width) cyclically, down and to the right.

    Examples:
        >>> jitter(torch.arange(3)[None, None], (0, 1)).tolist()
        [[[2, 0, 1]]]
    """
    return images.roll(shift, dims=(-2, -1))


def jitter_of(most: int, *words: int) -> tuple[int, int]:
    """Draw a shift of 0 to `most` pixels in each direction, a pure function of `words`."""
    down, right = torch.randint(most + 1, (2,), generator=seeded(*words)).tolist()
    return down, right


def blurred(images: Tensor, sigma: float) -> Tensor:
    """Blur images (batch, channels, height, width) with a Gaussian of `sigma` pixels, truncated at 4 sigma.

    Edges are mirrored, including the outermost pixel, as in SciPy's `gaussian_filter`.
    """
    radius = int(4 * sigma + 0.5)
    if radius == 0:
        return images
    offsets = torch.arange(-radius, radius + 1, dtype=images.dtype, device=images.device)
    kernel = torch.exp(-0.5 * (offsets / sigma) ** 2)
    kernel /= kernel.sum()
    channels = images.shape[1]
    for axis in (-2, -1):
        first, last = images.narrow(axis, 0, radius), images.narrow(axis, images.shape[axis] - radius, radius)
        wide = torch.cat([first.flip(axis), images, last.flip(axis)], dim=axis)
        shape = (1, 1, -1, 1) if axis == -2 else (1, 1, 1, -1)
        images = F.conv2d(wide, kernel.view(shape).expand(channels, 1, *shape[2:]), groups=channels)
    return images


def penalty(images: Tensor, form: Form) -> Tensor:
    """Return |x| or |x|^2 of each image, (batch,)."""
    squares = images.square().flatten(1).sum(1)
    return squares if form == "square" else squares.sqrt()


def unit(gradients: Tensor) -> Tensor:
    """Scale the gradient of each image to length 1; a zero gradient stays zero.

    Examples:
        >>> unit(torch.tensor([[3.0, 4.0], [0.0, 0.0]])).tolist()
        [[0.6000000238418579, 0.800000011920929], [0.0, 0.0]]
    """
    lengths = torch.linalg.vector_norm(gradients.flatten(1), dim=1).clamp(min=torch.finfo(gradients.dtype).tiny)
    return gradients / lengths.view(-1, *[1] * (gradients.dim() - 1))

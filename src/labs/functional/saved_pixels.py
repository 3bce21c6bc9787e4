"""Images as a file keeps them: in 8 bits, or as JPEG, and gradients through either."""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor


def in_8_bits(images: Tensor) -> Tensor:
    """Return images as a PNG file keeps them: in [0, 1] and 256 steps.

    Examples:
        >>> in_8_bits(torch.tensor([-0.1, 0.5, 1.2])).mul(255)
        tensor([  0., 128., 255.])
    """
    return images.clamp(0, 1).mul(255).round().div(255)


def through_jpeg(images: Tensor, quality: int) -> Tensor:
    """Return images (batch, 3, height, width) as Pillow writes them as JPEG and reads them again.

    Args:
        images: in [0, 1]; what lies outside is clamped.
        quality: from 1 to 100; colors are kept at half the resolution (4:2:0), as Pillow does by default.
    """
    pixels = images.detach().clamp(0, 1).mul(255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
    read = []
    for picture in pixels:
        file = io.BytesIO()
        Image.fromarray(picture).save(file, format="JPEG", quality=quality)
        read.append(np.asarray(Image.open(file)))
    return torch.from_numpy(np.stack(read)).permute(0, 3, 1, 2).to(images).div(255)


class _StraightThrough(torch.autograd.Function):
    """Replace a value, and hand its gradient on as if it had stayed what it was."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, replacement: Tensor) -> Tensor:
        """Return the replacement."""
        return replacement

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        """Return the gradient as it is."""
        return gradients[0], None


def straight_through(images: Tensor, saved: Callable[[Tensor], Tensor]) -> Tensor:
    """Return images as they are saved, and let gradients through.

    They pass rounding and compression unchanged, and stop where a pixel is clamped.

    Args:
        images: pixels of which those outside [0, 1] are clamped.
        saved: what a file makes of images in [0, 1].
    """
    inside = images.clamp(0, 1)
    result: Tensor = _StraightThrough.apply(inside, saved(inside.detach()))
    return result

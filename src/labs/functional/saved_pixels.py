"""Images as they are saved, in 8 bits or as JPEG, with gradients."""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor


def in_8_bits(images: Tensor) -> Tensor:
    """Return images as in a PNG file: clamped to [0, 1] and rounded to 8 bits.

    Examples:
        >>> in_8_bits(torch.tensor([-0.1, 0.5, 1.2])).mul(255)
        tensor([  0., 128., 255.])
    """
    return images.clamp(0, 1).mul(255).round().div(255)


def through_jpeg(images: Tensor, quality: int) -> Tensor:
    """Return images (batch, 3, height, width) after Pillow has written them as JPEG and read them again.

    Args:
        images: Pixels in [0, 1]; other values are clamped.
        quality: JPEG quality from 1 to 100; colors have half the resolution (4:2:0), Pillow's default.
    """
    pixels = images.detach().clamp(0, 1).mul(255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
    read = []
    for picture in pixels:
        file = io.BytesIO()
        Image.fromarray(picture).save(file, format="JPEG", quality=quality)
        read.append(np.asarray(Image.open(file)))
    return torch.from_numpy(np.stack(read)).permute(0, 3, 1, 2).to(images).div(255)


class _StraightThrough(torch.autograd.Function):
    """Replace a value in the forward pass, and pass the gradient through unchanged."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, replacement: Tensor) -> Tensor:
        """Return the replacement."""
        return replacement

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        """Return the gradient unchanged."""
        return gradients[0], None


def straight_through(images: Tensor, saved: Callable[[Tensor], Tensor]) -> Tensor:
    """Return images as they are saved, with a straight-through gradient.

    Gradients pass rounding and compression unchanged, and are zero where a pixel is clamped.

    Args:
        images: Pixels; those outside [0, 1] are clamped.
        saved: Maps images in [0, 1] to the images that a file contains.
    """
    inside = images.clamp(0, 1)
    result: Tensor = _StraightThrough.apply(inside, saved(inside.detach()))
    return result

"""Many small images in one picture."""

import numpy as np
from torch import Tensor
from torchvision.utils import make_grid

SMALLEST = 64  # pixels of an image in the picture; smaller ones are enlarged by a whole factor


def as_bytes(images: Tensor) -> Tensor:
    """Return images in [0, 1] as they are saved: uint8, on the CPU."""
    return images.mul(255).round().byte().cpu()


def tiled(images: Tensor, columns: int) -> np.ndarray:
    """Arrange images in rows, as RGB, with gaps of two pixels; images below 64 pixels are enlarged by a whole factor.

    Args:
        images: uint8, or floats in [0, 1], (count, channels, height, width), with 1 or 3 channels.
        columns: Number of images per row.

    Returns:
        A picture, uint8 (height, width, 3).

    Examples:
        >>> import torch
        >>> tiled(torch.zeros(4, 1, 64, 64, dtype=torch.uint8), columns=2).shape
        (134, 134, 3)
    """
    images = as_bytes(images) if images.is_floating_point() else images
    factor = max(1, SMALLEST // images.shape[-1])
    large = images.repeat_interleave(factor, -1).repeat_interleave(factor, -2)
    return make_grid(large, nrow=columns, pad_value=128).permute(1, 2, 0).cpu().numpy()

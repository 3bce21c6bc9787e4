"""Coarse to fine: how evaluations are shared out among sizes, and pictures brought to a size."""

import torch.nn.functional as F
from torch import Tensor

LEAST_PIXELS = 16  # of height and width: four poolings of two leave one position


def share_out(steps: int, every: int, scales: int) -> list[int]:
    """Say after how many evaluations each scale ends: equal shares, all but the last a multiple of `every`.

    Examples:
        >>> share_out(300, 10, 3), share_out(29, 10, 2)
        ([100, 200, 300], [10, 29])
    """
    return [*(steps * place // scales // every * every for place in range(1, scales)), steps]


def resized(images: Tensor, scale: float) -> Tensor:
    """Bring pictures (batch, 3, height, width) in [0, 1] to a share of their size, bicubic and antialiased."""
    if scale == 1:
        return images
    size = [max(round(side * scale), LEAST_PIXELS) for side in images.shape[-2:]]
    return enlarged(images, size).clamp(0, 1)


def enlarged(images: Tensor, size: list[int]) -> Tensor:
    """Bring pictures (batch, 3, height, width) to another height and width, without a clamp."""
    return F.interpolate(images, size, mode="bicubic", antialias=True)

"""Batched augmentation: every image of a batch gets its own crop and flip in one tensor operation."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

DRAWS = 5  # uniform numbers per image for crop_flip: area, aspect, row, column, flip
COLOR_DRAWS = 3  # uniform numbers per image for change_colors: brightness, contrast, saturation
GRAY = (0.299, 0.587, 0.114)  # luma of ITU-R BT.601


def crop_flip(images: Tensor, draws: Tensor, size: int, *, crop_scale: Sequence[float] | None, flip: bool) -> Tensor:
    """Take a random resized crop of each image, and flip half of them horizontally.

    The area fraction is uniform in `crop_scale` and the aspect ratio log-uniform in [3/4, 4/3] (Szegedy et al. 2015).
    Crops are sampled bilinearly.

    Args:
        images: Floats (batch, channels, height, width).
        draws: Uniform numbers in [0, 1), (batch, DRAWS); the result is a pure function of them.
        size: Height and width of the result, in pixels.
        crop_scale: Smallest and largest fraction of the area. None: a center crop without resizing.
        flip: Whether images are flipped if their last draw is below one half.

    Returns:
        Floats (batch, channels, size, size).
    """
    if crop_scale is None:
        images = center_crop(images, size)
        mirrored = (draws[:, 4] < 0.5) & flip
        return torch.where(mirrored[:, None, None, None], images.flip(-1), images)
    low, high = crop_scale
    area = low + (high - low) * draws[:, 0]
    aspect = torch.exp((2 * draws[:, 1] - 1) * torch.log(torch.tensor(4 / 3)))
    height, width = (sides.sqrt().clamp(max=1) for sides in (area / aspect, area * aspect))  # fractions of the image
    down, right = ((1 - side) * (2 * draws[:, i] - 1) for i, side in ((2, height), (3, width)))  # centers in [-1, 1]
    sign = torch.where((draws[:, 4] < 0.5) & flip, -1.0, 1.0)
    zero = torch.zeros_like(area)
    theta = torch.stack(
        [torch.stack([width * sign, zero, right], dim=1), torch.stack([zero, height, down], dim=1)], dim=1
    )  # (batch, 2, 3)
    grid = F.affine_grid(theta.to(images.dtype), [len(images), images.shape[1], size, size], align_corners=False)
    if images.device.type == "mps":  # MPS has no border padding: keep the samples inside the outermost pixel centers
        edge = 1 - 1 / torch.tensor([images.shape[3], images.shape[2]], dtype=grid.dtype, device=grid.device)
        grid = torch.minimum(torch.maximum(grid, -edge), edge)
    padding = "zeros" if images.device.type == "mps" else "border"
    return F.grid_sample(images, grid, mode="bilinear", padding_mode=padding, align_corners=False)


def change_colors(images: Tensor, draws: Tensor, *, strength: float) -> Tensor:
    """Change brightness, contrast and saturation of each image, in this order, by factors from 1 - s to 1 + s.

    Brightness scales the image, contrast its difference from its mean gray, saturation its difference from its gray
    version; each result is clamped to [0, 1], as in torchvision's ColorJitter.

    Args:
        images: Floats (batch, channels, height, width) in [0, 1]; with one channel, saturation has no effect.
        draws: Uniform numbers in [0, 1), (batch, COLOR_DRAWS); the result is a pure function of them.
        strength: Largest change s, in (0, 1).

    Returns:
        Floats of the same shape, in [0, 1].
    """
    brightness, contrast, saturation = (1 + strength * (2 * draws - 1)).T[:, :, None, None, None]
    images = (images * brightness).clamp(0, 1)
    mean = _gray(images).mean(dim=(2, 3), keepdim=True)
    images = (mean + (images - mean) * contrast).clamp(0, 1)
    gray = _gray(images)
    return (gray + (images - gray) * saturation).clamp(0, 1)


def _gray(images: Tensor) -> Tensor:
    if images.shape[1] != len(GRAY):
        return images.mean(dim=1, keepdim=True)
    weights = torch.tensor(GRAY, dtype=images.dtype, device=images.device)
    return torch.einsum("bchw,c->bhw", images, weights)[:, None]


def center_crop(images: Tensor, size: int) -> Tensor:
    """Return the central `size` x `size` pixels of (batch, channels, height, width)."""
    top, left = (images.shape[-2] - size) // 2, (images.shape[-1] - size) // 2
    return images[..., top : top + size, left : left + size]

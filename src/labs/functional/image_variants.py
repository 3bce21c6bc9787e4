"""Eight versions of a picture to test a trained net with: shifted, brightened, rotated, inverted, and more.

They are those of MIT's course 6.867, which made them with Pillow. The functions here give the same bytes for a batch.
"""

from collections.abc import Callable

import torch
from torch import Tensor

SHIFT = 10  # pixels
LUMA = (19595, 38470, 7471)  # Pillow's weights of red, green and blue, times 65,536


def brightness(images: Tensor, factor: float) -> Tensor:
    """Multiply the values of uint8 pictures (batch, 3, height, width), like `PIL.ImageEnhance.Brightness`.

    Examples:
        >>> brightness(torch.tensor([10, 101, 250], dtype=torch.uint8).view(1, 3, 1, 1), 1.5).flatten().tolist()
        [15, 151, 255]
    """
    return _blended(torch.zeros_like(images[:, :1]), images, factor)


def contrast(images: Tensor, factor: float) -> Tensor:
    """Stretch the values of pictures around their mean gray, like `PIL.ImageEnhance.Contrast`."""
    weights = torch.tensor(LUMA, device=images.device).view(1, 3, 1, 1)
    gray = ((images.int() * weights).sum(dim=1, keepdim=True) + 0x8000) >> 16
    count = gray[0].numel()
    mean = (2 * gray.sum(dim=(1, 2, 3), keepdim=True) + count) // (2 * count)  # rounded, without 64-bit floats
    return _blended(mean, images, factor)


def _blended(gray: Tensor, images: Tensor, factor: float) -> Tensor:
    """Extrapolate from gray to a picture in single precision, truncated toward zero, like `PIL.Image.blend`."""
    start = gray.int()
    return (start + factor * (images.int() - start).float()).clamp(0, 255).to(torch.uint8)


VARIANTS: dict[str, Callable[[Tensor], Tensor]] = {
    "normal": lambda images: images,
    "translated": lambda images: images.roll((SHIFT, SHIFT), dims=(2, 3)),  # cyclically, down and right
    "brightened": lambda images: brightness(images, 1.5),
    "darkened": lambda images: brightness(images, 0.75),
    "high_contrast": lambda images: contrast(images, 1.5),
    "low_contrast": lambda images: contrast(images, 0.75),
    "flipped": lambda images: images.flip((2, 3)),  # rotated by 180 degrees, not mirrored
    "inverted": lambda images: 255 - images,
}

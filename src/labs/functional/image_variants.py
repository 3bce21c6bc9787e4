"""Eight versions of a picture that a trained net is tested on: moved, lit otherwise, turned, inverted.

They are those of MIT's course 6.867, which made them with Pillow: the same bytes come out here, for a whole batch.
"""

from collections.abc import Callable

import torch
from torch import Tensor

SHIFT = 10  # pixels
LUMA = (19595, 38470, 7471)  # Pillow's weights of red, green and blue, of 65,536


def brightness(images: Tensor, factor: float) -> Tensor:
    """Multiply the levels of pictures, as `PIL.ImageEnhance.Brightness`: uint8 (batch, 3, height, width).

    Examples:
        >>> brightness(torch.tensor([10, 101, 250], dtype=torch.uint8).view(1, 3, 1, 1), 1.5).flatten().tolist()
        [15, 151, 255]
    """
    return _blended(torch.zeros_like(images[:, :1]), images, factor)


def contrast(images: Tensor, factor: float) -> Tensor:
    """Stretch the levels of pictures around their mean gray, as `PIL.ImageEnhance.Contrast`."""
    weights = torch.tensor(LUMA, device=images.device).view(1, 3, 1, 1)
    gray = ((images.int() * weights).sum(dim=1, keepdim=True) + 0x8000) >> 16
    mean = (gray.double().mean(dim=(1, 2, 3), keepdim=True) + 0.5).int()
    return _blended(mean, images, factor)


def _blended(gray: Tensor, images: Tensor, factor: float) -> Tensor:
    """Go from gray to a picture and beyond, in single precision, cut off towards zero: `PIL.Image.blend`."""
    start = gray.int()
    return (start + factor * (images.int() - start).float()).clamp(0, 255).to(torch.uint8)


VARIANTS: dict[str, Callable[[Tensor], Tensor]] = {
    "normal": lambda images: images,
    "translated": lambda images: images.roll((SHIFT, SHIFT), dims=(2, 3)),  # down and right; what leaves comes in again
    "brightened": lambda images: brightness(images, 1.5),
    "darkened": lambda images: brightness(images, 0.75),
    "high_contrast": lambda images: contrast(images, 1.5),
    "low_contrast": lambda images: contrast(images, 0.75),
    "flipped": lambda images: images.flip((2, 3)),  # turned by 180 degrees: no mirror image
    "inverted": lambda images: 255 - images,
}

"""Images in any form that Python code has them in, as batches for a net."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from labs import LabsError

AT_ONCE = 32  # images in memory together
EXPECTED = (
    "expected files, images of Pillow, arrays (height, width, 3) of uint8, or a tensor (batch, 3, {size}, {size}) in "
    "[0, 1] or of uint8"
)


def batches_of(
    images: Any, size: int, read: Callable[[str], Tensor], prepare: Callable[[Image.Image], Tensor]
) -> Iterator[Tensor]:
    """Yield images (batch, 3, size, size) in [0, 1], a few at a time.

    Args:
        images: a file, an image of Pillow, a NumPy array (height, width, 3) or (height, width) of uint8, a list of
            them, an array (batch, height, width, 3), or a tensor (batch, 3, size, size) or (3, size, size).
        size: pixels, height and width.
        read: returns the image (3, size, size) of a file.
        prepare: returns that of an image of Pillow.

    Raises:
        LabsError: it is nothing of the kind, or pixels are not in [0, 1].
    """
    if isinstance(images, Tensor):
        yield from _checked(images, size).split(AT_ONCE)
        return
    one = isinstance(images, (str, Path, Image.Image)) or (isinstance(images, np.ndarray) and images.ndim < 4)
    if not one and not isinstance(images, (Sequence, np.ndarray)):
        raise LabsError(f"{EXPECTED.format(size=size)}; found a {type(images).__name__}.")
    listed = [images] if one else images
    if not len(listed):
        raise LabsError(f"{EXPECTED.format(size=size)}; found an empty list.")
    for start in range(0, len(listed), AT_ONCE):
        yield torch.stack([_one(image, size, read, prepare) for image in listed[start : start + AT_ONCE]])


def _one(image: Any, size: int, read: Callable[[str], Tensor], prepare: Callable[[Image.Image], Tensor]) -> Tensor:
    if isinstance(image, (str, Path)):
        return read(str(image))
    if isinstance(image, Image.Image):
        return prepare(image.convert("RGB"))
    if isinstance(image, np.ndarray):
        return prepare(_picture(image, size))
    if isinstance(image, Tensor) and image.dim() == 3:
        return _checked(image, size)[0]
    raise LabsError(f"{EXPECTED.format(size=size)}; found a {type(image).__name__} in a list.")


def _picture(pixels: np.ndarray, size: int) -> Image.Image:
    """Return an array as an image of Pillow; it has any height and width, as a file."""
    if pixels.dtype != np.uint8 or pixels.shape[2:] not in ((), (3,)) or pixels.ndim < 2:
        raise LabsError(f"{EXPECTED.format(size=size)}; found an array {pixels.shape} of {pixels.dtype}.")
    return Image.fromarray(pixels).convert("RGB")


def _checked(images: Tensor, size: int) -> Tensor:
    """Return images in [0, 1]; what was normalized already would be normalized twice."""
    images = images[None] if images.dim() == 3 else images
    if images.dim() != 4 or images.shape[1:] != (3, size, size):
        raise LabsError(f"{EXPECTED.format(size=size)}; found one of shape {tuple(images.shape)}.")
    if images.dtype == torch.uint8:
        return images.float() / 255
    if not images.is_floating_point() or not ((images >= 0) & (images <= 1)).all():
        raise LabsError(
            f"{EXPECTED.format(size=size)}; found {images.dtype} from {float(images.min()):.3g} to "
            f"{float(images.max()):.3g}. The net normalizes by itself."
        )
    return images.float()

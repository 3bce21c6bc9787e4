"""What somebody asks a net about, as batches: files, images of Pillow, or tensors."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from labs import LabsError

AT_ONCE = 32  # images in memory together
EXPECTED = "expected files, images of Pillow, or a tensor (batch, 3, {size}, {size}) in [0, 1] or of uint8"


def batches_of(
    images: Any, size: int, read: Callable[[str], Tensor], prepare: Callable[[Image.Image], Tensor]
) -> Iterator[Tensor]:
    """Yield images (batch, 3, size, size) in [0, 1], a few at a time.

    Args:
        images: a file, an image of Pillow, a list of them, or a tensor (batch, 3, size, size) or (3, size, size).
        size: pixels, height and width.
        read: returns the image (3, size, size) of a file.
        prepare: returns that of an image of Pillow.

    Raises:
        LabsError: it is nothing of the kind, or pixels are not in [0, 1].
    """
    if isinstance(images, Tensor):
        yield from _checked(images, size).split(AT_ONCE)
        return
    one = isinstance(images, (str, Path, Image.Image))
    if not one and not isinstance(images, Sequence):
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
    if isinstance(image, Tensor) and image.dim() == 3:
        return _checked(image, size)[0]
    raise LabsError(f"{EXPECTED.format(size=size)}; found a {type(image).__name__} in a list.")


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

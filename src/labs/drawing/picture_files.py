"""Files of generated pictures: 8 bits, with metadata."""

from collections.abc import Mapping
from pathlib import Path

import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from labs.functional.tiles import as_bytes
from labs.storage.files import replacing


def small(pictures: Tensor, longest: int) -> Tensor:
    """Reduce pictures (batch, channels, height, width) so that the longer side has at most `longest` pixels."""
    factor = longest / max(pictures.shape[-2:])
    if factor >= 1:
        return pictures
    return torch.nn.functional.interpolate(pictures, scale_factor=factor, mode="bilinear", antialias=True)


def as_image(picture: Tensor) -> Image.Image:
    """Return a picture (3 or 4 channels, height, width) in [0, 1] as an 8-bit image."""
    return Image.fromarray(as_bytes(picture).permute(1, 2, 0).numpy())


def save_png(picture: Tensor, path: Path, texts: Mapping[str, str]) -> None:
    """Save a picture with texts in its metadata."""
    info = PngInfo()
    for name, text in texts.items():
        info.add_itxt(name, text)
    with replacing(path) as staged:
        as_image(picture).save(staged, format="PNG", pnginfo=info)

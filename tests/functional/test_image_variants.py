"""The eight versions of a picture, byte for byte as Pillow makes them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps
from torch import Tensor

from labs.functional.image_variants import VARIANTS, brightness, contrast

PILLOW: dict[str, Callable[[Image.Image], Image.Image]] = {
    "normal": lambda image: image,
    "translated": lambda image: Image.fromarray(np.roll(np.asarray(image), (10, 10), axis=(0, 1))),
    "brightened": lambda image: ImageEnhance.Brightness(image).enhance(1.5),
    "darkened": lambda image: ImageEnhance.Brightness(image).enhance(0.75),
    "high_contrast": lambda image: ImageEnhance.Contrast(image).enhance(1.5),
    "low_contrast": lambda image: ImageEnhance.Contrast(image).enhance(0.75),
    "flipped": lambda image: image.rotate(180),
    "inverted": ImageOps.invert,
}


def pictures() -> Tensor:
    """Twenty random pictures, pale and dark ones and one of a single color among them."""
    draw = np.random.default_rng(0)
    found = draw.integers(0, 256, (20, 3, 24, 31))
    found[5:10] = found[5:10] // 4
    found[10:15] = 255 - found[10:15] // 3
    found[15] = 77
    return torch.from_numpy(found.astype(np.uint8))


@pytest.mark.parametrize("name", VARIANTS)
def test_a_batch_is_changed_as_pillow_changes_each_picture(name: str) -> None:
    images = pictures()
    ours = VARIANTS[name](images)
    assert ours.dtype == torch.uint8
    for image, found in zip(images, ours, strict=True):
        expected = PILLOW[name](Image.fromarray(image.permute(1, 2, 0).numpy()))
        assert (np.asarray(expected) == found.permute(1, 2, 0).numpy()).all()


@pytest.mark.parametrize("factor", [0.0, 0.3, 1.0, 1.1, 2.7])
def test_any_factor_is_pillows(factor: float) -> None:
    images = pictures()
    for change, theirs in ((brightness, ImageEnhance.Brightness), (contrast, ImageEnhance.Contrast)):
        for image, found in zip(images, change(images, factor), strict=True):
            expected = np.asarray(theirs(Image.fromarray(image.permute(1, 2, 0).numpy())).enhance(factor))
            assert (expected == found.permute(1, 2, 0).numpy()).all()


def test_pictures_of_a_batch_do_not_change_each_other() -> None:
    images = pictures()
    for change in VARIANTS.values():
        assert torch.equal(change(images)[3:4], change(images[3:4]))

"""What a file makes of an image, beside Pillow and real files; and gradients through it."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from labs.functional.saved_pixels import in_8_bits, straight_through, through_jpeg
from labs.functional.tiles import as_bytes


def images() -> Tensor:
    """Two images, with numbers outside [0, 1]."""
    return torch.rand(2, 3, 20, 24, generator=torch.Generator().manual_seed(0)) * 1.4 - 0.2


def read(path: Path) -> Tensor:
    with Image.open(path) as file:
        return torch.from_numpy(np.array(file.convert("RGB"))).permute(2, 0, 1).float() / 255


@pytest.mark.parametrize("ending", ["png", "jpg"])
def test_it_is_what_a_file_keeps(ending: str, tmp_path: Path) -> None:
    expected = []
    for place, image in enumerate(images()):
        file = tmp_path / f"{place}.{ending}"
        options = {"quality": 80} if ending == "jpg" else {}
        Image.fromarray(as_bytes(image.clamp(0, 1)).permute(1, 2, 0).numpy()).save(file, **options)
        expected.append(read(file))
    saved = in_8_bits if ending == "png" else partial(through_jpeg, quality=80)
    assert torch.equal(saved(images()), torch.stack(expected))


def test_a_low_quality_loses_more() -> None:
    lost = [(through_jpeg(images(), quality) - in_8_bits(images())).abs().mean() for quality in (95, 50, 5)]
    assert lost[0] < lost[1] < lost[2]


def test_gradients_pass_rounding_and_stop_where_a_pixel_is_clamped() -> None:
    start = images().requires_grad_()
    saved = straight_through(start, in_8_bits)
    assert torch.equal(saved, in_8_bits(images())), "to the last bit"
    weights = torch.randn(saved.shape, generator=torch.Generator().manual_seed(1))
    (gradient,) = torch.autograd.grad((weights * saved).sum(), start)
    inside = (images() >= 0) & (images() <= 1)
    assert torch.equal(gradient, weights * inside)

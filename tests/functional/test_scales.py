from __future__ import annotations

import pytest
import torch

from labs import LabsError
from labs.functional.scales import LEAST_PIXELS, enlarged, resized, share_out


@pytest.mark.parametrize("steps", [30, 31, 59, 300, 1000])
@pytest.mark.parametrize("scales", [[1.0], [0.5, 1.0], [0.25, 0.5, 1.0]], ids=str)
def test_every_scale_has_a_share_and_all_steps_are_taken(steps: int, scales: list[float]) -> None:
    ends = share_out(steps, 10, scales)
    shares = [end - start for start, end in zip([0, *ends[:-1]], ends, strict=True)]
    assert len(shares) == len(scales)
    assert sum(shares) == steps
    assert all(share >= 10 and share % 10 == 0 for share in shares[:-1])
    assert shares[-1] == max(shares)


def test_steps_that_are_too_few_for_the_scales_are_refused() -> None:
    with pytest.raises(LabsError, match="each of the 2 scales needs at least 10 evaluations; type steps=20 or more"):
        share_out(19, 10, [0.5, 1.0])


def test_sizes() -> None:
    images = torch.rand(2, 3, 40, 60, generator=torch.Generator().manual_seed(0))
    assert resized(images, 1.0) is images
    half = resized(images, 0.5)
    assert half.shape == (2, 3, 20, 30)
    assert half.min() >= 0
    assert half.max() <= 1
    torch.testing.assert_close(half.mean((2, 3)), images.mean((2, 3)), atol=0.02, rtol=0)
    assert resized(images, 0.1).shape == (2, 3, LEAST_PIXELS, LEAST_PIXELS)
    assert enlarged(half, [40, 60]).shape == images.shape
    flat = torch.full((1, 3, 20, 20), 0.3)
    torch.testing.assert_close(enlarged(flat, [40, 40]), torch.full((1, 3, 40, 40), 0.3))

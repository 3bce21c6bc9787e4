"""Deletion, insertion and likeness of maps: closed forms, and SciPy and scikit-image as oracles."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from scipy.stats import spearmanr
from skimage.metrics import structural_similarity as of_skimage
from torch import Tensor

from labs.functional.faithfulness import (
    area,
    averaged,
    blurred,
    rank_correlation,
    ranks,
    removal_curves,
    scaled,
    structural_similarity,
)

DRAW = torch.Generator().manual_seed(0)


def mean_of_quarter(images: Tensor) -> Tensor:
    return images[:, 0, :4, :4].mean((1, 2))


def test_curves_of_a_score_that_sees_a_quarter_of_the_image() -> None:
    """Deleting the quarter first ends the score after a quarter of the pixels; the other way round it holds."""
    images, background = torch.ones(1, 1, 8, 8), torch.zeros(1, 1, 8, 8)
    right = torch.zeros(1, 8, 8)
    right[:, :4, :4] = 1
    deletion, insertion = removal_curves(mean_of_quarter, images, background, ranks(right), 4)
    assert deletion.tolist() == [[1, 0, 0, 0, 0]]
    assert insertion.tolist() == [[0, 1, 1, 1, 1]]
    assert area(deletion).item() == pytest.approx(0.125)
    wrong, _ = removal_curves(mean_of_quarter, images, background, ranks(-right), 4)
    assert wrong.tolist() == [[1, 1, 1, 1, 0]]


def test_by_the_order_of_another_image_nothing_is_mixed_up() -> None:
    images, background = torch.rand(2, 3, 8, 8, generator=DRAW), torch.zeros(2, 3, 8, 8)
    places = ranks(torch.rand(2, 8, 8, generator=DRAW))
    both = removal_curves(mean_of_quarter, images, background, places, 5)
    alone = removal_curves(mean_of_quarter, images[1:], background[1:], places[1:], 5)
    for together, single in zip(both, alone, strict=True):
        torch.testing.assert_close(together[1:], single)


def test_spearman_is_scipys_with_ties_too() -> None:
    maps, others = torch.rand(3, 9, 9, generator=DRAW), torch.rand(3, 9, 9, generator=DRAW).mul(4).round()
    expected = [spearmanr(a.flatten(), b.flatten()).statistic for a, b in zip(maps, others, strict=True)]
    assert rank_correlation(maps, others).tolist() == pytest.approx(expected)
    assert rank_correlation(maps, torch.zeros(3, 9, 9)).tolist() == [0, 0, 0]
    assert rank_correlation(maps, maps.exp()).tolist() == pytest.approx([1, 1, 1])


def test_ssim_is_that_of_scikit_image() -> None:
    maps, others = (scaled(torch.rand(2, 40, 40, generator=DRAW)) for _ in range(2))
    found = structural_similarity(maps, others)
    for one, other, value in zip(scaled(maps), scaled(others), found, strict=True):
        expected = of_skimage(one.numpy(), other.numpy(), win_size=11, data_range=1.0, use_sample_covariance=False)
        assert value.item() == pytest.approx(expected, abs=0.02)
    assert structural_similarity(maps, maps).tolist() == pytest.approx([1, 1])
    assert structural_similarity(maps[:, :4, :4], others[:, :4, :4]).isfinite().all()


def test_the_blur_is_scipys() -> None:
    images = torch.rand(1, 3, 112, 112, generator=DRAW)
    expected = gaussian_filter(images.numpy(), sigma=(0, 0, 5.0, 5.0), mode="mirror", truncate=3.2)
    np.testing.assert_allclose(blurred(images).numpy(), expected, atol=1e-4)
    assert blurred(torch.rand(1, 3, 8, 8)).shape == (1, 3, 8, 8)


def test_averaging_keeps_a_constant_and_small_images() -> None:
    torch.testing.assert_close(averaged(torch.ones(1, 224, 224)), torch.ones(1, 224, 224))
    one = torch.zeros(1, 224, 224)
    one[0, 100, 100] = 25
    assert averaged(one)[0, 98:103, 98:103].tolist() == [[1.0] * 5] * 5
    tiny = torch.rand(1, 16, 16, generator=DRAW)
    torch.testing.assert_close(averaged(tiny), tiny)


def test_scaling_leaves_the_brightest_hundredth_alike() -> None:
    maps = torch.arange(1000.0).view(1, 10, 100)
    assert (scaled(maps) == 1).sum().item() == 10
    assert scaled(torch.zeros(1, 4, 4)).tolist() == torch.zeros(1, 4, 4).tolist()
    sparse = torch.zeros(1, 20, 20)
    sparse[0, 3, 3] = 2
    assert scaled(sparse).max() == 1

"""Gradient ascent's pieces, beside SciPy and gradients written out."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from labs.functional.ascent import blurred, jitter, jitter_of, penalty, seeded, unit


@pytest.mark.parametrize("shift", [(0, 0), (3, 5), (16, 1)])
def test_jitter_and_its_undoing_are_the_identity(shift: tuple[int, int]) -> None:
    images = torch.rand(2, 3, 8, 9)
    assert torch.equal(jitter(jitter(images, shift), (-shift[0], -shift[1])), images)


def test_a_gradient_through_jitter_is_the_gradient_undone() -> None:
    images, weights = torch.rand(1, 3, 8, 8, requires_grad=True), torch.rand(1, 3, 8, 8)
    (gradient,) = torch.autograd.grad((jitter(images, (2, 3)) * weights).sum(), images)
    assert torch.equal(gradient, jitter(weights, (-2, -3)))


def test_jitter_is_a_function_of_seed_and_step() -> None:
    shifts = [jitter_of(16, 0, step) for step in range(200)]
    assert shifts == [jitter_of(16, 0, step) for step in range(200)]
    assert shifts != [jitter_of(16, 1, step) for step in range(200)]
    assert {down for down, _ in shifts} == set(range(17)) == {right for _, right in shifts}
    assert jitter_of(0, 0, 5) == (0, 0)
    assert not torch.equal(torch.rand(3, generator=seeded(1, 2)), torch.rand(3, generator=seeded(2, 1)))


@pytest.mark.parametrize("sigma", [0.0, 0.5, 1.3])
def test_blur_is_scipys(sigma: float) -> None:
    images = torch.rand(2, 3, 12, 15, dtype=torch.float64)
    expected = gaussian_filter(images.numpy(), sigma, axes=(2, 3))
    np.testing.assert_allclose(blurred(images, sigma).numpy(), expected, atol=1e-12)


def test_gradients_of_the_penalties_are_those_by_hand() -> None:
    images = torch.randn(3, 3, 4, 4, requires_grad=True)
    (square,) = torch.autograd.grad(penalty(images, "square").sum(), images)
    (norm,) = torch.autograd.grad(penalty(images, "norm").sum(), images)
    torch.testing.assert_close(square, 2 * images.detach())
    lengths = images.detach().flatten(1).norm(dim=1)[:, None, None, None]
    torch.testing.assert_close(norm, images.detach() / lengths)


def test_every_gradient_gets_length_one() -> None:
    gradients = torch.randn(4, 3, 5, 5) * torch.tensor([1e-6, 1.0, 1e6, 0.0])[:, None, None, None]
    torch.testing.assert_close(unit(gradients).flatten(1).norm(dim=1), torch.tensor([1.0, 1.0, 1.0, 0.0]))

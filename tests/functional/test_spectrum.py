"""Images by their spectrum: what is measured comes back, whatever the phases are."""

import numpy as np
import pytest
import torch

from labs.functional.spectrum import colored, crops, image_of, magnitude_at, measure


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    """Smooth noise of correlated colors."""
    noise = torch.randn(12, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    smooth = torch.nn.functional.avg_pool2d(noise, 5, 1, 2, count_include_pad=False)
    mixed = torch.einsum("ij,bjhw->bihw", torch.tensor([[1.0, 0.5, 0.2], [0.8, 0.6, 0.0], [0.4, 0.1, 0.7]]), smooth)
    return (128 + 60 * mixed).clamp(0, 255).byte().numpy()


@pytest.mark.parametrize("size", [32, 31, 64])
def test_the_magnitude_is_the_same_whatever_the_phases(size: int, pixels: np.ndarray) -> None:
    magnitude = magnitude_at(measure(pixels).magnitude, size)
    phase = 10 * torch.randn(2, 3, size, size // 2 + 1)
    found = torch.fft.rfft2(image_of(phase, magnitude, size), norm="ortho").abs()
    torch.testing.assert_close(found, magnitude.expand_as(found), atol=1e-4, rtol=1e-3)


def test_at_its_own_size_a_magnitude_is_itself(pixels: np.ndarray) -> None:
    measured = measure(pixels).magnitude
    found = magnitude_at(measured, 32)
    assert not found[:, 0, 0].any()
    found[:, 0, 0] = measured[:, 0, 0]
    torch.testing.assert_close(found, measured, atol=1e-4, rtol=1e-3)


def test_channels_before_colors_are_uncorrelated_and_colors_are_those_measured(pixels: np.ndarray) -> None:
    spectrum = measure(pixels)
    values = torch.from_numpy(pixels).double().div(255).transpose(0, 1).flatten(1)
    torch.testing.assert_close(spectrum.mean.double(), values.mean(1))
    covariance = torch.cov(values, correction=0)
    torch.testing.assert_close((spectrum.colors @ spectrum.colors.T).double(), covariance, atol=1e-5, rtol=1e-4)
    plain = torch.linalg.inv(spectrum.colors.double()) @ (values - values.mean(1, keepdim=True))
    torch.testing.assert_close(torch.cov(plain, correction=0), torch.eye(3).double(), atol=2e-3, rtol=0)


def test_pictures_of_random_phases_have_the_mean_and_the_variance_of_the_images(pixels: np.ndarray) -> None:
    spectrum = measure(pixels)
    phase = 6.3 * torch.rand(200, 3, 32, 17, generator=torch.Generator().manual_seed(1))
    found = colored(image_of(phase, magnitude_at(spectrum.magnitude, 32), 32), spectrum.mean, spectrum.colors)
    found = found.transpose(0, 1).flatten(1)
    torch.testing.assert_close(found.mean(1), spectrum.mean, atol=1e-3, rtol=0)
    wanted = torch.from_numpy(pixels).float().div(255).transpose(0, 1).flatten(1)
    torch.testing.assert_close(found.var(1), wanted.var(1), rtol=0.1, atol=0)  # less what means of images differ by


def test_gray_images_are_measured() -> None:
    gray = np.repeat(np.random.default_rng(0).integers(0, 255, (3, 1, 16, 16), dtype=np.uint8), 3, axis=1)
    assert all(torch.isfinite(values).all() for values in measure(gray))


def test_a_crop_of_everything_is_everything() -> None:
    images = torch.rand(2, 3, 16, 16)
    found = crops(images, [1.0, 1.0], torch.rand(3, 2), torch.rand(3), 16)
    torch.testing.assert_close(found, images.repeat(3, 1, 1, 1))


def test_a_crop_is_the_square_that_was_asked_for() -> None:
    images = torch.rand(1, 3, 16, 16)
    corner = crops(images, [0.5, 0.5], torch.tensor([[1.0, 0.0]]), torch.zeros(1), 8)
    torch.testing.assert_close(corner, images[..., :8, 8:])

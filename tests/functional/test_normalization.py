import numpy as np
import pytest
import torch
from sklearn.preprocessing import StandardScaler

from labs import LabsError
from labs.functional.normalization import FIXED, IMAGENET, channel_statistics


def random_images(count: int = 23, seed: int = 0) -> np.ndarray:
    """Images whose channels differ in mean and spread: (count, 3, 9, 7) uint8."""
    draw = np.random.default_rng(seed)
    return np.stack(
        [draw.integers(low, high, (count, 9, 7)) for low, high in ((0, 256), (100, 140), (3, 5))], axis=1
    ).astype(np.uint8)


@pytest.mark.parametrize("chunk", [1, 5, 23, 256])
def test_statistics_equal_a_direct_computation_and_two_libraries(chunk: int) -> None:
    pixels = random_images()
    rows = np.array([20, 0, 7, 8, 9, 3, 22])
    measured = channel_statistics(pixels, rows, chunk=chunk)

    columns = pixels[rows].astype(np.float64).transpose(0, 2, 3, 1).reshape(-1, 3) / 255
    np.testing.assert_allclose(measured.mean, columns.mean(axis=0), rtol=0, atol=1e-12)
    np.testing.assert_allclose(measured.std, columns.std(axis=0), rtol=0, atol=1e-12)

    scaler = StandardScaler().fit(columns)
    np.testing.assert_allclose(measured.mean, scaler.mean_, rtol=0, atol=1e-12)
    np.testing.assert_allclose(measured.std, scaler.scale_, rtol=0, atol=1e-12)

    images = torch.from_numpy(pixels[rows]).double() / 255
    std, mean = torch.std_mean(images, dim=(0, 2, 3), correction=0)
    np.testing.assert_allclose(measured.mean, mean, rtol=0, atol=1e-12)
    np.testing.assert_allclose(measured.std, std, rtol=0, atol=1e-12)


def test_normalised_images_have_mean_zero_and_deviation_one() -> None:
    pixels = random_images()
    measured = channel_statistics(pixels, np.arange(len(pixels)))
    images = (pixels / 255 - np.reshape(measured.mean, (3, 1, 1))) / np.reshape(measured.std, (3, 1, 1))
    np.testing.assert_allclose(images.mean(axis=(0, 2, 3)), 0, atol=1e-10)
    np.testing.assert_allclose(images.std(axis=(0, 2, 3)), 1, atol=1e-10)


def test_the_deviation_is_not_the_mean_of_the_images_own() -> None:
    pixels = np.zeros((2, 1, 2, 2), dtype=np.uint8)
    pixels[1, 0, 0, 0], pixels[1, 0, 1, 1] = 100, 100  # the first image alone has deviation 0
    measured = channel_statistics(pixels, np.array([0, 1]))
    assert measured.std[0] == pytest.approx(np.sqrt(2500 - 625) / 255)


def test_only_the_given_rows_are_read() -> None:
    pixels, rows = random_images(), np.array([2, 5, 11])
    expected = channel_statistics(pixels, rows)
    poisoned = np.full_like(pixels, 255)
    poisoned[rows] = pixels[rows]
    assert channel_statistics(poisoned, rows) == expected
    assert channel_statistics(poisoned, np.arange(23)) != expected


def test_sums_do_not_overflow_an_image_of_white() -> None:
    pixels = np.full((4, 1, 300, 300), 255, dtype=np.uint8)
    pixels[:2] = 254
    measured = channel_statistics(pixels, np.arange(4))
    assert measured.mean == (254.5 / 255,)
    assert measured.std[0] == pytest.approx(0.5 / 255, rel=1e-9)


def test_nothing_to_measure() -> None:
    with pytest.raises(LabsError, match="no images"):
        channel_statistics(random_images(), np.array([], dtype=np.int64))


def test_a_constant_channel_is_refused_rather_than_divided_by() -> None:
    pixels = random_images()
    pixels[:, 1] = 77
    with pytest.raises(LabsError, match="normalization=none"):
        channel_statistics(pixels, np.arange(23))


def test_fixed_statistics_are_those_of_their_names() -> None:
    assert (IMAGENET.mean, IMAGENET.std) == (
        (0.485, 0.456, 0.406),
        (0.229, 0.224, 0.225),
    )  # torchvision's documentation
    ends = {name: [(x - s.mean[0]) / s.std[0] for x in (0.0, 1.0)] for name, s in FIXED.items()}
    assert ends["half"] == [-0.5, 0.5]
    assert ends["none"] == [0.0, 1.0]
    assert all(statistics.name == name for name, statistics in FIXED.items())

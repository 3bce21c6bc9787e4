"""The measures of generated images beside SciPy, scikit-learn, plain NumPy, and cases whose answer is known."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from sklearn.neighbors import NearestNeighbors
from torch import Tensor

from labs import LabsError
from labs.functional.sample_metrics import (
    coverage,
    frechet_distance,
    histogram_distance,
    kernel_distance,
    nearest,
    precision_recall,
)

FEATURES = 6


def cloud(count: int, seed: int, *, shift: float = 0.0, spread: float = 1.0) -> Tensor:
    """Correlated features around `shift`."""
    draw = np.random.default_rng(seed)
    mix = np.random.default_rng(99).normal(size=(FEATURES, FEATURES)) / 2 + np.eye(FEATURES)
    return torch.from_numpy((draw.normal(size=(count, FEATURES)) * spread) @ mix + shift).float()


def by_sqrtm(fake: Tensor, real: Tensor) -> float:
    """Equation 6 of Heusel et al. as it stands, in float64."""
    one, other = fake.double().numpy(), real.double().numpy()
    first, second = np.cov(one, rowvar=False), np.cov(other, rowvar=False)
    between = np.square(one.mean(0) - other.mean(0)).sum()
    return float(between + np.trace(first + second - 2 * np.real(sqrtm(first @ second))))


def whitened(count: int, seed: int) -> Tensor:
    """Points whose sample mean is 0 and whose sample covariance is the identity, up to rounding."""
    points = np.random.default_rng(seed).normal(size=(count, FEATURES))
    points -= points.mean(0)
    return torch.from_numpy(points @ np.linalg.inv(np.linalg.cholesky(np.cov(points, rowvar=False))).T)


def test_frechet_distance_of_normal_distributions_with_known_moments() -> None:
    scales, shift = torch.tensor([1.0, 2.0, 0.5, 3.0, 1.5, 0.1]), torch.tensor([0.0, 1.0, -2.0, 0.5, 0.0, 4.0])
    fake, real = (whitened(500, 1) * scales + shift).float(), whitened(400, 2).float()
    # diagonal covariances commute: sum of (s - 1)^2 + m^2
    closed = ((scales - 1).square() + shift.square()).sum().item()
    assert frechet_distance(fake, real) == pytest.approx(closed, rel=1e-4)
    assert frechet_distance(real, fake) == pytest.approx(closed, rel=1e-4)


def test_frechet_distance_beside_sqrtm() -> None:
    fake, real = cloud(300, 1, shift=0.3, spread=1.4), cloud(200, 2)
    assert frechet_distance(fake, real) == pytest.approx(by_sqrtm(fake, real), rel=1e-4)


def test_frechet_distance_is_zero_for_the_same_set_in_any_order_and_grows_with_noise() -> None:
    real, noise = cloud(300, 1), torch.randn(300, FEATURES, generator=torch.Generator().manual_seed(3))
    assert frechet_distance(real.flip(0), real) == pytest.approx(0, abs=1e-5)
    distances = [frechet_distance(real + size * noise, real) for size in (0.1, 0.5, 1.0, 2.0)]
    assert distances[0] > 0
    assert distances == sorted(distances)
    assert distances[-1] > 10 * distances[0]


def test_frechet_distance_of_features_that_are_always_zero() -> None:
    """A dead feature makes both covariances singular."""
    fake, real = cloud(300, 1, spread=1.4), cloud(200, 2)
    live = frechet_distance(fake, real)
    dead = [torch.cat([some, torch.zeros(len(some), 2)], 1) for some in (fake, real)]
    assert frechet_distance(*dead) == pytest.approx(live, rel=1e-4)


def by_sums(fake: np.ndarray, real: np.ndarray) -> float:
    """Equation 4 of Binkowski et al., one pair after the other."""

    def kernel(x: np.ndarray, y: np.ndarray) -> float:
        return float((x @ y / len(x) + 1) ** 3)

    m, n = len(fake), len(real)
    within = sum(kernel(fake[i], fake[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    within += sum(kernel(real[i], real[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    return within - 2 * sum(kernel(x, y) for x in fake for y in real) / (m * n)


def test_kernel_distance_beside_plain_sums() -> None:
    fake, real = cloud(40, 1, shift=0.4), cloud(40, 2)
    assert kernel_distance(fake, real) == pytest.approx(by_sums(fake.double().numpy(), real.double().numpy()), rel=1e-3)


def test_kernel_distance_of_sets_of_different_sizes() -> None:
    """Subsets are as large as the smaller set; over them it is near what all pairs give."""
    fake, real = cloud(150, 1, shift=1.0), cloud(60, 2)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        found = kernel_distance(fake, real)
    assert found == pytest.approx(by_sums(fake.double().numpy(), real.double().numpy()), rel=0.25)


def test_kernel_distance_is_about_zero_without_bias_for_two_draws_of_one_distribution() -> None:
    """A biased estimator would be above 0 every time."""
    found = [kernel_distance(cloud(60, 2 * seed), cloud(60, 2 * seed + 1)) for seed in range(12)]
    assert min(found) < 0 < max(found)
    far = kernel_distance(cloud(60, 1, shift=1.0), cloud(60, 2))
    assert far > 3 * max(map(abs, found))


def by_neighbours(points: np.ndarray, manifold: np.ndarray, k: int) -> float:
    radii = NearestNeighbors(n_neighbors=k + 1).fit(manifold).kneighbors(manifold)[0][:, -1]
    gaps = np.linalg.norm(points[:, None] - manifold[None], axis=-1)
    return float((gaps <= radii).any(1).mean())


@pytest.mark.parametrize("neighbours", [1, 3, 5])
def test_precision_and_recall_beside_scikit_learn(neighbours: int) -> None:
    fake, real = cloud(120, 1, shift=2.0, spread=0.7), cloud(90, 2)
    one, other = fake.double().numpy(), real.double().numpy()
    expected = by_neighbours(one, other, neighbours), by_neighbours(other, one, neighbours)
    assert precision_recall(fake, real, neighbours) == pytest.approx(expected, abs=1e-6)
    assert 0 < min(expected) < max(expected) < 1, "else this compares nothing"
    assert expected[0] != expected[1], "else they could be swapped"


def test_precision_and_recall_in_the_extreme_cases() -> None:
    real = torch.cat([cloud(50, 1), cloud(50, 2, shift=50.0)])  # two modes
    assert precision_recall(real, real) == (1.0, 1.0)
    assert precision_recall(real + 1000, real) == (0.0, 0.0)
    one_mode = real[:50]
    precision, recall = precision_recall(one_mode, real)
    assert (precision, recall) == (1.0, 0.5)
    one_image = real[:1].repeat(60, 1)
    precision, recall = precision_recall(one_image, real)
    assert precision == 1.0
    assert recall == pytest.approx(0.01)


def test_precision_and_recall_of_features_far_from_zero_and_close_together() -> None:
    """Distances by way of matrix products would be rounding errors here."""
    draw = torch.Generator().manual_seed(0)
    real = 300 + 0.01 * torch.randn(100, FEATURES, generator=draw)
    fake = 300 + 0.01 * torch.randn(100, FEATURES, generator=draw)
    exact = by_neighbours(fake.double().numpy(), real.double().numpy(), 3)
    assert precision_recall(fake, real)[0] == pytest.approx(exact, abs=0.021)


@pytest.mark.parametrize("neighbours", [0, -1, 8, 9])
def test_precision_needs_more_images_than_neighbours(neighbours: int) -> None:
    with pytest.raises(LabsError, match=rf"callbacks.quality.neighbours={neighbours}: expected 1 to 7"):
        precision_recall(cloud(20, 1), cloud(8, 2), neighbours)


@pytest.mark.parametrize(
    ("fake", "real", "expected"),
    [
        ([50, 49, 1], [10, 10, 10], 2),
        ([3, 97], [10, 90], 2),  # 0.3 of its share exactly
        ([2, 98], [10, 90], 1),
        ([225, 552], [750, 27], 2),  # exactly again, where 0.3 * 750 / 777 is above it in float32
        ([702, 2898], [650, 350], 2),
        ([10, 90], [5, 995], 2),  # unequal shares of real images: 0.1 is far above 0.3 of 0.005
        ([1, 999], [5, 995], 1),  # ... and 0.001 below
        ([0, 0, 7], [1, 1, 1], 1),
        ([7, 0], [7, 0], 1),  # what nobody generates is not covered, whatever the real images are
    ],
)
def test_coverage(fake: list[int], real: list[int], expected: int) -> None:
    assert coverage(torch.tensor(fake), torch.tensor(real)) == expected


def test_coverage_beside_exact_fractions() -> None:
    draw = np.random.default_rng(0)
    for _ in range(300):
        real = draw.integers(1, 1000, 5).tolist()
        fake = [-(-3 * one // 10) for one in real]  # close to where it counts
        shares = [Fraction(f, sum(fake)) >= Fraction(3, 10) * Fraction(r, sum(real)) for f, r in zip(fake, real)]
        assert coverage(torch.tensor(fake), torch.tensor(real)) == sum(shares)


def test_histogram_distance() -> None:
    assert histogram_distance(torch.tensor([2, 4, 6]), torch.tensor([10, 20, 30])) == 0
    assert histogram_distance(torch.tensor([3, 0, 0]), torch.tensor([0, 5, 5])) == 1
    assert histogram_distance(torch.tensor([5, 5]), torch.tensor([8, 2])) == pytest.approx(0.3)
    assert histogram_distance(torch.tensor([8, 2]), torch.tensor([5, 5])) == pytest.approx(0.3)


def test_nearest_beside_scikit_learn() -> None:
    points, others = cloud(1100, 1), cloud(70, 2)  # more points than a chunk
    distances, places = NearestNeighbors(n_neighbors=1).fit(others.double().numpy()).kneighbors(points.double().numpy())
    found_distances, found_places = nearest(points, others)
    assert found_places.tolist() == places[:, 0].tolist()
    np.testing.assert_allclose(found_distances.numpy(), distances[:, 0], rtol=1e-3, atol=1e-3)

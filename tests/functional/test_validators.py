"""The validators against SciPy and against plain loops written from the papers' equations."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.special import softmax
from scipy.stats import entropy
from torch import Tensor

from labs.functional.validators import mean_entropy, soft_neighborhood_density


def predictions(images: int, classes: int, sharpness: float = 2.0, seed: int = 0) -> Tensor:
    logits = sharpness * np.random.default_rng(seed).normal(size=(images, classes))
    return torch.from_numpy(softmax(logits, axis=1))


def density_by_loops(probabilities: np.ndarray, temperature: float) -> float:
    """Saito et al. 2021: similarities (1), softmax over the other images (2), mean entropy (3)."""
    entropies = []
    for i, mine in enumerate(probabilities):
        exponents = []
        for j, other in enumerate(probabilities):
            if j != i:
                similarity = float(mine @ other) / (math.sqrt(mine @ mine) * math.sqrt(other @ other))
                exponents.append(math.exp(similarity / temperature))
        shares = [exponent / sum(exponents) for exponent in exponents]
        entropies.append(-sum(share * math.log(share) for share in shares if share > 0))
    return sum(entropies) / len(entropies)


@pytest.mark.parametrize("classes", [2, 10])
@pytest.mark.parametrize("sharpness", [0.1, 2.0, 30.0])
def test_the_entropy_is_scipys(classes: int, sharpness: float) -> None:
    probabilities = predictions(50, classes, sharpness)
    expected = entropy(probabilities.numpy(), axis=1).mean()
    assert mean_entropy(probabilities).item() == pytest.approx(expected, rel=1e-12)
    assert mean_entropy(probabilities.float()).item() == pytest.approx(expected, rel=1e-5, abs=1e-7)


def test_the_entropy_lies_between_certainty_and_ignorance() -> None:
    assert mean_entropy(torch.eye(7)).item() == 0
    assert mean_entropy(torch.full((5, 7), 1 / 7)).item() == pytest.approx(math.log(7), rel=1e-6)
    assert 0 < mean_entropy(predictions(50, 7)).item() < math.log(7)


@pytest.mark.parametrize("temperature", [0.05, 0.5, 5.0])
@pytest.mark.parametrize(("images", "classes"), [(2, 3), (13, 2), (30, 10)])
def test_the_density_is_that_of_plain_loops(images: int, classes: int, temperature: float) -> None:
    probabilities = predictions(images, classes)
    found = soft_neighborhood_density(probabilities, temperature).item()
    assert found == pytest.approx(density_by_loops(probabilities.numpy(), temperature), rel=1e-10, abs=1e-12)


def test_the_papers_temperature_is_the_default() -> None:
    probabilities = predictions(12, 4)
    assert soft_neighborhood_density(probabilities).item() == pytest.approx(
        density_by_loops(probabilities.numpy(), 0.05), rel=1e-10
    )


@pytest.mark.parametrize("chunk", [1, 7, 29, 30, 31])
def test_the_size_of_a_chunk_changes_nothing(chunk: int) -> None:
    probabilities = predictions(30, 5)
    expected = soft_neighborhood_density(probabilities).item()
    assert soft_neighborhood_density(probabilities, chunk=chunk).item() == pytest.approx(expected, rel=1e-12)


def test_the_order_of_images_and_classes_changes_nothing() -> None:
    probabilities, draw = predictions(30, 5), torch.Generator().manual_seed(1)
    mixed = probabilities[torch.randperm(30, generator=draw)][:, torch.randperm(5, generator=draw)]
    for measure in (mean_entropy, soft_neighborhood_density):
        assert measure(mixed).item() == pytest.approx(measure(probabilities).item(), rel=1e-12)


def test_the_density_lies_between_its_bounds() -> None:
    images = 20
    assert soft_neighborhood_density(torch.full((images, 4), 0.25)).item() == pytest.approx(math.log(images - 1))
    pairs = torch.eye(images // 2).repeat_interleave(2, dim=0)  # each image has one neighbour, and no other
    assert soft_neighborhood_density(pairs, temperature=0.01).item() == pytest.approx(0, abs=1e-12)
    assert 0 < soft_neighborhood_density(predictions(images, 4)).item() < math.log(images - 1)


def test_dense_clusters_are_denser_than_scattered_predictions() -> None:
    clusters = predictions(3, 3, sharpness=3.0)[torch.arange(60) % 3]
    scattered = predictions(60, 3, sharpness=1.0)
    assert soft_neighborhood_density(clusters) > soft_neighborhood_density(scattered)
    sizes = 20  # within a cluster all others are equally near
    exact = soft_neighborhood_density(torch.eye(3)[torch.arange(60) % 3], temperature=0.01).item()
    assert exact == pytest.approx(math.log(sizes - 1))

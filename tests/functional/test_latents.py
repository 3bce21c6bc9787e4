"""Ways between latents against their laws."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from labs import LabsError
from labs.functional.latents import interpolate, seeded_latents


@pytest.fixture
def ends() -> tuple[Tensor, Tensor]:
    start, end = seeded_latents(10, 100, seed=3).chunk(2)
    return start, end


@pytest.mark.parametrize("path", ["linear", "spherical"])
@pytest.mark.parametrize("steps", [2, 10])
def test_the_ends_are_the_latents_exactly(ends: tuple[Tensor, Tensor], path: str, steps: int) -> None:
    way = interpolate(*ends, steps, path)  # type: ignore[arg-type]
    assert way.shape == (steps, 5, 100)
    assert torch.equal(way[0], ends[0])
    assert torch.equal(way[-1], ends[1])


def test_linear_is_straight_and_even(ends: tuple[Tensor, Tensor]) -> None:
    way = interpolate(*ends, 10, "linear")
    assert torch.allclose(way.diff(dim=0), ((ends[1] - ends[0]) / 9).expand(9, -1, -1), atol=1e-5)


def test_spherical_keeps_the_length_and_turns_evenly() -> None:
    start, end = (F.normalize(latents, dim=1) for latents in seeded_latents(8, 20, seed=1).chunk(2))
    way = interpolate(start, end, 7, "spherical")
    assert torch.allclose(way.norm(dim=2), torch.ones(7, 4), atol=1e-5)
    cosines = F.cosine_similarity(way[1:], way[:-1], dim=2)
    assert torch.allclose(cosines, cosines[0].expand(6, -1), atol=1e-5)


@pytest.mark.parametrize("factor", [2.0, -1.0])
def test_parallel_latents_go_straight(factor: float) -> None:
    start = seeded_latents(3, 10, seed=0)
    way = interpolate(start, factor * start, 5, "spherical")
    assert way.isfinite().all()
    assert torch.allclose(way, interpolate(start, factor * start, 5, "linear"), atol=1e-4)


def test_one_step_is_no_way(ends: tuple[Tensor, Tensor]) -> None:
    with pytest.raises(LabsError, match="expected 2 or more"):
        interpolate(*ends, 1, "linear")


def test_latents_are_a_function_of_the_seed() -> None:
    before = torch.random.get_rng_state()
    assert torch.equal(seeded_latents(4, 7, 1), seeded_latents(4, 7, 1))
    assert not torch.equal(seeded_latents(4, 7, 1), seeded_latents(4, 7, 2))
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize("size", [3, 100])
def test_a_latent_is_a_function_of_its_place(size: int) -> None:
    """However many there are."""
    many = seeded_latents(500, size, 7)
    assert all(torch.equal(seeded_latents(count, size, 7), many[:count]) for count in (1, 5, 16, 33, 499))
    assert many.mean().item() == pytest.approx(0, abs=0.1)
    assert many.std().item() == pytest.approx(1, abs=0.05)

"""Losses against PyTorch's binary cross-entropy and closed forms; ways between latents against their laws."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from labs.errors import LabsError
from labs.functional.gan import discriminator_loss, generator_loss, interpolate, seeded_latents

LOGITS = torch.linspace(-6, 6, 25)


def test_losses_are_binary_cross_entropies() -> None:
    ones, zeros = torch.ones_like(LOGITS), torch.zeros_like(LOGITS)
    expected = F.binary_cross_entropy_with_logits(LOGITS, ones) + F.binary_cross_entropy_with_logits(-LOGITS, zeros)
    assert discriminator_loss(LOGITS, -LOGITS).item() == pytest.approx(expected.item(), rel=1e-6)
    to_fool = F.binary_cross_entropy_with_logits(LOGITS, ones)
    assert generator_loss(LOGITS, "non_saturating").item() == pytest.approx(to_fool.item(), rel=1e-6)
    to_be_caught = F.binary_cross_entropy_with_logits(LOGITS, zeros)
    assert generator_loss(LOGITS, "true").item() == pytest.approx(-to_be_caught.item(), rel=1e-6)


@pytest.mark.parametrize("probability", [1e-3, 0.1, 0.5, 0.9])
def test_the_true_loss_saturates(probability: float) -> None:
    """With respect to the logit the gradients are D - 1 and -D: at D(G(z)) = 1e-3 one is a thousandth of the other."""
    gradients = []
    for kind in ("non_saturating", "true"):
        logit = torch.tensor([math.log(probability / (1 - probability))], requires_grad=True)
        generator_loss(logit, kind).backward()  # type: ignore[arg-type]
        assert logit.grad is not None
        gradients.append(logit.grad.item())
    assert gradients == pytest.approx([probability - 1, -probability], rel=1e-4)
    assert gradients[1] / gradients[0] == pytest.approx(probability / (1 - probability), rel=1e-3)


@pytest.mark.parametrize("extreme", [-1e4, 1e4])
def test_nothing_overflows_in_half_precision(extreme: float) -> None:
    logits = torch.full((3,), extreme, dtype=torch.float16)
    losses = (discriminator_loss(logits, logits), *(generator_loss(logits, k) for k in ("non_saturating", "true")))
    assert all(loss.isfinite() and loss.dtype == torch.float32 for loss in losses)


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

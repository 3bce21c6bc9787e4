"""The reversal against finite differences and its laws; its weight against the paper's formula."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from labs import LabsError
from labs.functional.gradient_reversal import ReversalWeight, reverse_gradient


def smooth(features: Tensor) -> Tensor:
    return (features.sin() * torch.arange(1.0, features.numel() + 1, dtype=features.dtype).view_as(features)).sum()


def gradient(features: Tensor, *weights: float) -> Tensor:
    """Return d smooth(R(features)) / d features, with a reversal for each weight."""
    leaf = features.clone().requires_grad_()
    out = leaf
    for weight in weights:
        out = reverse_gradient(out, weight)
    (found,) = torch.autograd.grad(smooth(out), leaf)
    return found


def finite_differences(features: Tensor, step: float = 1e-6) -> Tensor:
    flat = features.flatten()
    slopes = torch.empty_like(flat)
    for place in range(len(flat)):
        there = torch.zeros_like(flat)
        there[place] = step
        ahead, behind = (smooth((flat + sign * there).view_as(features)) for sign in (1, -1))
        slopes[place] = (ahead - behind) / (2 * step)
    return slopes.view_as(features)


@pytest.fixture
def features() -> Tensor:
    return torch.randn(3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("weight", [-1.0, 0.0, 0.3, 1.0, 2.5])
def test_it_is_the_identity_forwards(weight: float, features: Tensor) -> None:
    for dtype in (torch.float64, torch.float32, torch.bfloat16):
        given = features.to(dtype)
        out = reverse_gradient(given, weight)
        assert torch.equal(out, given)
        assert out.dtype == dtype


@pytest.mark.parametrize("weight", [-1.0, 0.0, 0.3, 1.0, 2.5])
def test_backwards_it_is_the_gradient_of_the_negated_function(weight: float, features: Tensor) -> None:
    assert torch.allclose(gradient(features, weight), -weight * finite_differences(features), rtol=1e-7, atol=1e-8)


def test_a_weight_of_minus_one_is_no_reversal_and_zero_lets_nothing_through(features: Tensor) -> None:
    assert torch.equal(gradient(features, -1.0), gradient(features))
    assert torch.equal(gradient(features, 0.0), torch.zeros_like(features))


@pytest.mark.parametrize(("first", "second"), [(0.5, 0.25), (1.0, 1.0), (-1.0, 2.0), (0.0, 3.0)])
def test_twice_is_once_with_minus_the_product(first: float, second: float, features: Tensor) -> None:
    assert torch.allclose(gradient(features, first, second), gradient(features, -first * second), rtol=1e-12, atol=0)


def test_it_makes_no_copy_and_leaves_the_input_alone(features: Tensor) -> None:
    before = features.clone()
    leaf = features.requires_grad_()
    out = reverse_gradient(leaf, 0.5)
    assert out is not leaf
    assert out.data_ptr() == leaf.data_ptr()
    out.sum().backward()
    assert torch.equal(leaf, before)


def test_other_ways_to_the_features_keep_their_gradient(features: Tensor) -> None:
    """As in a training step: one loss sees the features themselves, another one reversed ones."""
    leaf = features.clone().requires_grad_()
    (leaf.pow(2).sum() + smooth(reverse_gradient(leaf, 0.7))).backward()
    assert leaf.grad is not None
    assert torch.allclose(leaf.grad, 2 * features - 0.7 * finite_differences(features), rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("gamma", [0.5, 10.0, 100.0])
@pytest.mark.parametrize("weight", [1.0, 0.3, -1.0])
def test_the_schedule_is_the_papers(weight: float, gamma: float) -> None:
    grid = np.linspace(0, 1, 101)
    expected = weight * (2 / (1 + np.exp(-gamma * grid)) - 1)
    found = [ReversalWeight(weight=weight, gamma=gamma)(float(progress)) for progress in grid]
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-15)


def test_known_values() -> None:
    lambda_ = ReversalWeight()
    assert lambda_(0.0) == 0
    assert lambda_(0.5) == pytest.approx(0.98661, abs=5e-6)
    assert lambda_(0.1) == pytest.approx(math.tanh(0.5), rel=1e-12)
    assert 0.9999 < lambda_(1.0) < 1


def test_a_constant_is_the_same_at_any_progress() -> None:
    assert {ReversalWeight(weight=0.3, gamma=None)(progress) for progress in (0.0, 0.2, 1.0)} == {0.3}


def test_it_is_pure() -> None:
    lambda_ = ReversalWeight()
    forwards = [lambda_(progress / 10) for progress in range(11)]
    backwards = [lambda_(progress / 10) for progress in reversed(range(11))]
    assert forwards == backwards[::-1] == sorted(forwards)
    with pytest.raises(dataclasses.FrozenInstanceError):
        lambda_.weight = 2.0  # type: ignore[misc]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"gamma": 0.0}, r"reversal\.gamma=0\.0: expected a number above 0, or null"),
        ({"gamma": -1.0}, r"reversal\.gamma=-1\.0"),
        ({"gamma": math.nan}, r"reversal\.gamma=nan"),
        ({"weight": math.nan}, r"reversal\.weight=nan: expected a number"),
        ({"weight": math.inf}, r"reversal\.weight=inf"),
    ],
)
def test_what_makes_no_sense(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(LabsError, match=said) as refused:
        ReversalWeight(**wrong)
    assert "\n" not in str(refused.value)


def test_an_endless_gamma_is_refused_too() -> None:
    with pytest.raises(LabsError, match=r"reversal\.gamma=inf"):
        ReversalWeight(gamma=math.inf)

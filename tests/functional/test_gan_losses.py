"""Losses against PyTorch's binary cross-entropy and closed forms."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from labs.functional.gan_losses import discriminator_loss, generator_loss

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

"""`CDAN` beside loops written from the paper's equations."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from fake_domains import CLASSES, SGD, domains, small_net, small_trainer
from torch import Tensor, nn

from labs.functional.gradient_reversal import ReversalWeight
from labs.modules.cdan import CDAN, certainty

FEATURES = 48


def module(**options: Any) -> CDAN:
    return CDAN(net=small_net(), num_classes=CLASSES, optimizer=SGD, **options)


def drawn(labeled: int = 5, unlabeled: int = 7) -> tuple[Tensor, Tensor, Tensor]:
    """Return features, logits, and which images are of the unlabelled domain."""
    draw, count = torch.Generator().manual_seed(0), labeled + unlabeled
    features, logits = torch.randn(count, FEATURES, generator=draw), 2 * torch.randn(count, CLASSES, generator=draw)
    return features, logits, (torch.arange(count) >= labeled).float()


class Kept(nn.Module):
    """Keep what comes in; say something of each image."""

    def __init__(self, said: Tensor | None = None) -> None:
        super().__init__()
        self.said = said

    def forward(self, given: Tensor) -> Tensor:
        self.given = given
        return given.sum(dim=1) if self.said is None else self.said


def test_the_domain_head_sees_every_feature_times_every_probability() -> None:
    cdan, (features, logits, _) = module(), drawn()
    assert cdan.domain_head.layers[0].in_features == FEATURES * CLASSES
    cdan.domain_head = kept = Kept()  # type: ignore[assignment]
    cdan.domain_logits(features, logits)
    assert kept.given.shape == (12, FEATURES * CLASSES)
    for image in range(12):
        exponents = [math.exp(value) for value in logits[image].tolist()]
        for label in range(CLASSES):
            probability = exponents[label] / sum(exponents)
            for feature in range(FEATURES):
                expected = probability * features[image, feature].item()
                place = label * FEATURES + feature
                assert kept.given[image, place].item() == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_the_certainty_is_the_papers_weight() -> None:
    _, logits, _ = drawn()
    for found, row in zip(certainty(logits).tolist(), logits.double().softmax(dim=1).tolist(), strict=True):
        assert found == pytest.approx(1 + math.exp(sum(p * math.log(p) for p in row)), rel=1e-5)
    assert certainty(torch.zeros(1, CLASSES)).item() == pytest.approx(1 + 1 / CLASSES)
    assert certainty(torch.tensor([[1000.0, 0.0, 0.0]])).item() == 2


@pytest.mark.parametrize("entropy_weights", [True, False])
def test_the_loss_is_that_of_a_loop(entropy_weights: bool) -> None:
    cdan, (features, logits, is_unlabeled) = module(entropy_weights=entropy_weights), drawn()
    said = cdan.domain_logits(features, logits).sigmoid().tolist()
    losses = [-math.log(p if unlabeled else 1 - p) for p, unlabeled in zip(said, is_unlabeled.tolist(), strict=True)]
    expected = 2 * sum(losses) / 12
    if entropy_weights:
        weights = certainty(logits).tolist()
        domains_ = [slice(0, 5), slice(5, 12)]
        expected = sum(
            sum(w * loss for w, loss in zip(weights[rows], losses[rows], strict=True)) / sum(weights[rows])
            for rows in domains_
        )
    assert cdan.domain_loss(features, logits, is_unlabeled).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("unlabeled", [3, 7])
def test_the_weights_of_each_domain_sum_to_one(unlabeled: int) -> None:
    """Where one domain costs 1 an image and the other nothing, the loss is the sum of the weights of the first."""
    cdan, (features, logits, is_unlabeled) = module(), drawn(unlabeled=unlabeled)
    one = math.log(math.e - 1)  # softplus of it is 1
    for costly in (0.0, 1.0):
        said = torch.where(is_unlabeled == 0, one if costly == 0 else -1e4, -one if costly == 1 else 1e4)
        cdan.domain_head = Kept(said)  # type: ignore[assignment]
        assert cdan.domain_loss(features, logits, is_unlabeled).item() == pytest.approx(1, rel=1e-5)


@pytest.mark.parametrize("entropy_weights", [True, False])
def test_no_gradient_goes_through_the_predictions(entropy_weights: bool) -> None:
    cdan, (features, logits, is_unlabeled) = module(entropy_weights=entropy_weights), drawn()
    features.requires_grad_()
    logits.requires_grad_()
    cdan.domain_loss(features, logits, is_unlabeled).backward()
    assert logits.grad is None
    assert features.grad is not None
    assert features.grad.abs().max() > 0


def test_it_trains_and_lambda_zero_is_the_source_alone(tmp_path: Any) -> None:
    """The label head's net moves as without any domain head, whatever that one sees."""
    nets = []
    for entropy_weights in (True, False):
        none = ReversalWeight(weight=0.0, gamma=None)
        cdan = module(reversal=none, entropy_weights=entropy_weights)
        before = cdan.domain_head.layers[0].weight.detach().clone()
        small_trainer(tmp_path).fit(cdan, domains(tmp_path))
        assert not torch.equal(before, cdan.domain_head.layers[0].weight)
        nets.append(cdan.net.state_dict())
    assert all(torch.equal(tensor, nets[1][name]) for name, tensor in nets[0].items())

"""Ascent of many problems at once beside the hand-out's loop for one, and beside another library."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from labs.functional.targeted_ascent import targeted_ascent

STD = torch.tensor([0.2, 0.25, 0.3])[:, None, None]
MEAN = torch.tensor([0.5, 0.45, 0.4])[:, None, None]


@pytest.fixture
def net() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layers = (nn.Conv2d(3, 8, 3), nn.Tanh(), nn.Conv2d(8, 8, 3, stride=2), nn.Tanh(), nn.Flatten())
        return nn.Sequential(*layers, nn.Linear(200, 6)).double().requires_grad_(False)


@pytest.fixture
def images() -> Tensor:
    return torch.rand(7, 3, 14, 14, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


TARGETS = torch.tensor([0, 1, 2, 3, 4, 5, 0])


def ascended(net: nn.Module, images: Tensor, **options: Any) -> tuple[Tensor, Tensor]:
    settings = {"lr": 0.3, "steps": 30, "at_once": 16, **options}
    return targeted_ascent(lambda x: net((x - MEAN) / STD), images, TARGETS[: len(images)], scale=STD, **settings)


def by_the_hand_out(net: nn.Module, image: Tensor, target: int, lr: float, steps: int) -> tuple[Tensor, int]:
    """Fool as the notebook of hand-out 002 does: one image, already normalized, the test before the update."""
    fooling = image.clone()[None].requires_grad_()
    for step in range(steps):
        scores = net(fooling)
        if scores.argmax(1).item() == target:
            return fooling.detach()[0], step
        scores[0, target].backward()
        with torch.no_grad():
            assert fooling.grad is not None
            fooling += lr * fooling.grad / fooling.grad.norm()
            fooling.grad.zero_()
    return fooling.detach()[0], steps


@pytest.mark.parametrize("at_once", [1, 3, 7, 16])
def test_each_problem_goes_as_if_it_were_alone(net: nn.Module, images: Tensor, at_once: int) -> None:
    solved: list[int] = []
    found, steps = ascended(net, images, at_once=at_once, on_solved=solved.append)
    assert sum(solved) == 7
    assert len(set(steps.tolist())) > 3, "each has its own end"
    for place, target in enumerate(TARGETS.tolist()):
        alone, taken = by_the_hand_out(net, (images[place] - MEAN) / STD, target, 0.3, 30)
        assert steps[place] == taken
        torch.testing.assert_close((found[place] - MEAN) / STD, alone)
    assert torch.equal(net((found - MEAN) / STD).argmax(1), TARGETS)


def test_every_step_has_the_length_that_was_asked_for(net: nn.Module, images: Tensor) -> None:
    points = [ascended(net, images, steps=number, lr=0.01)[0] for number in range(1, 6)]
    _, taken = ascended(net, images, steps=5, lr=0.01)
    lengths = torch.stack([((b - a) / STD).flatten(1).norm(dim=1) for a, b in zip([images, *points], points)])
    went = torch.arange(5)[:, None] < taken
    assert went.sum() > 20
    torch.testing.assert_close(lengths, 0.01 * went.double())


def test_no_more_steps_than_allowed_and_no_step_at_all_where_there_is_nothing_to_do(
    net: nn.Module, images: Tensor
) -> None:
    found, steps = ascended(net, images, lr=1e-9, steps=4)
    assert set(steps.tolist()) <= {0, 4}
    there = net((images - MEAN) / STD).argmax(1) == TARGETS
    assert 0 < there.sum() < 7
    assert torch.equal(steps == 0, there)
    assert torch.equal(found[there], images[there])


def test_where_there_is_no_gradient_an_image_stays_and_stays_a_number(images: Tensor) -> None:
    found, steps = targeted_ascent(
        lambda x: torch.tensor([1.0, 0.0]) + 0 * x.flatten(1)[:, :2], images, TARGETS.clamp(1, 1),
        lr=1.0, steps=3, scale=STD, at_once=4,
    )  # fmt: skip
    assert torch.equal(found, images)
    assert steps.tolist() == [3] * 7


def test_work_ends_with_each_problem(net: nn.Module, images: Tensor) -> None:
    """What the net is asked is the sum of the problems' steps, and one test each."""
    asked: list[int] = []

    def counted(x: Tensor) -> Tensor:
        asked.append(len(x))
        return net((x - MEAN) / STD)

    _, steps = targeted_ascent(counted, images, TARGETS, lr=0.3, steps=30, scale=STD, at_once=3)
    assert sum(asked) == int(steps.sum()) + 7
    assert max(asked) == 3
    assert len(asked) < int(steps.max()) + int(steps.sum()) / 2, "the batch is filled up"


def test_it_goes_where_another_library_goes(net: nn.Module, images: Tensor) -> None:
    """SecML-Torch's modular attack with the score as its loss, gradients of length 1 and plain gradient descent."""
    attacks = pytest.importorskip("secmlt.adv.evasion.modular_attacks.modular_attack_fixed_eps")
    from secmlt.manipulations.manipulation import AdditiveManipulation
    from secmlt.models.pytorch.base_pytorch_nn import BasePyTorchClassifier
    from secmlt.optimization.gradient_processing import LinearProjectionGradientProcessing
    from secmlt.optimization.initializer import Initializer
    from secmlt.optimization.scheduler_factory import NoScheduler

    class Score(nn.Module):
        def forward(self, scores: Tensor, target: Tensor) -> Tensor:
            return -scores.gather(1, target[:, None])[:, 0]

    found, steps = ascended(net, images)
    for place, target in enumerate(TARGETS.tolist()):
        attack = attacks.ModularEvasionAttackFixedEps(
            y_target=target, num_steps=int(steps[place]) + 1, step_size=0.3, loss_function=Score(),
            optimizer_cls=torch.optim.SGD, scheduler_cls=NoScheduler,
            manipulation_function=AdditiveManipulation([], []), initializer=Initializer(),
            gradient_processing=LinearProjectionGradientProcessing("l2"),
        )  # fmt: skip
        normalized = ((images[place] - MEAN) / STD)[None]
        theirs, _ = attack._run(BasePyTorchClassifier(net), normalized, torch.tensor([0]))
        torch.testing.assert_close((found[place] - MEAN) / STD, theirs[0].detach())

"""What a backward pass needs is known without computing anything."""

from __future__ import annotations

import copy

import torch
from torch import nn

from labs.inspection.saved import bytes_saved

IMAGES = torch.zeros(5, 3, 8, 8)


def test_bytes_are_those_of_a_count_by_hand() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 64, 2))
    images, activations = 5 * 3 * 64 * 4, 5 * 4 * 64 * 4  # of the first layer, and of ReLU and the last: the same
    assert bytes_saved(net, IMAGES) == images + activations
    net[0].requires_grad_(False)
    assert bytes_saved(net, IMAGES) == activations  # the input of the last layer
    net.requires_grad_(False)
    assert bytes_saved(net, IMAGES) == 0


def test_nothing_changes() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5), nn.Flatten(), nn.Linear(144, 2))
    before, random = copy.deepcopy(net.state_dict()), torch.get_rng_state()
    assert bytes_saved(net.train(), IMAGES)
    assert torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert all(parameter.grad is None for parameter in net.parameters())


def test_a_net_that_needs_values_has_no_answer() -> None:
    class Looks(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return images if images.sum() > 0 else -images

    assert bytes_saved(Looks(), IMAGES) is None
    compiled = nn.Conv2d(3, 4, 3)
    compiled.compile()
    assert bytes_saved(compiled, IMAGES) is None
    assert bytes_saved(nn.Linear(7, 2), IMAGES) is None

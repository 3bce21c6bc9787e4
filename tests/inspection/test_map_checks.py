"""What a map is worth: a net that sees one corner of the image, with maps that are right, wrong or empty."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from labs.inspection.map_checks import CheckedMap, check_maps
from labs.inspection.maps import maps_of

IMAGES = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)) + 0.5
CHECKS: dict[str, Any] = {"stages": 2, "points": 16, "orders": 3, "chunk": 4, "seed": 0}


class Corner(nn.Module):
    """The second class is how much of a texture the upper left quarter has."""

    def __init__(self) -> None:
        super().__init__()
        self.flat, self.head = nn.Flatten(), nn.Linear(3 * 64 * 64, 2)
        weights = torch.zeros(2, 3, 64, 64)
        weights[1, :, :32, :32] = 20 / 256 * (IMAGES[0] - 1)[:, :32, :32]  # a score of about 20
        self.head.weight.data.copy_(weights.flatten(1))
        self.head.bias.data.copy_(torch.tensor([10.0, 0.0]))

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.flat(images - 1))


def checked(make: Any) -> CheckedMap:
    net, targets = Corner(), torch.ones(2, dtype=torch.int64)
    maps, found = check_maps(net, IMAGES, targets, make, **CHECKS)
    probabilities = net(IMAGES).softmax(1).detach()
    return CheckedMap(0, -1, 1, probabilities[0], maps[0], **{name: values[0] for name, values in found.items()})


def test_the_right_map_passes() -> None:
    result = checked(maps_of)
    assert result.faults == []
    assert result.numbers["deletion"] < 0.6 * result.numbers["random_deletion"]
    assert result.numbers["insertion"] > result.numbers["random_insertion"]
    assert result.deletion[0] == pytest.approx(result.numbers["confidence"])
    assert result.insertion[-1] == pytest.approx(result.numbers["confidence"])
    assert abs(result.numbers["spearman"]) < 0.5


def test_a_map_that_no_weight_changes_fails() -> None:
    result = checked(lambda net, images, targets: images.abs().mean(1))  # an edge detector, say
    assert any("random weights give a similar map" in fault for fault in result.faults)
    assert result.numbers["spearman"] == pytest.approx(1)
    assert result.numbers["ssim"] == pytest.approx(1, abs=1e-4)


def test_a_map_upside_down_fails() -> None:
    def all_but_the_corner(net: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
        return maps_of(net, images, targets).amax() - maps_of(net, images, targets)

    assert any("no faster than random deletion" in fault for fault in checked(all_but_the_corner).faults)


def test_where_random_weights_kill_a_score_another_class_is_asked_about() -> None:
    """The head of SqueezeNet ends in a ReLU: half of its random scores are 0, and so is their gradient."""
    asked: list[list[int]] = []

    def make(net: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
        asked.append(targets.tolist())
        maps = maps_of(net, images, targets)
        maps[targets == 1] *= float(len(asked) == 1)  # the map itself is alive, those of random weights are not
        return maps

    net = nn.Sequential(nn.Flatten(), nn.Linear(3 * 64 * 64, 3))
    net[1].bias.data.copy_(torch.tensor([0.0, 0.0, 100.0]))
    _, found = check_maps(net, IMAGES, torch.ones(2, dtype=torch.int64), make, **{**CHECKS, "stages": 1})
    assert asked[:2] == [[1, 1], [1, 1]]
    assert 1 not in asked[2] or found["random_map"].max() == 0
    assert (found["random_map"].flatten(1).amax(1) > 0).tolist() == [target != 1 for target in asked[2]]


def test_an_empty_map_fails() -> None:
    result = checked(lambda net, images, targets: torch.zeros(2, 64, 64))
    assert "the map is constant" in result.faults
    assert all(torch.tensor(list(result.numbers.values())).isfinite())

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from labs import LabsError
from labs.inspection.parameters import select
from labs.nets.mlp import build_mlp


def test_it_is_two_layers_over_the_pixels() -> None:
    net = build_mlp(num_classes=6, image_size=28, hidden_units=300)
    images = torch.randn(4, 3, 28, 28)
    hidden = (images.flatten(1) @ net.hidden.weight.T + net.hidden.bias).clamp(min=0)
    torch.testing.assert_close(net.activations(images), hidden)
    torch.testing.assert_close(net(images), hidden @ net.head.weight.T + net.head.bias)
    assert sum(p.numel() for p in net.parameters()) == 3 * 28 * 28 * 300 + 300 + 300 * 6 + 6
    assert select(net, "backbone", key="freeze.patterns") == {"hidden.weight", "hidden.bias"}


def test_weights_of_another_one_are_taken_but_for_the_head(tmp_path: Path) -> None:
    first = build_mlp(num_classes=4, image_size=8, hidden_units=5)
    torch.save(first.state_dict(), tmp_path / "first.pt")
    second = build_mlp(num_classes=6, image_size=8, hidden_units=5, weights=str(tmp_path / "first.pt"))
    assert torch.equal(first.hidden.weight, second.hidden.weight)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hidden_units": 0}, "net.hidden_units=0: expected 1 or more"),
        ({"num_classes": 1}, "at least 2 classes"),
        ({"weights": "imagenet"}, "no ImageNet weights for a perceptron. Type weights=random"),
        ({"weights": "nowhere"}, "no such file or folder"),
    ],
)
def test_mistakes(options: dict[str, object], message: str) -> None:
    arguments = {"num_classes": 6, "image_size": 8, "hidden_units": 5} | options
    with pytest.raises(LabsError, match=message):
        build_mlp(**arguments)  # type: ignore[arg-type]

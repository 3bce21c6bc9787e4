from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from labs import LabsError
from labs.inspection.fixed_front import fixed_cuts
from labs.inspection.parameters import select
from labs.nets.layer_head import LayerHead, build_layer_head
from labs.nets.torchvision_nets import build_net


def small(**options: object) -> LayerHead:
    arguments = {"name": "squeezenet1_1", "layer": "features.4", "num_classes": 5, "image_size": 32} | options
    return build_layer_head(**arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [224, 227])
def test_conv4_of_alexnet_has_43264_activations(size: int) -> None:
    net = build_net(name="alexnet", num_classes=2)
    composed = LayerHead(net=net, layer="features.8", num_classes=6, image_size=size, hidden_units=4)
    assert isinstance(composed.head[0], nn.Linear)
    assert composed.head[0].in_features == 43_264 == 256 * 13 * 13


@pytest.mark.parametrize(("name", "layer"), [("alexnet", "features.8"), ("squeezenet1_1", "features.7")])
def test_the_composed_net_equals_the_two_stages(name: str, layer: str) -> None:
    """Features computed first, a net trained on them second: what the hand-out describes."""
    net = build_net(name=name, num_classes=2).eval()
    composed = LayerHead(net=net, layer=layer, num_classes=6, image_size=64, hidden_units=7, dropout=0.5).eval()
    caught: list[torch.Tensor] = []
    handle = net.get_submodule(layer).register_forward_hook(lambda _, __, output: caught.append(output.clone()))
    images = torch.randn(3, 3, 64, 64)
    with torch.no_grad():
        net(images)
        handle.remove()
        expected = composed.head(caught[0].flatten(1))
        torch.testing.assert_close(composed(images), expected, atol=1e-5, rtol=0)
        torch.testing.assert_close(composed.features(images), caught[0].flatten(1), atol=1e-6, rtol=0)


def test_only_the_head_trains_behind_a_fixed_front_that_ends_at_the_layer() -> None:
    net = small(hidden_units=7)
    assert select(net, "head", key="freeze.patterns") == {f"head.{n}.{w}" for n in (0, 3) for w in ("weight", "bias")}
    frozen = select(net, "backbone", key="freeze.patterns")
    cuts, _ = fixed_cuts(net, torch.zeros(1, 3, 32, 32), lambda name: name not in frozen)
    prefix, suffix = cuts[-1].parts()
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(prefix(images).flatten(1), net.features(images))
        torch.testing.assert_close(suffix(prefix(images)), net(images))


def test_a_linear_head_and_weights_of_another_run(tmp_path: Path) -> None:
    first = small(hidden_units=0)
    assert [type(layer) for layer in first.head] == [nn.Linear]
    torch.save(first.state_dict(), tmp_path / "first.pt")
    second = small(hidden_units=3, num_classes=4, weights=str(tmp_path / "first.pt"))
    front = {name: tensor for name, tensor in first.state_dict().items() if name.startswith("front.")}
    assert front
    assert all(torch.equal(tensor, second.state_dict()[name]) for name, tensor in front.items())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layer": "feature.4"}, r"net.layer=feature.4: squeezenet1_1 has no such layer \(did you mean features.4\?\)"),
        ({"layer": ""}, "has no such layer"),
        ({"layer": "classifier.1"}, "classifier.1 is the untrained head of squeezenet1_1"),
        ({"layer": "classifier"}, "classifier.1 is the untrained head of squeezenet1_1"),
        ({"hidden_units": -1}, "expected 0"),
        ({"dropout": 1.0}, "expected a share"),
        ({"name": "squeeze"}, "Unknown net"),
        ({"image_size": 8}, "needs images of at least"),
        ({"weights": "nowhere"}, "no such file or folder"),
    ],
)
def test_mistakes(options: dict[str, object], message: str) -> None:
    with pytest.raises(LabsError, match=message):
        small(**options)

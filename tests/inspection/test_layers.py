from __future__ import annotations

import copy
from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torchvision import models

from labs import LabsError
from labs.inspection.graph import trace_net
from labs.inspection.layers import chosen_layers, layer_field, layer_shapes, seen_by, watching

IMAGE = torch.zeros(1, 3, 64, 64)


@pytest.mark.parametrize(
    ("name", "size", "layers"),
    [
        ("vgg16", 224, ["features.0", "features.8", "features.22", "features.29"]),
        ("squeezenet1_1", 224, ["features.0", "features.4", "features.7", "features.12"]),
        ("resnet18", 64, ["conv1", "layer1", "layer3", "layer4"]),
        ("densenet121", 64, ["features.conv0", "features.denseblock1", "features.denseblock3", "features.norm5"]),
        ("vit_b_32", 224, ["conv_proj", "encoder"]),
    ],
)
def test_the_first_convolution_and_the_ends_of_later_stages(name: str, size: int, layers: list[str]) -> None:
    with torch.device("meta"):
        net = models.get_model(name)
        shapes = layer_shapes(net, torch.zeros(1, 3, size, size))
    assert chosen_layers(net, shapes, None, 1000) == layers


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("features.99", "module.layers: the net has no layer features.99; type for example features.9"),
        ("layer7", "module.layers: the net has no layer layer7; type for example features"),
        ("zzz", "the net has no layer zzz; type for example features.0, features.4, features.7, features.12"),
    ],
)
def test_an_unknown_layer_gets_near_names_in_one_line(typed: str, message: str) -> None:
    net = models.squeezenet1_1()
    with pytest.raises(LabsError, match=message) as raised:
        chosen_layers(net, layer_shapes(net, IMAGE), [typed], 1000)
    assert len(str(raised.value)) < 150


def test_a_layer_that_never_runs_by_itself_says_so() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.pair = nn.ModuleList([nn.Conv2d(3, 4, 3), nn.Conv2d(4, 5, 3)])

        def forward(self, images: Tensor) -> Tensor:
            return self.pair[1](self.pair[0](images)).mean((2, 3))

    net = Net()
    with pytest.raises(LabsError, match=r"pair has no maps of its own; type for example pair.0, pair.1\."):
        chosen_layers(net, layer_shapes(net, IMAGE), ["pair"], 5)


@pytest.mark.parametrize(
    ("name", "layer"),
    [("resnet18", "layer1.0.bn2"), ("resnet18", "layer2.0.conv1"), ("densenet121", "features.norm0")],
)
def test_what_is_watched_is_the_layers_own_output_and_not_what_is_made_of_it_in_place(name: str, layer: str) -> None:
    torch.manual_seed(0)
    net = models.get_model(name).eval()
    images, seen, inputs = torch.rand(2, 3, 64, 64), {}, {}
    module = net.get_submodule(layer)
    handle = module.register_forward_pre_hook(lambda _, given: inputs.setdefault("x", given[0].clone()))
    with torch.no_grad():
        net(images)
        handle.remove()
        own = copy.deepcopy(module)(inputs["x"])
        with watching(net, {layer: lambda maps: seen.setdefault("maps", maps.clone())}):
            net(images)
    torch.testing.assert_close(seen["maps"], own, rtol=0, atol=0)
    assert (own < 0).any(), "an in-place ReLU after it would have taken them"


def test_watching_leaves_no_hooks_even_after_an_exception() -> None:
    net = models.squeezenet1_1()
    with pytest.raises(ZeroDivisionError), watching(net, {"features.0": lambda _: 1 // 0}):  # type: ignore[dict-item]
        net(IMAGE)
    assert not any(module._forward_hooks for module in net.modules())


def test_a_layer_that_runs_twice_counts_the_first_time() -> None:
    net, calls = models.resnet18().eval(), []
    with watching(net, {"layer1.0.relu": calls.append}):
        net(IMAGE)
    assert len(calls) == 1


@pytest.mark.parametrize("layer", ["features.4", "features.7.expand3x3", "features.12", "classifier"])
def test_a_unit_sees_no_pixel_outside_its_frame(layer: str) -> None:
    torch.manual_seed(0)
    net = models.squeezenet1_1().eval()
    images = torch.rand(1, 3, 96, 96, requires_grad=True)
    shape = layer_shapes(net, images.detach())[layer]
    field = layer_field(trace_net(net, (3, 96, 96)), layer, shape)
    assert field is not None
    kept: dict[str, Tensor] = {}
    handle = net.get_submodule(layer).register_forward_hook(lambda _, __, output: kept.update(output=output))
    net(images)
    handle.remove()
    row, column = shape[1] // 2, shape[2] // 3
    (gradient,) = torch.autograd.grad(kept["output"][0, :, row, column].sum(), images)
    frame = seen_by(field, row, column)
    assert frame is not None
    left, top, right, bottom = frame
    inside = torch.zeros(96, 96, dtype=torch.bool)
    inside[max(top, 0) : bottom, max(left, 0) : right] = True
    assert not gradient.abs().sum((0, 1))[~inside].any()


def test_an_image_that_is_too_small_says_so() -> None:
    with pytest.raises(
        LabsError, match=r"the net does not accept images of 8x8 pixels \(.*\); type another net.image_size."
    ):
        layer_shapes(models.squeezenet1_1(), torch.zeros(1, 3, 8, 8))


def test_shapes_are_noted_without_a_trace() -> None:
    net = models.squeezenet1_1().train()
    before = torch.random.get_rng_state()
    shapes = layer_shapes(net, IMAGE)
    assert shapes["features.0"] == (64, 31, 31)
    assert net.training
    assert torch.equal(before, torch.random.get_rng_state())
    assert not any(module._forward_hooks for module in net.modules())
    with watching(net, {name: partial(lambda *_: None, name) for name in shapes}):
        pass

"""Maps: of a linear model its weights, against Captum itself, finite differences and a case worked out by hand."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import timm
import torch
import torch.nn.functional as F
from captum.attr import GuidedBackprop, LayerGradCam, Saliency
from torch import Tensor, nn
from torchvision import models

from labs import LabsError
from labs.inspection.maps import MAPS, last_maps, maps_of, module_named

IMAGES = torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(0))
CLASSES = torch.tensor([0, 2, 1])


class Small(nn.Module):
    """A net with maps, whose ReLUs are made as `relu` does it."""

    def __init__(self, relu: Callable[[Tensor], Tensor] | None = None) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
        self.relu, self.pool, self.head = relu or nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Linear(32, 4)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.relu(self.second(self.relu(self.first(images))))
        return self.head(self.pool(maps).flatten(1))


def test_of_a_linear_model_a_map_is_its_weights() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 4))
    weights = net[1].weight.detach().view(4, 3, 16, 16).abs().amax(1)[CLASSES]
    torch.testing.assert_close(maps_of(net, IMAGES, CLASSES), weights)
    torch.testing.assert_close(maps_of(net, IMAGES, CLASSES, method="smoothgrad"), weights)


def test_the_gradient_is_captums_and_that_of_finite_differences() -> None:
    net = Small().double()
    images = IMAGES.double()
    found = maps_of(net, images, CLASSES, chunk=2)
    own = Saliency(net).attribute(images.clone().requires_grad_(), CLASSES).amax(1)
    torch.testing.assert_close(found, own)
    step = 1e-6
    for row, column in ((0, 0), (7, 3), (15, 15)):
        slopes = []
        for channel in range(3):
            moved = [images.clone(), images.clone()]
            for sign, some in zip((1, -1), moved, strict=True):
                some[:, channel, row, column] += sign * step
            up, down = (net(some).gather(1, CLASSES[:, None])[:, 0] for some in moved)
            slopes.append((up - down).abs() / (2 * step))
        torch.testing.assert_close(found[:, row, column], torch.stack(slopes).amax(0), rtol=1e-5, atol=1e-8)


def test_without_noise_smoothgrad_is_the_gradient() -> None:
    net = Small()
    found = maps_of(net, IMAGES, CLASSES, method="smoothgrad", noise=0.0, samples=3)
    torch.testing.assert_close(found, maps_of(net, IMAGES, CLASSES))


def test_the_noise_of_an_image_does_not_depend_on_its_neighbors() -> None:
    net = Small()
    together = maps_of(net, IMAGES, CLASSES, method="smoothgrad", samples=4)
    alone = maps_of(net, IMAGES[1:2], CLASSES[1:2], method="smoothgrad", samples=4, chunk=3)
    torch.testing.assert_close(together[1:2], alone, rtol=1e-4, atol=1e-6)


def test_integrated_gradients_add_up_to_what_the_score_gains() -> None:
    net, one = Small(nn.Softplus()), IMAGES[:1]
    for parameter in net.parameters():
        parameter.data.abs_()  # everything adds to the score, so that no sum over channels is negative
    with torch.no_grad():
        gain = (net(one) - net(torch.zeros_like(one)))[0, 0]
    found = maps_of(net, one, CLASSES[:1], method="integrated_gradients")
    torch.testing.assert_close(found.sum(), gain, rtol=1e-4, atol=1e-4)


def test_grad_cam_is_captums() -> None:
    net = Small()
    found = maps_of(net, IMAGES, CLASSES, method="grad_cam", layer="second")
    coarse = LayerGradCam(net, net.second).attribute(IMAGES, CLASSES, relu_attributions=True)
    torch.testing.assert_close(found, F.interpolate(coarse, size=(16, 16), mode="bilinear")[:, 0].detach())
    assert last_maps(net, IMAGES[:1]) == "pool"


def test_guided_backpropagation_is_captums_where_every_relu_is_a_module_of_its_own() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(1152, 4))
    with pytest.warns(UserWarning, match="backward hooks"):
        own = GuidedBackprop(net).attribute(IMAGES.clone().requires_grad_(), CLASSES)
    torch.testing.assert_close(maps_of(net, IMAGES, CLASSES, method="guided"), own.abs().amax(1))


@pytest.mark.parametrize(
    "relu",
    [
        nn.ReLU(), nn.ReLU(inplace=True), F.relu, torch.relu, Tensor.relu, lambda x: F.relu(x, inplace=True),
        lambda x: F.relu(x, True), Tensor.relu_, torch.relu_, lambda x: (x.relu_(), x)[1],
    ],
    ids=["module", "in-place module", "F.relu", "torch.relu", "method", "F.relu in place", "by place", "relu_",
         "torch.relu_", "result unused"],
)  # fmt: skip
def test_every_way_to_call_a_relu_is_guided(relu: Callable[[Tensor], Tensor]) -> None:
    by_hand = Small(nn.ReLU())
    images = IMAGES.clone().requires_grad_()
    first = by_hand.first(images)
    second = by_hand.second(first.relu())
    score = by_hand.head(by_hand.pool(second.relu()).flatten(1)).gather(1, CLASSES[:, None]).sum()
    (gradient,) = torch.autograd.grad(score, second, retain_graph=True)
    (gradient,) = torch.autograd.grad(second, first, gradient.clamp(min=0), retain_graph=True)
    (gradient,) = torch.autograd.grad(first, images, gradient.clamp(min=0) * (first > 0))
    found = maps_of(Small(relu), IMAGES, CLASSES, method="guided")
    torch.testing.assert_close(found, gradient.abs().amax(1))
    assert not torch.allclose(found, maps_of(Small(relu), IMAGES, CLASSES))


@pytest.mark.parametrize("relu6", [nn.ReLU6(), nn.ReLU6(inplace=True), F.relu6, lambda x: F.hardtanh(x, 0.0, 6.0)])
def test_relu6_stops_what_is_above_six(relu6: Callable[[Tensor], Tensor]) -> None:
    images = torch.tensor([-1.0, 3.0, 7.0]).view(1, 1, 1, 3)
    net = nn.Sequential(_Called(relu6), nn.Flatten(), nn.Linear(3, 2, bias=False))
    net[2].weight.data.fill_(0.5)
    found = maps_of(net, images, torch.tensor([0]), method="guided")
    assert found.flatten().tolist() == [0, 0.5, 0]


class _Called(nn.Module):
    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, values: Tensor) -> Tensor:
        return self.function(values)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["densenet121", "googlenet", "resnet18", "mobilenet_v2", "shufflenet_v2_x0_5"])
def test_guided_backpropagation_is_another_map_on_nets_with_relus_in_functions(name: str) -> None:
    torch.manual_seed(0)
    options = {"aux_logits": False, "init_weights": False} if name == "googlenet" else {}
    net = models.get_model(name, weights=None, **options)
    _differs(net)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tf_efficientnet_lite0", "resnet10t", "regnetx_002", "repvgg_a0"])
def test_guided_backpropagation_works_on_nets_of_timm(name: str) -> None:
    torch.manual_seed(0)
    _differs(timm.create_model(name))


def _differs(net: nn.Module) -> None:
    images = torch.rand(2, 3, 64, 64)
    plain, guided = (maps_of(net, images, torch.tensor([1, 2]), method=method) for method in ("gradient", "guided"))
    assert guided.isfinite().all()
    assert (plain - guided).abs().max() > 0.1 * plain.max()


def state(net: nn.Module) -> list[object]:
    """Everything about a net that could have been changed."""
    return [
        {name: value.clone() for name, value in net.state_dict().items()},
        [None if p.grad is None else p.grad.clone() for p in net.parameters()],
        [p.requires_grad for p in net.parameters()],
        [module.training for module in net.modules()],
        [getattr(module, "inplace", None) for module in net.modules()],
        [(len(m._forward_hooks), len(m._forward_pre_hooks), len(m._backward_hooks)) for m in net.modules()],
    ]


def same(one: object, other: object) -> bool:
    if isinstance(one, Tensor):
        return isinstance(other, Tensor) and torch.equal(one, other)
    if isinstance(one, dict):
        return isinstance(other, dict) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return isinstance(other, list) and all(map(same, one, other))
    return one == other


@pytest.mark.parametrize("method", MAPS)
@pytest.mark.parametrize("fails", [False, True])
def test_the_net_is_bit_for_bit_as_it_was(method: str, fails: bool) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.Conv2d(4, 4, 3), nn.Flatten(), nn.LazyLinear(4)
    )
    net(IMAGES).sum().backward()  # grads of its own, in training mode
    net[0].weight.requires_grad_(False)
    net[1].eval()
    handle = net[2].register_forward_hook(lambda *_: None)
    before = state(net)
    classes = torch.tensor([0, 1, 99]) if fails else CLASSES
    if fails:
        with pytest.raises((LabsError, AssertionError, IndexError, RuntimeError)):
            maps_of(net, IMAGES, classes, method=method, steps=2, samples=2, layer="3")
    else:
        maps_of(net, IMAGES, classes, method=method, steps=2, samples=2, layer="3")
    assert same(state(net), before)
    handle.remove()


@pytest.mark.parametrize("method", MAPS)
def test_maps_are_made_in_inference_mode_and_draw_nothing_from_the_run(method: str) -> None:
    net = Small()
    expected = maps_of(net, IMAGES, CLASSES, method=method, steps=2, samples=2)
    torch.manual_seed(5)
    drawn = torch.get_rng_state()
    with torch.inference_mode():
        found = maps_of(net, IMAGES.clone(), CLASSES.clone(), method=method, steps=2, samples=2)
    torch.testing.assert_close(found, expected)
    assert torch.equal(torch.get_rng_state(), drawn)


def test_memory_is_bounded_by_the_chunk() -> None:
    seen: list[int] = []
    net = Small()
    net.first.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
    for method in MAPS:
        maps_of(net, IMAGES, CLASSES, method=method, chunk=2, steps=5, samples=5, layer="second")
    assert max(seen) <= 2


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"method": "guidet"}, r"did you mean guided\?"),
        ({"chunk": 0}, "expected 1 or more"),
        ({"method": "grad_cam", "layer": "secnd"}, "similar names: second"),
        ({"method": "grad_cam", "layer": "head"}, "maps"),
    ],
)
def test_what_cannot_be_asked_is_said_in_one_line(options: dict, words: str) -> None:
    with pytest.raises(LabsError, match=words) as caught:
        maps_of(Small(), IMAGES, CLASSES, **options)
    assert "\n" not in str(caught.value)


def test_a_net_without_relus_has_nothing_to_guide() -> None:
    with pytest.raises(LabsError, match="no ReLU"):
        maps_of(Small(nn.GELU()), IMAGES, CLASSES, method="guided")


def test_a_layer_is_found_by_its_name() -> None:
    net = Small()
    assert module_named(net, "second", "layer") is net.second
    with pytest.raises(LabsError, match="layer=conv: the net has no such layer"):
        module_named(net, "conv", "layer")

"""The oracle: with positive weights and no maxima, a unit sees a pixel where its gradient is not zero."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision import models

from labs.inspection.graph import trace_net
from labs.inspection.receptive_field import Field, receptive_fields


def _positive(net: nn.Module, *, thin: bool) -> nn.Module:
    """Replace what can hide a pixel: weights that cancel, maxima; `thin` leaves one channel a layer."""
    for name, module in list(net.named_modules()):
        new: nn.Module | None = None
        if isinstance(module, nn.Conv2d):
            k, s, p, d = module.kernel_size, module.stride, module.padding, module.dilation
            channels = (1, 1) if thin else (module.in_channels, module.out_channels)
            new = nn.Conv2d(*channels, k, s, p, d, bias=False)  # type: ignore[arg-type]
            nn.init.constant_(new.weight, 1.0 / new.weight[0].numel())
        elif isinstance(module, nn.MaxPool2d):
            new = nn.AvgPool2d(module.kernel_size, module.stride, module.padding, module.ceil_mode)
        elif isinstance(module, nn.BatchNorm2d | nn.Dropout):
            new = nn.Identity()
        if new is not None:
            parent, _, child = name.rpartition(".")
            setattr(net.get_submodule(parent), child, new)
    return net.double().eval()


def _seen(net: nn.Module, layer: str, size: int, channels: int) -> tuple[list[tuple[int, int]], list[int]]:
    """Measure the rows and columns that the central unit of a layer sees, and its position."""
    images = torch.ones(1, channels, size, size, dtype=torch.float64, requires_grad=True)
    outputs: list[Tensor] = []
    handle = net.get_submodule(layer).register_forward_hook(lambda _, __, y: outputs.append(y))
    net(images)
    handle.remove()
    centre = [n // 2 for n in outputs[0].shape[-2:]]
    outputs[0][0, :, centre[0], centre[1]].sum().backward()
    gradient = images.grad[0].sum(0)  # type: ignore[index]
    seen = []
    for axis in (1, 0):
        pixels = gradient.sum(axis).nonzero().flatten()
        seen.append((int(pixels.min()), int(pixels.max())))
    return seen, centre


def _predicted(field: Field, centre: list[int]) -> list[tuple[int, int]]:
    return [(a.first + (a.jump or 0) * u, a.last + (a.jump or 0) * u) for a, u in zip(field, centre)]


def _fields(net: nn.Module, channels: int, size: int) -> dict[str, Field | None]:
    graph = trace_net(net, (channels, size, size))
    assert graph.exact
    return {op.name: field for op, field in zip(graph.ops, receptive_fields(graph))}


@pytest.mark.parametrize(
    ("name", "size", "layers"),
    [
        (
            "resnet18",
            512,
            ["conv1", "maxpool", "layer1.1", "layer2.0.downsample", "layer3.0", "layer4.1"],
        ),
        ("resnet50", 512, ["layer1.2", "layer2.0", "layer3.5", "layer4.0"]),
        ("alexnet", 255, ["features.0", "features.3", "features.6", "features.12"]),
        ("vgg16", 256, ["features.2", "features.16", "features.28", "features.30"]),
    ],
)
def test_known_nets_see_what_their_gradients_say(name: str, size: int, layers: list[str]) -> None:
    with torch.device("meta"):
        net = models.get_model(name)
    fields = _fields(net, 3, size)
    for child in ("fc", "classifier", "avgpool"):  # what one channel does not fit stands behind all hooks
        if hasattr(net, child):
            setattr(net, child, nn.Identity())
    _positive(net, thin=True)
    for layer in layers:
        field = _last(fields, layer)
        seen, centre = _seen(net, layer, size, channels=1)
        assert seen == _predicted(field, centre), layer


def _last(fields: dict[str, Field | None], layer: str) -> Field:
    """Find the last operation in a layer: a block ends in a shortcut and an activation."""
    names = [name for name in fields if name == layer or name.startswith(f"{layer}.")]
    field = fields[names[-1]]
    assert field is not None
    return field


def test_squeezenet_with_its_branches() -> None:
    net = models.squeezenet1_1()
    field = _last(_fields(net, 3, 255), "features.12")
    seen, centre = _seen(_positive(net, thin=False), "features.12", 255, channels=3)
    assert seen == _predicted(field, centre)


class _Branches(nn.Module):
    """Two branches that see different sides of a unit: the hull is larger than either."""

    def __init__(self) -> None:
        super().__init__()
        self.before = nn.Sequential(nn.ZeroPad2d((1, 0, 2, 0)), nn.Conv2d(1, 1, (3, 2)))
        self.after = nn.Sequential(nn.ZeroPad2d((0, 1, 0, 0)), nn.Conv2d(1, 1, (1, 2)))
        self.out = nn.Identity()

    def forward(self, images: Tensor) -> Tensor:
        return self.out(self.before(images) + self.after(images))


class _Functions(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 3, padding="same", dilation=2)
        self.out = nn.Identity()

    def forward(self, images: Tensor) -> Tensor:
        maps = F.avg_pool2d(F.relu(self.conv(images)), 2)
        return self.out(F.avg_pool2d(maps, kernel_size=(3, 1), stride=1, padding=(1, 0)))


def _odd_chain() -> nn.Module:
    convs = [nn.Conv2d(1, 1, (3, 5), stride=(2, 1)), nn.Conv2d(1, 1, (2, 3), dilation=(3, 2), padding=1)]
    return nn.Sequential(*convs, nn.AvgPool2d(3, 2, ceil_mode=True), nn.AdaptiveAvgPool2d(4), nn.Identity())


@pytest.mark.parametrize(
    ("build", "layer", "size"), [(_Branches, "out", 9), (_Functions, "out", 24), (_odd_chain, "2", 40)]
)
def test_branches_functions_and_odd_windows(build: Callable[[], nn.Module], layer: str, size: int) -> None:
    net = build()
    field = _fields(net, 1, size)[layer]
    assert field is not None
    seen, centre = _seen(_positive(net, thin=True), layer, size, channels=1)
    assert seen == _predicted(field, centre)


def test_the_question_of_the_hand_out() -> None:
    field = _fields(nn.Sequential(nn.Conv2d(1, 4, 5), nn.Conv2d(4, 8, 3)), 1, 28)["1"]
    assert field is not None
    assert [axis.extent for axis in field] == [7, 7]


@pytest.mark.parametrize(
    ("name", "layer", "extent"),
    [
        ("vgg16", "features.28", 196),
        ("vgg16", "features.30", 212),
        ("alexnet", "features.12", 195),
        ("resnet18", "layer1", 43),
        ("resnet18", "layer4", 435),
    ],
)
def test_receptive_fields_of_the_literature(name: str, layer: str, extent: int) -> None:
    with torch.device("meta"):
        field = _last(_fields(models.get_model(name), 3, 64), layer)
    assert [axis.extent for axis in field] == [extent, extent]


def test_a_linear_layer_sees_the_whole_map() -> None:
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(2 * 6 * 8, 3))
    graph = trace_net(net, (1, 8, 10))
    extents = [tuple(axis.extent for axis in field) for field in receptive_fields(graph) if field]
    assert extents == [(1, 1), (3, 3), (3, 3), (8, 10)]


def test_what_is_no_window_is_unknown_and_so_is_all_behind_it() -> None:
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ConvTranspose2d(2, 2, 2, 2), nn.Conv2d(2, 2, 3))
    fields = _fields(net, 1, 8)
    assert fields["0"] is not None
    assert fields["1"] is None
    assert fields["2"] is None


def test_padding_of_tensorflow_depends_on_the_size() -> None:
    """EfficientNet-Lite0 pads what an input lacks, half of it before: `padding` of its layers is zero all the same."""
    layers = pytest.importorskip("timm.layers")
    chain = nn.Sequential(*(layers.Conv2dSame(1, 1, size, stride=2) for size in (3, 5, 5, 4)), nn.Identity())
    for size in (64, 75):
        field = _fields(chain, 1, size)["4"]
        assert field is not None
        for module in chain[:4]:
            nn.init.constant_(module.weight, 1.0)
        seen, centre = _seen(chain.double(), "4", size, channels=1)
        clipped = [(max(first, 0), min(last, size - 1)) for first, last in _predicted(field, centre)]
        assert seen == clipped
        chain.float()

import copy

import pytest
import torch
from torch import Tensor, nn
from torchvision import models

from labs import LabsError
from labs.inspection.summary import summarize
from labs.nets.small_resnet import SmallResNet


class _Branching(nn.Module):
    """Cannot be traced: which way it goes depends on the data."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3)
        self.second = nn.Conv2d(4, 4, 3)
        self.head = nn.Linear(4 * 12 * 12, 2)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.first(images)
        return self.head(self.second(maps).flatten(1)) if maps.sum() < 1e9 else maps


class _Odd(nn.Module):
    """Weight normalisation, a shared layer, a weight of its own, a layer that is never called."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 3, 3, padding=1))
        self.scale = nn.Parameter(torch.ones(3, 1, 1))
        self.unused = nn.Linear(2, 2)

    def forward(self, images: Tensor) -> Tensor:
        return self.conv(self.conv(images) * self.scale)


def test_vgg16_has_the_parameters_of_the_hand_out() -> None:
    with torch.device("meta"):
        summary = summarize(models.vgg16(), (3, 224, 224))
    assert (summary.convolution, summary.linear, summary.other) == (14_714_688, 123_642_856, 0)
    assert summary.total == summary.trainable == 138_357_544
    text = summary.to_text()
    assert (
        "14,714,688 in convolutions (10.6%) + 123,642,856 in linear layers (89.4%) + 0 other (0.0%)"
        " = 138,357,544 parameters; convolutions / linear layers = 0.119\n"
    ) in text
    lines = [line.split() for line in text.splitlines()]
    counted = {
        line[0]: (line[2], line[4], line[5]) for line in lines if len(line) == 9 and line[4] not in ("-", "share")
    }
    # hand-out 002, 2-a, question 1
    assert len(counted) == 13 + 3
    assert counted["features.0"] == ("3", "1,792", "0.0%")
    assert counted["features.28"] == ("512", "2,359,808", "1.7%")
    assert counted["classifier.0"] == ("25,088", "102,764,544", "74.3%")
    assert counted["classifier.6"] == ("4,096", "4,097,000", "3.0%")


# By hand: (n + 2 p - k) // s + 1 positions, k * k * in * out weights and a bias for each channel that comes out (none
# beside batch norm); a field grows by (k - 1) jumps of the layer before, and a jump by the stride.
BY_HAND = {
    "alexnet": {
        "features.0": ((64, 55, 55), 23_296, 11, 4),
        "features.2": ((64, 27, 27), 0, 19, 8),
        "features.3": ((192, 27, 27), 307_392, 51, 8),
        "features.5": ((192, 13, 13), 0, 67, 16),
        "features.6": ((384, 13, 13), 663_936, 99, 16),
        "features.8": ((256, 13, 13), 884_992, 131, 16),
        "features.10": ((256, 13, 13), 590_080, 163, 16),
        "features.12": ((256, 6, 6), 0, 195, 32),
        "classifier.1": ((4096,), 37_752_832, None, None),
        "classifier.4": ((4096,), 16_781_312, None, None),
        "classifier.6": ((1000,), 4_097_000, None, None),
    },
    "vgg16": {
        "features.0": ((64, 224, 224), 1_792, 3, 1),
        "features.2": ((64, 224, 224), 36_928, 5, 1),
        "features.4": ((64, 112, 112), 0, 6, 2),
        "features.7": ((128, 112, 112), 147_584, 14, 2),
        "features.9": ((128, 56, 56), 0, 16, 4),
        "features.14": ((256, 56, 56), 590_080, 40, 4),
        "features.21": ((512, 28, 28), 2_359_808, 92, 8),
        "features.28": ((512, 14, 14), 2_359_808, 196, 16),
        "features.30": ((512, 7, 7), 0, 212, 32),
        "classifier.0": ((4096,), 102_764_544, None, None),
    },
    "resnet18": {
        "conv1": ((64, 112, 112), 9_408, 7, 2),
        "bn1": ((64, 112, 112), 128, 7, 2),
        "maxpool": ((64, 56, 56), 0, 11, 4),
        "layer1.0.conv1": ((64, 56, 56), 36_864, 19, 4),
        "layer1.1.conv2": ((64, 56, 56), 36_864, 43, 4),
        "layer2.0.conv1": ((128, 28, 28), 73_728, 51, 8),
        "layer2.0.downsample.0": ((128, 28, 28), 8_192, 43, 8),
        "layer2.1.conv2": ((128, 28, 28), 147_456, 99, 8),
        "layer3.1.conv2": ((256, 14, 14), 589_824, 211, 16),
        "layer4.0.conv1": ((512, 7, 7), 1_179_648, 243, 32),
        "layer4.1.conv2": ((512, 7, 7), 2_359_296, 435, 32),
        "fc": ((1000,), 513_000, None, None),
    },
}


@pytest.mark.parametrize("name", BY_HAND)
def test_sizes_parameters_and_fields_of_known_nets_are_those_computed_by_hand(name: str) -> None:
    with torch.device("meta"):
        summary = summarize(models.get_model(name), (3, 224, 224))
    for layer, (shape, parameters, field, jump) in BY_HAND[name].items():
        row = summary.row(layer)
        assert (row.output_shape, row.parameters) == (shape, parameters), layer
        if field:
            assert (row.receptive_field, row.jump) == ((field, field), (jump, jump)), layer


def test_the_question_of_the_hand_out_is_answered_in_the_table() -> None:
    """5x5 and then 3x3 at stride 1: a unit sees 7x7 pixels."""
    summary = summarize(nn.Sequential(nn.Conv2d(1, 4, 5), nn.Conv2d(4, 8, 3)), (1, 28, 28))
    seen = [(row.receptive_field, row.output_shape, row.parameters) for row in summary.rows[1:]]
    assert seen == [((5, 5), (4, 24, 24), 104), ((7, 7), (8, 22, 22), 296)]
    (line,) = (line.split() for line in summary.to_text().splitlines() if line.startswith("1 "))
    assert line[-2] == "7"


@pytest.mark.parametrize("name", ["resnet18", "alexnet", "squeezenet1_1", "mobilenet_v3_small", "vit_b_16"])
def test_rows_and_kinds_add_up_to_all_parameters(name: str) -> None:
    with torch.device("meta"):
        net = models.get_model(name)
    size = 224 if name == "vit_b_16" else 64
    summary = summarize(net, (3, size, size))
    count = sum(p.numel() for p in net.parameters())
    assert count == models.get_model_weights(name).DEFAULT.meta["num_params"]
    assert summary.total == summary.convolution + summary.linear + summary.other == count
    assert sum(row.parameters for row in summary.rows) == count


def test_odd_nets_are_counted_once_and_in_full() -> None:
    net = _Odd()
    summary = summarize(net, (3, 8, 8))
    conv = 3 * 3 * 9 + 3 + 3  # direction, magnitude, bias
    assert (summary.convolution, summary.linear, summary.other) == (conv, 6, 3)
    assert [row.parameters for row in summary.rows if row.name.startswith("conv")] == [conv, 0]
    assert sum(row.parameters for row in summary.rows) == summary.total == conv + 6 + 3
    assert {row.name for row in summary.rows if row.type == "Parameter"} == {*("scale", "unused.weight", "unused.bias")}


def test_frozen_parameters_are_told_apart() -> None:
    net = SmallResNet(num_classes=4)
    net.layer1.requires_grad_(False)
    net.bn1.bias.requires_grad_(False)
    summary = summarize(net, (3, 16, 16))
    frozen = sum(p.numel() for p in net.layer1.parameters()) + 16
    assert summary.trainable == summary.total - frozen
    assert summary.row("layer1.0.conv1").trainable_parameters == 0
    assert summary.row("bn1").trainable_parameters == 16
    lines = [line.split() for line in summary.to_text().splitlines()]
    words = {line[0]: line[6] for line in lines if len(line) == 9}
    assert words["conv1"] == "yes"
    assert words["bn1"] == "partly"
    assert words["layer1.0.conv1"] == "no"


def test_shapes_fields_and_jumps_of_a_small_net() -> None:
    summary = summarize(SmallResNet(num_classes=4), (3, 16, 24))
    row = summary.row("layer2.0.conv1")
    assert (row.output_shape, row.receptive_field, row.jump) == ((32, 8, 12), (13, 13), (2, 2))
    head = summary.row("fc")
    assert (head.output_shape, head.jump) == ((4,), None)
    with pytest.raises(LabsError, match=r"layer9.*conv1"):
        summary.row("layer9")


@pytest.mark.parametrize("net", [SmallResNet(num_classes=4), _Branching()], ids=["traced", "hooked"])
def test_the_net_is_left_as_it_was(net: nn.Module) -> None:
    net.train()
    list(net.modules())[2].eval()
    modes = [module.training for module in net.modules()]
    before = copy.deepcopy(net.state_dict())
    random_state = torch.get_rng_state()
    summarize(net, (3, 16, 16))
    assert [module.training for module in net.modules()] == modes
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())
    assert all(p.grad is None and p.requires_grad for p in net.parameters())
    assert torch.equal(torch.get_rng_state(), random_state)
    assert not any(module._forward_hooks for module in net.modules())


def test_a_net_that_cannot_be_traced_is_marked() -> None:
    summary = summarize(_Branching(), (3, 16, 16))
    assert not summary.exact
    fields = {row.name: row.receptive_field for row in summary.rows}
    assert fields == {"input": (1, 1), "first": (3, 3), "second": (5, 5), "head": (16, 16)}
    text = summary.to_text()
    assert "~5" in text
    assert "cannot be traced" in text


@pytest.mark.parametrize("size", [(3, 20, 20), (1, 64, 64)])
def test_an_image_that_does_not_fit_is_a_clear_error(size: tuple[int, int, int]) -> None:
    with torch.device("meta"):
        net = models.AlexNet()
    with pytest.raises(LabsError, match=r"AlexNet does not accept an image of (.|\n)*datamodule\.image_size=64"):
        summarize(net, size)


def test_an_image_size_of_two_numbers_is_a_clear_error() -> None:
    with pytest.raises(LabsError, match="channels, height, width"):
        summarize(SmallResNet(num_classes=4), (3, 64))  # type: ignore[arg-type]


def test_the_table_is_aligned() -> None:
    lines = summarize(SmallResNet(num_classes=4), (3, 16, 16)).to_text().splitlines()
    rules = [i for i, line in enumerate(lines) if set(line) == {"-"}]
    table = lines[rules[1] + 1 : rules[2]]
    assert len({len(line) for line in table}) == 1  # every line ends in a right-aligned column
    start = lines[rules[0] + 1].index("type")
    assert all(line[start - 1] == " " and line[start] != " " for line in table)

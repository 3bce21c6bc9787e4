import pytest
import torch
from torch import nn

from labs import LabsError
from labs.inspection.parameters import select
from labs.nets.small_resnet import SmallResNet
from labs.nets.torchvision_nets import build_net

KEY = "freeze.patterns"


def net(name: str) -> nn.Module:
    with torch.device("meta"):  # names and shapes without the numbers
        return build_net(name=name, num_classes=200)


@pytest.fixture(scope="module")
def resnet18() -> nn.Module:
    return net("resnet18")


def all_names(module: nn.Module) -> set[str]:
    return {name for name, _ in module.named_parameters()}


def size(module: nn.Module, names: set[str]) -> int:
    return sum(parameter.numel() for name, parameter in module.named_parameters() if name in names)


class TestResNet18:
    def test_convs_are_20_tensors(self, resnet18: nn.Module) -> None:
        convs = select(resnet18, "convs", key=KEY)
        assert len(convs) == 20
        assert size(resnet18, convs) == 11_166_912
        assert all(resnet18.get_parameter(name).ndim == 4 for name in convs)
        assert {name for name in all_names(resnet18) if resnet18.get_parameter(name).ndim == 4} == convs

    def test_batch_norms_are_the_rest_but_the_head(self, resnet18: nn.Module) -> None:
        norms = select(resnet18, "batch_norms", key=KEY)
        assert norms == select(resnet18, "backbone", key=KEY) - select(resnet18, "convs", key=KEY)
        assert "layer2.0.downsample.1.weight" in norms

    def test_a_net_without_batch_norm_says_so(self) -> None:
        with pytest.raises(LabsError, match="'batch_norms' matches no parameter of SqueezeNet"):
            select(net("squeezenet1_1"), "batch_norms", key=KEY)

    def test_sizes_are_those_of_the_closed_form(self, resnet18: nn.Module) -> None:
        assert size(resnet18, all_names(resnet18)) == 11_279_112
        block = 2 * (64 * 64 * 3 * 3) + 2 * (2 * 64)  # two 3x3 convolutions without bias, two batch norms
        assert size(resnet18, select(resnet18, "layer1", key=KEY)) == 2 * block == 147_968
        assert size(resnet18, select(resnet18, "head", key=KEY)) == 512 * 200 + 200 == 102_600
        assert size(resnet18, select(resnet18, "stem", key=KEY)) == 64 * 3 * 7 * 7

    def test_modules_and_parameters_by_name(self, resnet18: nn.Module) -> None:
        assert select(resnet18, "conv1.weight", key=KEY) == {"conv1.weight"}
        assert select(resnet18, "conv1", key=KEY) == {"conv1.weight"}  # not the conv1 inside the blocks
        assert select(resnet18, "bn1", key=KEY) == {"bn1.weight", "bn1.bias"}
        assert select(resnet18, "layer1", key=KEY) == {
            name for name in all_names(resnet18) if name.startswith("layer1.")
        }
        assert select(resnet18, "layer2.0.downsample.0", key=KEY) == {"layer2.0.downsample.0.weight"}

    def test_wildcards(self, resnet18: nn.Module) -> None:
        blocks = [f"layer{stage}.{block}" for stage in range(1, 5) for block in range(2)]
        assert select(resnet18, "layer?.*.conv2", key=KEY) == {f"{block}.conv2.weight" for block in blocks}
        assert select(resnet18, "layer[34]", key=KEY) == {
            name for name in all_names(resnet18) if name[:6] in ("layer3", "layer4")
        }
        assert select(resnet18, "*.bias", key=KEY) == {name for name in all_names(resnet18) if name.endswith(".bias")}
        assert select(resnet18, "*", key=KEY) == all_names(resnet18)


@pytest.mark.parametrize(
    ("name", "head", "stem"),
    [
        ("resnet18", {"fc.weight", "fc.bias"}, {"conv1.weight"}),
        ("resnet50", {"fc.weight", "fc.bias"}, {"conv1.weight"}),
        ("resnet_small", {"fc.weight", "fc.bias"}, {"conv1.weight"}),
        ("alexnet", {"classifier.6.weight", "classifier.6.bias"}, {"features.0.weight", "features.0.bias"}),
        ("vgg16", {"classifier.6.weight", "classifier.6.bias"}, {"features.0.weight", "features.0.bias"}),
        (
            "squeezenet1_0",
            {"classifier.1.weight", "classifier.1.bias"},
            {"features.0.weight", "features.0.bias"},
        ),
    ],
)
def test_words(name: str, head: set[str], stem: set[str]) -> None:
    module = net(name)
    backbone = select(module, "backbone", key=KEY)
    assert select(module, "head", key=KEY) == head
    assert select(module, "stem", key=KEY) == stem
    assert backbone | head == all_names(module)
    assert not backbone & head
    layers = {
        f"{n}.{p}" for n, m in module.named_modules() if isinstance(m, nn.Conv2d) for p, _ in m.named_parameters()
    }
    assert select(module, "convs", key=KEY) == layers


def test_all_of_squeezenet_is_convolutions_its_head_too() -> None:
    module = net("squeezenet1_1")
    assert select(module, "convs", key=KEY) == all_names(module)
    assert select(module, "features.1?", key=KEY) == {
        n for n in all_names(module) if n.split(".")[1] in ("10", "11", "12") and n[0] == "f"
    }


def test_the_stem_is_one_layer_not_all_whose_names_start_like_it() -> None:
    module = nn.Sequential()
    for number in (1, 10, 11):
        module.add_module(f"conv{number}", nn.Conv2d(3, 3, 1, bias=False))
    assert select(module, "stem", key=KEY) == {"conv1.weight"}
    assert select(module, "head", key=KEY) == {"conv11.weight"}


def test_a_number_is_a_whole_part_of_a_name() -> None:
    module = net("vgg16")  # has features.2 and features.21, 24, 26, 28
    assert select(module, "features.2", key=KEY) == {"features.2.weight", "features.2.bias"}
    assert {name.split(".")[1] for name in select(module, "features.2*", key=KEY)} == {
        "2",
        "21",
        "24",
        "26",
        "28",
    }


class TestNoMatch:
    def test_the_message_lists_what_there_is(self) -> None:
        with pytest.raises(LabsError) as raised:
            select(SmallResNet(num_classes=3), "layer9", key="module.lr_scale")
        message = str(raised.value)
        assert message.startswith("module.lr_scale: 'layer9' matches no parameter of SmallResNet.")
        assert "Did you mean layer" in message
        for name in (
            "convs",
            "stem",
            "backbone",
            "head",
            "conv1",
            "bn1",
            "layer1",
            "layer2",
            "layer3",
            "fc",
            "conv1.weight",
        ):
            assert name in message

    @pytest.mark.parametrize(
        ("typed", "meant"),
        [("backbon", "backbone"), ("layer_1", "layer1"), ("conv1.wieght", "conv1.weight"), ("Head", "head")],
    )
    def test_it_guesses_what_was_meant(self, typed: str, meant: str) -> None:
        with pytest.raises(LabsError, match=rf"Did you mean [^?]*\b{meant}\b"):
            select(SmallResNet(num_classes=3), typed, key=KEY)

    def test_it_does_not_guess_wildly(self) -> None:
        with pytest.raises(LabsError) as raised:
            select(SmallResNet(num_classes=3), "transformer.blocks.*.attention", key=KEY)
        assert "Did you mean" not in str(raised.value)

    @pytest.mark.parametrize("pattern", ["", "relu", "avgpool", "layer1.", "ayer1", "layer", "bn1.running_mean"])
    def test_neither_parts_of_names_nor_layers_without_parameters(self, pattern: str) -> None:
        with pytest.raises(LabsError, match="matches no parameter"):
            select(SmallResNet(num_classes=3), pattern, key=KEY)

    @pytest.mark.parametrize("word", ["convs", "stem"])
    def test_a_net_without_convolutions(self, word: str) -> None:
        with pytest.raises(LabsError, match=f"'{word}' matches no parameter"):
            select(nn.Sequential(nn.Flatten(), nn.Linear(4, 2)), word, key=KEY)

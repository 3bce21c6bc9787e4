from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torchvision.models.alexnet import AlexNet

from labs import LabsError
from labs.callbacks.freeze import Freeze
from labs.nets.reinitialize import reinitialize
from labs.nets.small_resnet import SmallResNet
from labs.nets.torchvision_nets import build_net


def copied(net: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in net.state_dict().items()}


def changed(net: nn.Module, before: dict[str, Tensor]) -> set[str]:
    return {name for name, tensor in net.state_dict().items() if not torch.equal(tensor, before[name])}


@pytest.mark.parametrize(
    ("patterns", "layers"),
    [
        ((), set()),
        (("fc",), {"fc"}),
        (("head", "layer2.0.conv?"), {"fc", "layer2.0.conv1", "layer2.0.conv2"}),
        (("layer1.0.bn1.weight",), {"layer1.0.bn1"}),
    ],
)
def test_only_the_named_layers_begin_anew(patterns: tuple[str, ...], layers: set[str]) -> None:
    net = SmallResNet(num_classes=5)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(1)
    before = copied(net)
    assert set(reinitialize(net, patterns)) == layers
    assert {name.rpartition(".")[0] for name in changed(net, before)} == layers


def test_what_matches_nothing_or_cannot_begin_anew_is_refused() -> None:
    with pytest.raises(LabsError, match=r"net\.reinitialize: 'fc7' matches no parameter"):
        reinitialize(SmallResNet(num_classes=5), ["fc7"])
    net = nn.Sequential(nn.Linear(2, 2))
    net.scale = nn.Parameter(torch.ones(1))
    with pytest.raises(LabsError, match=r"the net itself .* cannot be reinitialized"):
        reinitialize(net, ["scale"])


def test_a_net_takes_other_layers_from_its_weights(tmp_path: object) -> None:
    torch.manual_seed(0)
    first = build_net(name="resnet_small", num_classes=5)
    file = f"{tmp_path}/net.pt"
    torch.save(first.state_dict(), file)
    again = build_net(name="resnet_small", num_classes=5, weights=file, keep_head=True, reinitialize=["layer3.0.conv1"])
    assert changed(again, first.state_dict()) == {"layer3.0.conv1.weight"}


@pytest.mark.parametrize(
    ("policy", "anew", "trainable"),
    [
        (["backbone"], [], 40_970),
        (["features", "classifier.[01]"], ["classifier.[34]"], 40_970 + 16_781_312),
        (["features"], ["classifier"], 40_970 + 16_781_312 + 37_752_832),
    ],
)
def test_parameters_of_alexnet_that_train(policy: list[str], anew: list[str], trainable: int) -> None:
    with torch.device("meta"):
        net = build_net(name="alexnet", num_classes=10, reinitialize=anew)
    assert isinstance(net, AlexNet)
    freeze = Freeze(patterns=policy)
    freeze.apply(net, 0)
    assert sum(p.numel() for p in net.parameters() if p.requires_grad) == trainable

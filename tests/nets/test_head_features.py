"""Features of any net: the head applied to them by hand gives the logits."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from labs import LabsError
from labs.nets.dann_mnist import dann_mnist
from labs.nets.eval_mode import evaluating
from labs.nets.head_features import feature_size, features_and_logits
from labs.nets.torchvision_nets import build_net, head_name

SIZES = {"resnet18": 32, "resnet_small": 16, "alexnet": 63, "squeezenet1_1": 32, "dann_mnist": 16}
EXPECTED = {"resnet18": 512, "resnet_small": 64, "alexnet": 4096, "squeezenet1_1": 512, "dann_mnist": 48}


def built(name: str) -> nn.Module:
    torch.manual_seed(0)
    if name == "dann_mnist":
        return dann_mnist(num_classes=5, image_size=SIZES[name], batch_norm=True, dropout=0.5)
    return build_net(name=name, num_classes=5, image_size=SIZES[name])


def images_for(name: str) -> Tensor:
    return torch.rand(2, 3, SIZES[name], SIZES[name], generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", SIZES)
def test_the_head_applied_to_the_features_gives_the_logits(name: str) -> None:
    net, images = built(name).eval(), images_for(name)
    with torch.no_grad():
        features, logits = features_and_logits(net, images)
        assert torch.equal(logits, net(images))
        assert features.shape == (2, EXPECTED[name])
        assert feature_size(net) == EXPECTED[name]
        head = net.get_submodule(head_name(net))
        if isinstance(head, nn.Conv2d):  # SqueezeNet: a ReLU and a mean follow the head, so that places do not add up
            feature_map: Tensor = net.features(images)  # type: ignore[operator]
            assert torch.allclose(features, feature_map.mean(dim=(2, 3)), atol=1e-6)
            by_hand = (feature_map.flatten(2).mT @ head.weight.flatten(1).T + head.bias).clamp(min=0).mean(dim=1)
        elif isinstance(head, nn.Linear):
            by_hand = features @ head.weight.T + head.bias
        else:
            by_hand = head(features)
    assert torch.allclose(logits, by_hand, atol=1e-5)


def test_gradients_go_through_the_features() -> None:
    net = built("resnet_small")
    features, _ = features_and_logits(net, images_for("resnet_small"))
    features.sum().backward()
    assert net.conv1.weight.grad is not None
    assert net.fc.weight.grad is None, "the head is not on the way"


def test_no_hook_is_left() -> None:
    net, images = built("resnet_small"), images_for("resnet_small")
    for _ in range(2):
        features_and_logits(net, images)
        assert not net.fc._forward_pre_hooks
    with pytest.raises(RuntimeError):
        features_and_logits(net, images[:, :1])
    assert not net.fc._forward_pre_hooks


def test_a_net_without_a_head_that_can_be_asked() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Identity())
    net.head_name = "1"  # type: ignore[assignment]
    with pytest.raises(LabsError, match="Sequential has no linear layer or convolution as its head; type another net="):
        feature_size(net)


def test_evaluating_gives_every_layer_its_own_mode_back() -> None:
    net = built("resnet18").train()
    net.bn1.eval()  # as a frozen layer is
    net.layer2.eval()
    net.layer2[0].bn1.train()
    before = {name: module.training for name, module in net.named_modules()}
    assert len(set(before.values())) == 2
    with evaluating(net):
        assert not any(module.training for module in net.modules())
    assert {name: module.training for name, module in net.named_modules()} == before
    with pytest.raises(ZeroDivisionError), evaluating(net):
        raise ZeroDivisionError
    assert {name: module.training for name, module in net.named_modules()} == before

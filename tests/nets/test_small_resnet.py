import pytest
import torch
from torchvision import models

from labs.nets.small_resnet import SmallResNet


@pytest.mark.parametrize(("size", "channels"), [(8, 1), (28, 1), (32, 3)])
def test_it_classifies_small_images(size: int, channels: int) -> None:
    net = SmallResNet(num_classes=4, in_channels=channels, width=8)
    logits = net(torch.rand(2, channels, size, size))
    assert logits.shape == (2, 4)
    logits.sum().backward()
    assert all(p.grad is not None for p in net.parameters())


def test_it_halves_the_map_twice() -> None:
    net = SmallResNet(num_classes=4)
    sizes = {}
    for name in ("layer1", "layer2", "layer3"):
        net.get_submodule(name).register_forward_hook(lambda _, __, y, n=name: sizes.update({n: y.shape[1:]}))
    net(torch.rand(1, 3, 32, 32))
    assert sizes == {"layer1": (16, 32, 32), "layer2": (32, 16, 16), "layer3": (64, 8, 8)}


@pytest.mark.parametrize(("blocks", "millions"), [(3, 0.27), (5, 0.46), (9, 0.85)])
def test_it_has_the_parameters_of_the_paper(blocks: int, millions: float) -> None:
    # He et al. 2015, table 6: ResNet-20, 32 and 56, whose shortcuts have no parameters.
    net = SmallResNet(num_classes=10, blocks=blocks)
    count = sum(p.numel() for name, p in net.named_parameters() if "downsample" not in name)
    assert round(count / 1e6, 2) == millions


def test_its_names_are_those_of_torchvision() -> None:
    theirs = {name for name, _ in models.resnet18().named_parameters()}
    assert {name for name, _ in SmallResNet(num_classes=4).named_parameters()} < theirs

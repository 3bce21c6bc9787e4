"""Cascading randomization: from the head down, parameters and batch norm's buffers, the net itself untouched."""

from __future__ import annotations

import itertools

import pytest
import timm
import torch
from torch import nn
from torchvision import models

from labs.inspection.random_layers import cascade, learned_layers

IMAGE = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def differing(net: nn.Module, other: nn.Module) -> set[str]:
    values = other.state_dict()
    return {name for name, value in net.state_dict().items() if not torch.equal(value, values[name])}


def test_layers_come_in_the_order_in_which_they_run() -> None:
    class Backwards(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head, self.norm, self.conv, self.unused = (
                nn.Linear(4, 2), nn.BatchNorm2d(4), nn.Conv2d(3, 4, 3), nn.Linear(1, 1),
            )  # fmt: skip

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.head(self.norm(self.conv(images)).mean((2, 3)))

    assert learned_layers(Backwards(), IMAGE) == ["conv", "norm", "head", "unused"]


def test_more_and_more_is_random_and_the_net_is_left_alone() -> None:
    torch.manual_seed(1)
    net = models.resnet18(num_classes=5).eval()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):  # as after training
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
            module.weight.data.uniform_(0.5, 2)
            module.bias.data.normal_()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    changed: list[set[str]] = []
    for share, name, forgetful in cascade(net, IMAGE, stages=4, seed=0):
        changed.append(differing(net, forgetful))
        assert forgetful(IMAGE).isfinite().all()
        assert 0 < share <= 1
        assert any(entry.startswith(name) for entry in changed[-1])
    assert all(earlier < later for earlier, later in itertools.pairwise(changed))
    assert "fc.weight" in changed[0]
    assert "conv1.weight" not in changed[0]
    counters = {name for name in before if name.endswith("num_batches_tracked")}
    assert changed[-1] | counters == set(before)  # running statistics, too
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_the_same_seed_gives_the_same_weights_and_nothing_is_drawn_from_the_run() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4 * 62 * 62, 3)).eval()
    state = torch.get_rng_state()
    first, second, other = (
        [forgetful(IMAGE) for _, _, forgetful in cascade(net, IMAGE, stages=2, seed=seed)] for seed in (0, 0, 1)
    )
    assert torch.equal(torch.get_rng_state(), state)
    assert all(map(torch.equal, first, second))
    assert not torch.equal(first[-1], other[-1])


def test_copies_made_in_inference_mode_give_gradients() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4 * 62 * 62, 3)).eval()
    with torch.inference_mode():
        copies = [forgetful for _, _, forgetful in cascade(net, IMAGE, stages=1, seed=0)]
    images = IMAGE.clone().requires_grad_()
    copies[0](images).sum().backward()
    assert images.grad is not None


@pytest.mark.slow
@pytest.mark.parametrize("name", ["convnext_atto", "vit_tiny_patch16_224", "efficientnet_lite0"])
def test_parameters_that_no_layer_initializes_are_random_too(name: str) -> None:
    torch.manual_seed(0)
    net = timm.create_model(name, num_classes=4).eval()
    for parameter in net.parameters():  # as after training: no two numbers alike
        parameter.data.add_(0.01 * torch.randn_like(parameter))
    image = torch.rand(1, 3, 224, 224) if name.startswith("vit") else IMAGE
    for _, _, forgetful in cascade(net, image, stages=1, seed=0):
        assert forgetful(image).isfinite().all()
        untouched = {name for name, _ in net.named_parameters()} - differing(net, forgetful)
    assert untouched == set()

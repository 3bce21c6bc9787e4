"""The paper's net: sizes counted by hand, its options, its weights, and the head that tells domains apart."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from labs import LabsError
from labs.nets.dann_mnist import DANNMNIST, SMALLEST, DomainHead, dann_mnist
from labs.nets.head_features import feature_size, features_and_logits


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def linear(*widths: int) -> int:
    return sum(before * after + after for before, after in pairwise(widths))


@pytest.mark.parametrize(("size", "side"), [(16, 1), (20, 2), (28, 4), (32, 5)])
def test_shapes(size: int, side: int) -> None:
    net = dann_mnist(num_classes=7, image_size=size)
    features, logits = features_and_logits(net, torch.rand(3, 3, size, size))
    assert features.shape == (3, 48 * side**2)
    assert logits.shape == (3, 7)
    assert feature_size(net) == 48 * side**2


def test_there_are_768_features_at_28_pixels() -> None:
    assert feature_size(DANNMNIST(num_classes=10)) == 768


def test_parameters_of_the_papers_figure_4a() -> None:
    """5x5 convolutions of 3-32-48 channels; label head 768-100-100-10; domain head 768-100-1."""
    net = dann_mnist(num_classes=10, image_size=28)
    assert count(net.backbone) == (25 * 3 * 32 + 32) + (25 * 32 * 48 + 48)
    assert count(net.label_head) == linear(768, 100, 100, 10)
    assert count(DomainHead(768)) == linear(768, 100, 1)
    assert count(DomainHead(768, (1024, 1024))) == linear(768, 1024, 1024, 1)
    assert count(DomainHead(768, ())) == linear(768, 1)


def test_layers_stand_in_the_papers_order() -> None:
    kinds = [type(layer) for layer in dann_mnist(num_classes=10, image_size=28).backbone]
    assert kinds == [nn.Conv2d, nn.ReLU, nn.MaxPool2d, nn.Conv2d, nn.ReLU, nn.MaxPool2d, nn.Flatten]
    head = [type(layer) for layer in dann_mnist(num_classes=10, image_size=28).label_head]
    assert head == [nn.Identity, nn.Linear, nn.ReLU, nn.Identity, nn.Linear, nn.ReLU, nn.Linear]


def test_it_equals_its_layers_written_out() -> None:
    net = dann_mnist(num_classes=10, image_size=28)
    images, weights = torch.rand(2, 3, 28, 28), dict(net.named_parameters())
    out = images
    for place in (0, 3):
        out = nn.functional.conv2d(out, weights[f"backbone.{place}.weight"], weights[f"backbone.{place}.bias"])
        out = nn.functional.max_pool2d(out.clamp(min=0), 2)
    out = out.flatten(1)
    for place in (1, 4, 6):
        out = out @ weights[f"label_head.{place}.weight"].T + weights[f"label_head.{place}.bias"]
        out = out.clamp(min=0) if place < 6 else out
    assert torch.allclose(net(images), out, atol=1e-5)


def test_batch_norm_stands_behind_each_convolution() -> None:
    plain, normed = (dann_mnist(num_classes=10, image_size=28, batch_norm=n) for n in (False, True))
    norms = [layer for layer in normed.modules() if isinstance(layer, nn.BatchNorm2d)]
    assert [norm.num_features for norm in norms] == [32, 48]
    assert not [layer for layer in plain.modules() if isinstance(layer, nn.BatchNorm2d)]
    assert count(normed) - count(plain) == 2 * (32 + 48)
    kinds = [type(layer) for layer in normed.backbone]
    assert kinds[:4] == kinds[4:8] == [nn.Conv2d, nn.BatchNorm2d, nn.ReLU, nn.MaxPool2d]


def test_dropout_drops_features_of_the_label_head_alone() -> None:
    net = dann_mnist(num_classes=10, image_size=28, dropout=0.5)
    kinds = [type(layer) for layer in net.label_head]
    assert kinds == [nn.Dropout, nn.Linear, nn.ReLU, nn.Dropout, nn.Linear, nn.ReLU, nn.Linear]
    assert {layer.p for layer in net.modules() if isinstance(layer, nn.Dropout)} == {0.5}
    images = torch.rand(2, 3, 28, 28)
    (first, said), (second, said_again) = (features_and_logits(net.train(), images) for _ in range(2))
    assert torch.equal(first, second), "the domain head sees features as they are"
    assert not torch.equal(said, said_again)
    assert torch.equal(net.eval()(images), net(images))
    assert not [layer for layer in dann_mnist(num_classes=10, image_size=28).modules() if isinstance(layer, nn.Dropout)]


def test_the_domain_head_is_linear_layers_with_relu_between_them() -> None:
    head, features = DomainHead(5, (4, 3)), torch.randn(6, 5)
    out = features
    layers = [layer for layer in head.layers if isinstance(layer, nn.Linear)]
    for place, layer in enumerate(layers):
        out = out @ layer.weight.T + layer.bias
        out = out.clamp(min=0) if place < 2 else out
    assert head(features).shape == (6,)
    assert torch.allclose(head(features), out[:, 0], atol=1e-6)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"image_size": SMALLEST - 1}, r"datamodule\.image_size=15: net=dann_mnist needs at least 16 pixels"),
        ({"dropout": 1.0}, r"net\.dropout=1\.0: expected a share from 0 to below 1"),
        ({"dropout": -0.1}, r"net\.dropout=-0\.1"),
        ({"weights": "imagenet"}, r"no ImageNet weights for dann_mnist\. Type weights=random"),
        ({"weights": "nowhere"}, r"weights=nowhere"),
    ],
)
def test_what_makes_no_sense(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(LabsError, match=said) as refused:
        dann_mnist(**{"num_classes": 10, "image_size": 28, **wrong})
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("hidden", [(0,), (100, -1)])
def test_a_domain_head_of_no_width(hidden: tuple[int, ...]) -> None:
    with pytest.raises(LabsError, match=r"module\.domain_hidden=\[.*\]: expected widths of 1 or more"):
        DomainHead(5, hidden)


@pytest.mark.parametrize("keep_head", [False, True])
def test_weights_of_a_run(keep_head: bool, tmp_path: Path) -> None:
    net = dann_mnist(num_classes=10, image_size=16, batch_norm=True)
    file = tmp_path / "last.ckpt"
    state = {f"net.{name}": tensor for name, tensor in net.state_dict().items()}
    torch.save({"state_dict": {**state, "domain_head.layers.0.weight": torch.zeros(3)}}, file)
    again = dann_mnist(num_classes=10, image_size=16, batch_norm=True, weights=str(file), keep_head=keep_head)
    for name, tensor in net.state_dict().items():
        drawn_anew = name.startswith("label_head.") and not keep_head
        assert torch.equal(again.state_dict()[name], tensor) != drawn_anew, name


def test_weights_for_other_classes_fit_all_but_the_head(tmp_path: Path) -> None:
    torch.save(dann_mnist(num_classes=5, image_size=16).state_dict(), tmp_path / "five.pt")
    dann_mnist(num_classes=10, image_size=16, weights=str(tmp_path / "five.pt"))
    with pytest.raises(LabsError, match=r"label_head\.6\.weight"):
        dann_mnist(num_classes=10, image_size=16, weights=str(tmp_path / "five.pt"), keep_head=True)

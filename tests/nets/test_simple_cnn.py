"""The two-convolution net: the shapes of the course's starter code, and none of its faults."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from labs import LabsError
from labs.inspection.summary import summarize
from labs.nets.simple_cnn import SimpleCNN


def built(**settings: Any) -> SimpleCNN:
    return SimpleCNN(num_classes=11, image_size=50, **settings)


def layers(net: nn.Module, kind: type[nn.Module]) -> list[Any]:
    return [module for module in net.modules() if isinstance(module, kind)]


@pytest.mark.parametrize(
    ("settings", "features"),
    [
        ({}, 1600),
        ({"pooling": True}, 64),
        ({"padding": [2]}, 13 * 13 * 16),  # as TensorFlow pads, which the original is written in
        ({"padding": [2], "pooling": True}, 3 * 3 * 16),
        ({"channels": [16, 32, 64], "strides": [2], "filter_sizes": [5, 3, 3], "padding": [2, 1, 1]}, 7 * 7 * 64),
        ({"pooling": True, "pool_size": 3, "pool_stride": 1}, 7 * 7 * 16),
    ],
)
def test_features_are_as_many_as_in_the_original(settings: dict[str, Any], features: int) -> None:
    net = built(**settings)
    assert layers(net, nn.Linear)[0].in_features == features
    assert net(torch.zeros(2, 3, 50, 50)).shape == (2, 11)


@pytest.mark.parametrize(
    ("flag", "kind", "count"),
    [
        ({"pooling": True}, nn.MaxPool2d, 2),
        ({"batch_norm": True}, nn.BatchNorm2d, 2),
        ({"batch_norm": True}, nn.BatchNorm1d, 1),
        ({"local_response_norm": True}, nn.LocalResponseNorm, 2),
        ({"dropout": 0.2}, nn.Dropout, 2),
        ({"hidden": [32, 16]}, nn.Linear, 3),
        ({"hidden": []}, nn.Linear, 1),
    ],
)
def test_each_flag_adds_its_layers(flag: dict[str, Any], kind: type[nn.Module], count: int) -> None:
    net = built(**flag)
    assert len(layers(net, kind)) == count
    assert not (kind is not nn.Linear and layers(built(), kind))
    net(torch.rand(4, 3, 50, 50)).sum().backward()


def test_weight_norm_begins_as_the_net_without_and_learns_length_and_direction_apart() -> None:
    torch.manual_seed(0)
    plain = built()
    torch.manual_seed(0)
    normed = built(weight_norm=True)
    images = torch.rand(2, 3, 50, 50)
    torch.testing.assert_close(normed(images), plain(images))
    names = [name for name, _ in normed.named_parameters() if name.startswith("convolutions.0.")]
    assert [name.rpartition(".")[2] for name in names] == ["bias", "original0", "original1"]


def test_logits_are_no_probabilities_and_do_not_depend_on_the_other_images() -> None:
    """The starter code took a softmax over the batch before the loss, which takes one over the classes."""
    net = built().eval()
    images = torch.rand(6, 3, 50, 50)
    logits = net(images)
    assert (logits < 0).any()
    torch.testing.assert_close(net(images[:2]), logits[:2])
    assert not layers(net, nn.Softmax)


def test_dropout_is_the_share_that_is_dropped() -> None:
    """The hand-out calls it keep_prob."""
    net = built(dropout=0.2)
    assert {layer.p for layer in layers(net, nn.Dropout)} == {0.2}
    dropped = layers(net, nn.Dropout)[0].train()(torch.ones(10_000))
    assert (dropped == 0).float().mean().item() == pytest.approx(0.2, abs=0.02)
    with pytest.raises(LabsError, match="expected a rate from 0 to below 1"):
        built(dropout=1.0)


def test_a_5x5_filter_then_a_3x3_one_see_7x7_pixels() -> None:
    net = built(channels=[4, 4], filter_sizes=[5, 3], strides=[1])
    rows = {row.name: row for row in summarize(net, (3, 50, 50)).rows}
    assert [rows[f"convolutions.{place}"].receptive_field for place in (0, 2)] == [(5, 5), (7, 7)]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"channels": [16] * 5}, "50 pixels are too small for convolution 4"),
        ({"filter_sizes": [5, 3, 1]}, "net.filter_sizes=.*expected 2 integers of 1 or more"),
        ({"strides": [0]}, "net.strides"),
        ({"channels": []}, "net.channels"),
        ({"hidden": [0]}, "net.hidden"),
        ({"pool_size": 0}, "net.pool_size=0"),
        ({"weights": "imagenet"}, "no ImageNet weights"),
    ],
)
def test_what_cannot_be_is_said(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(LabsError, match=words):
        built(**settings)

"""Vectors of a layer are what the layer gives in the whole net."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from labs import LabsError
from labs.nets.imagenet_weights import content_of
from labs.nets.layer_vectors import LayerVectors, unit_rows
from labs.nets.package_weights import PACKAGE_FILES
from labs.nets.torchvision_nets import build_net

IMAGES = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def vectors(*words: str, **options: object) -> LayerVectors:
    return LayerVectors(layers=words, num_classes=4, image_size=64, **options).eval()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "word",
    [
        "squeezenet1_1/features.9",
        "squeezenet1_1/features",
        "resnet18/layer1.0.bn2",  # overwritten in place a moment later
        "resnet18/layer1.0.relu",  # runs twice
        "resnet18/layer2",
        "resnet18/avgpool",
        "efficientnet_lite0/blocks.3",
        "efficientnet_lite0/global_pool",
    ],
)
@torch.no_grad()
def test_they_are_what_the_layer_gives_in_the_whole_net(word: str) -> None:
    name, layer = word.split("/")
    ours = vectors(word, seed=3)
    torch.manual_seed(3)
    whole = build_net(name=name, num_classes=2).eval()
    seen: list[Tensor] = []
    whole.get_submodule(layer).register_forward_hook(lambda *given: seen.append(given[2].flatten(1).clone()))
    whole(IMAGES)
    assert torch.equal(ours.parts[0](IMAGES), seen[0])
    assert ours.width == seen[0].shape[1]
    assert len(ours.state_dict()) <= len(whole.state_dict())
    assert torch.allclose(ours(IMAGES), ours.head(seen[0] / seen[0].norm(dim=1, keepdim=True)), atol=1e-5)


@torch.no_grad()
def test_what_comes_after_the_layer_is_thrown_away() -> None:
    early, late = vectors("resnet18/layer1"), vectors("resnet18/layer3")
    assert not [name for name in early.state_dict() if "layer2" in name]
    assert len(early.state_dict()) < len(late.state_dict())


@torch.no_grad()
def test_layers_stand_side_by_side_and_count_alike() -> None:
    both = vectors("resnet18/layer1", "squeezenet1_1/features.12", seed=1)
    one, other = vectors("resnet18/layer1", seed=1), vectors("squeezenet1_1/features.12", seed=1)
    assert both.width == one.width + other.width
    rows = unit_rows([part(IMAGES) for part in both.parts])
    assert torch.allclose(rows.norm(dim=1), torch.ones(2))
    assert torch.allclose(rows[:, : one.width].norm(dim=1), torch.full((2,), 0.5**0.5))
    assert torch.allclose(rows[:, one.width :] * 2**0.5, unit_rows([other.parts[0](IMAGES)]), atol=1e-6)
    assert both.labels[0] == "features of resnet18/layer1 and squeezenet1_1/features.12"


@torch.no_grad()
def test_maps_can_be_averaged() -> None:
    whole, mean = vectors("resnet18/layer2"), vectors("resnet18/layer2", pooling="average")
    maps = whole.parts[0](IMAGES).unflatten(1, (128, 8, 8))
    assert torch.allclose(mean.parts[0](IMAGES), maps.mean((2, 3)), atol=1e-6)


def test_a_row_of_zeros_stays_one() -> None:
    assert unit_rows([torch.zeros(1, 3)]).tolist() == [[0.0, 0.0, 0.0]]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["squeezenet1_1/features.99"], r"features.99: the net has no such layer; type for example features.9"),
        (["squeezenet1_1/classifier.1"], "classifier.1 is the untrained head of the net; type an earlier"),
        (["squeezenet1_1/classifier"], "classifier.1 is the untrained head of the net"),
        (["squeezenet1_1/classifier.3"], "comes after the untrained head classifier.1"),
        (["resnet18"], "expected a net and a module of it, such as vgg16/classifier.4"),
        (["resnet19/layer1"], r"Unknown net 'resnet19' \(did you mean resnet18"),
        (["resnet18/layer1", "resnet18/layer1"], "a layer is listed twice"),
        ([], "expected at least one net and module"),
    ],
)
def test_what_cannot_be_meant_is_refused(words: list[str], message: str) -> None:
    with pytest.raises(LabsError, match=message):
        vectors(*words)


def test_an_unknown_pooling_is_refused() -> None:
    with pytest.raises(LabsError, match=r"net\.pooling=max: expected flatten or average"):
        vectors("resnet18/layer1", pooling="max")


def test_imagenets_weights_of_every_net_are_part_of_a_recipe() -> None:
    node = {"_target_": "labs.nets.layer_vectors.LayerVectors"}
    words = ["squeezenet1_1/features.9", "squeezenet1_1/features.12", "vgg16/classifier.4"]
    digest = PACKAGE_FILES["squeezenet1_1"].sha256
    assert content_of({**node, "layers": words}) == f"imagenet, sha256 {digest}; imagenet"

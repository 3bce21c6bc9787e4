from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torchvision.models import VGG19_Weights
from torchvision.models.feature_extraction import create_feature_extractor
from torchvision.models.vgg import VGG, cfgs, make_layers

from labs import LabsError
from labs.nets import torchvision_nets
from labs.nets.layer_features import LayerFeatures
from labs.nets.layer_names import layer_names, stand_ins
from labs.nets.torchvision_nets import build_net

CONFIGURATIONS = {"vgg16": "D", "vgg19": "E"}  # of the paper's table 1, as torchvision calls them
TUTORIAL = list(layer_names())


def images(size: int = 32) -> Tensor:
    return torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(0))


def torchvision_features(net: LayerFeatures, name: str) -> nn.Sequential:
    """Give torchvision's own layers the weights of `net`, which has as many convolutions."""
    features = make_layers(cfgs[CONFIGURATIONS[name]])
    ours, theirs = ([layer for layer in part if isinstance(layer, nn.Conv2d)] for part in (net.net.features, features))
    for one, other in zip(ours, theirs, strict=True):
        other.load_state_dict(one.state_dict())
    return features


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_activations_are_those_of_torchvision_layer_by_layer(name: str) -> None:
    names = layer_names(name)
    net = LayerFeatures(layers=list(names), name=name)
    ours = net(images())
    preset = VGG19_Weights.IMAGENET1K_V1.transforms()
    features = (images() - torch.tensor(preset.mean).view(3, 1, 1)) / torch.tensor(preset.std).view(3, 1, 1)
    theirs = torchvision_features(net, name).to(memory_format=torch.channels_last)  # as ours, for the same rounding
    assert len(theirs) == len(names)
    for layer, tutorial in zip(theirs, names, strict=True):
        features = layer(features.clone())  # torchvision's ReLU overwrites its input
        assert torch.equal(ours[tutorial], features), tutorial


def tutorial_names(features: nn.Sequential) -> list[str]:
    """Count as `get_style_model_and_losses` of PyTorch's tutorial does."""
    kinds = {nn.Conv2d: "conv", nn.ReLU: "relu", nn.MaxPool2d: "pool"}
    names, count = [], 0
    for layer in features:
        count += isinstance(layer, nn.Conv2d)
        names.append(f"{kinds[type(layer)]}_{count}")
    return names


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_names_are_those_of_the_tutorial(name: str) -> None:
    assert list(layer_names(name)) == tutorial_names(make_layers(cfgs[CONFIGURATIONS[name]]))


def test_names_of_the_papers_stand_beside_them() -> None:
    names = layer_names()
    # the tutorial's content and style layers, and those of Gatys et al.
    assert [names[f"conv_{i}"] for i in range(1, 6)] == ["conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1"]
    assert [names[f"conv_{i}"] for i in (1, 3, 5, 9, 13)] == [f"conv{block}_1" for block in range(1, 6)]
    assert names["conv_10"] == "conv4_2"
    assert names["conv_16"] == "conv5_4"
    assert [names[f"pool_{i}"] for i in (2, 4, 8, 12, 16)] == [f"pool{block}" for block in range(1, 6)]
    assert len(set(names.values())) == len(names) == 37


def test_either_name_finds_the_same_activation_under_the_name_asked_for() -> None:
    net = LayerFeatures(layers=["relu2_1", "conv_3", "relu_3", "conv2_1", "pool1"])
    activations = net(images())
    assert list(activations) == ["relu2_1", "conv_3", "relu_3", "conv2_1", "pool1"]
    assert torch.equal(activations["relu2_1"], activations["relu_3"])
    assert torch.equal(activations["conv2_1"], activations["conv_3"])
    assert (activations["conv_3"] < 0).any(), "a ReLU in place would have cut it"
    assert activations["pool1"].shape == (2, 64, 16, 16)


@pytest.mark.parametrize(("layer", "length"), [("conv_1", 1), ("relu1_1", 2), ("conv_5", 11), ("pool5", 37)])
def test_the_net_ends_with_the_last_layer_needed(layer: str, length: int) -> None:
    assert len(LayerFeatures(layers=["conv_1", layer]).net.features) == length


def layers_run(net: LayerFeatures, **arguments: Any) -> int:
    """Count the layers that compute something."""
    ran = []
    hooks = [layer.register_forward_hook(lambda *_: ran.append(1)) for layer in net.net.features]
    net(images(), **arguments)
    for hook in hooks:
        hook.remove()
    return len(ran)


class TestVisit:
    def net(self) -> LayerFeatures:
        return LayerFeatures(layers=["conv_4", "relu_1", "conv_2", "conv1_2"])

    def test_it_is_shown_the_activations_that_are_returned(self) -> None:
        net, seen = self.net(), {}

        def look(layer: str, features: Tensor) -> Tensor:
            seen[layer] = features.clone()
            return features

        expected = net(images())
        found = net(images(), {layer: partial(look, layer) for layer in ("conv_4", "relu_1")})
        assert list(found) == ["conv_4", "relu_1"]
        assert list(seen) == ["relu_1", "conv_4"], "in the order of the net"
        for layer in found:
            assert torch.equal(found[layer], expected[layer])
            assert torch.equal(seen[layer], expected[layer])

    def test_the_net_goes_on_with_what_it_returns(self) -> None:
        net = self.net()
        changed = net(images(), {"relu_1": lambda features: 3 - features, "conv_2": lambda features: features})
        relu = net.net.features[:2]((images() - net.mean) / net.std)
        torch.testing.assert_close(changed["relu_1"], 3 - relu)
        torch.testing.assert_close(changed["conv_2"], net.net.features[2](3 - relu))

    def test_both_names_of_a_layer_are_called_one_after_the_other(self) -> None:
        net = self.net()
        changed = net(images(), {"conv_2": lambda features: features + 1, "conv1_2": lambda features: features * 2})
        torch.testing.assert_close(changed["conv1_2"], (net(images())["conv_2"] + 1) * 2)

    @pytest.mark.parametrize(("layers", "count"), [(["relu_1"], 2), (["conv1_2", "relu_1"], 3), (["conv_4"], 8)])
    def test_the_net_stops_after_the_last_layer_named(self, layers: list[str], count: int) -> None:
        net = self.net()
        assert layers_run(net, visit={layer: lambda features: features for layer in layers}) == count
        assert layers_run(net) == len(net.net.features) == 8


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_every_layer_has_another_name(name: str) -> None:
    net = LayerFeatures(layers=["conv_1"], name=name)
    for tutorial, vgg in layer_names(name).items():
        assert net.both_names(tutorial) == f"{tutorial} ({vgg})"
        assert net.both_names(vgg) == f"{vgg} ({tutorial})"


def test_a_cut_net_has_the_weights_of_the_whole_one() -> None:
    cut, whole = LayerFeatures(layers=["conv_3"]), LayerFeatures(layers=["conv_3", "conv_9"])
    assert torch.equal(cut(images())["conv_3"], whole(images())["conv_3"])


def test_average_pooling_replaces_every_maximum() -> None:
    net = LayerFeatures(layers=["pool_2", "relu_2", "pool_4"], pooling="average")
    activations = net(images())
    blocks = activations["relu_2"].unflatten(3, (16, 2)).unflatten(2, (16, 2))
    torch.testing.assert_close(activations["pool_2"], blocks.mean((3, 5)))
    assert not any(isinstance(layer, nn.MaxPool2d) for layer in net.net.features)
    assert [n for n, _ in net.named_parameters()] == [
        n for n, _ in LayerFeatures(layers=["pool_4"]).named_parameters()
    ], "a state dict serves both poolings"


class TestRandom:
    def test_the_scale_stays_the_same_through_all_layers(self) -> None:
        net = LayerFeatures(layers=["relu_1", "relu_8"])
        convs = [layer for layer in net.net.features if isinstance(layer, nn.Conv2d)]
        for conv in convs:
            assert conv.weight.std().item() == pytest.approx((2 / conv.weight[0].numel()) ** 0.5, rel=0.1)
            assert conv.weight.mean().item() == pytest.approx(0, abs=0.02)
            assert conv.bias is not None
            assert not conv.bias.any()
        sizes = {name: maps.square().mean().item() for name, maps in net(images()).items()}
        assert 0.2 < sizes["relu_8"] / sizes["relu_1"] < 5

    def test_the_seed_decides_and_the_global_generator_is_left_alone(self) -> None:
        before = torch.get_rng_state()
        one, same, other = (LayerFeatures(layers=["conv_2"], seed=seed)(images())["conv_2"] for seed in (0, 0, 1))
        assert torch.equal(one, same)
        assert not torch.equal(one, other)
        assert torch.equal(torch.get_rng_state(), before)


def test_it_is_frozen_and_passes_gradients_to_the_picture() -> None:
    net = LayerFeatures(layers=["conv_4"])
    assert not net.training
    assert not any(p.requires_grad for p in net.parameters())
    picture = images().requires_grad_()
    net(picture)["conv_4"].square().sum().backward()
    assert picture.grad is not None
    assert picture.grad.flatten(1).any(1).all()


@pytest.mark.parametrize(
    ("name", "layers"),
    [
        ("squeezenet1_1", ["features.0", "features.4", "features.6.squeeze", "features.5"]),
        ("resnet18", ["relu", "layer1.0.bn2", "layer1.1", "layer2.0.downsample", "maxpool"]),  # adds to bn2 in place
        ("alexnet", ["features.0", "features.3", "features.12"]),
    ],
)
def test_any_layer_of_any_net_is_what_torchvision_extracts(name: str, layers: list[str], tmp_path: Path) -> None:
    torch.manual_seed(0)
    trained = build_net(name=name, num_classes=1000)
    torch.save(trained.state_dict(), tmp_path / "net.pth")
    net = LayerFeatures(layers=layers, name=name, weights=str(tmp_path / "net.pth"))
    for module in trained.modules():
        if hasattr(module, "inplace"):
            module.inplace = False
    normalised = nn.functional.pad((images(64) - net.mean) / net.std, [net.margin] * 4, mode="reflect")
    theirs = create_feature_extractor(trained.eval(), {layer: layer for layer in layers if layer != "layer1.0.bn2"})
    ours, expected = net(images(64)), theirs(normalised)
    assert list(ours) == layers
    for layer, features in expected.items():
        torch.testing.assert_close(ours[layer], features, rtol=1e-4, atol=1e-5)
    shifted = net(images(64), {layers[1]: lambda features: features + 1, layers[2]: lambda features: features})
    assert list(shifted) == layers[1:3]
    torch.testing.assert_close(shifted[layers[1]], ours[layers[1]] + 1, rtol=1e-4, atol=1e-5)


def test_what_a_net_overwrites_is_kept() -> None:
    """ResNet adds its shortcut to what batch norm returned, in place."""
    net = LayerFeatures(layers=["layer1.0.bn2", "layer1.0"], name="resnet18")
    seen = net(images(64))
    alone = LayerFeatures(layers=["layer1.0.bn2"], name="resnet18")(images(64))
    assert torch.equal(seen["layer1.0.bn2"], alone["layer1.0.bn2"])


@pytest.mark.parametrize("name", ["squeezenet1_1", "squeezenet1_0", "alexnet", "resnet18", "resnet34", "resnet50"])
def test_the_tutorials_names_mean_a_layer_in_every_net(name: str) -> None:
    layers = [f"conv_{place}" for place in range(1, 6)]
    net = LayerFeatures(layers=[*layers, "relu_3"], name=name)
    seen = net(images(64))
    sizes = [maps.shape[2] for maps in seen.values()][:5]
    assert sizes == sorted(sizes, reverse=True), "from shallow to deep"
    assert torch.equal(seen["conv_3"], seen["relu_3"])
    assert net.both_names("conv_4") == f"conv_4 ({stand_ins(name)['conv_4']})"
    assert net.both_names(stand_ins(name)["conv_4"]) == f"{stand_ins(name)['conv_4']} (conv_4)"
    assert torch.equal(
        LayerFeatures(layers=[stand_ins(name)["conv_2"]], name=name)(images(64)).popitem()[1], seen["conv_2"]
    )


def test_other_modules_may_stand_in() -> None:
    modules = ["conv1", "layer1.0", "layer2.0", "layer3.0", "layer3.1"]
    net = LayerFeatures(layers=["conv_4", "relu"], name="resnet_small", stands_in=modules)
    assert net.places == {"conv_4": "layer3.0", "relu": "relu"}
    assert net.both_names("relu") == "relu"
    assert not any(n.startswith(("layer3.1", "fc")) for n, _ in net.net.named_parameters())


def test_a_net_of_timm_has_layers_too() -> None:
    modules = ["stem", "stages.0.blocks.0", "stages.0", "stages.1.blocks.0", "stages.1"]
    before = torch.get_rng_state()
    net, same = (
        LayerFeatures(layers=["conv_1", "stages.1"], name="timm/convnext_atto", stands_in=modules) for _ in "12"
    )
    seen, again = net(images(64)), same(images(64))
    assert [maps.shape[1:] for maps in seen.values()] == [(40, 16, 16), (80, 8, 8)]
    assert torch.equal(seen["stages.1"], again["stages.1"])
    assert torch.equal(torch.get_rng_state(), before)
    assert not any(n.startswith(("stages.2", "head")) for n, _ in net.net.named_parameters())


@pytest.mark.parametrize("name", ["squeezenet1_1", "vgg19", "resnet18"])
@pytest.mark.parametrize("size", [64, 65])
def test_every_pixel_has_a_gradient(name: str, size: int) -> None:
    """SqueezeNet's first convolution has no padding, and a stride of two: it would not see the last row."""
    picture = images(size).requires_grad_()
    LayerFeatures(layers=["conv_1"], name=name)(picture)["conv_1"].square().sum().backward()
    assert picture.grad is not None
    assert picture.grad.abs().sum(1).bool().all()


@pytest.fixture
def thin(monkeypatch: pytest.MonkeyPatch) -> type[VGG]:
    """Pretend that VGG19 is a sixteenth as wide, with a small head: the same names, files of 200 kB."""

    class Thin(VGG):
        def __init__(self, num_classes: int) -> None:
            nn.Module.__init__(self)
            self.features = make_layers([c if isinstance(c, str) else c // 16 for c in cfgs["E"]])
            self.classifier = nn.Sequential(*[nn.Identity()] * 6, nn.Linear(32, num_classes))

    monkeypatch.setitem(torchvision_nets._NETS, "vgg19", (Thin, VGG19_Weights.IMAGENET1K_V1))
    return Thin


def test_a_state_dict_of_torchvision_is_read(thin: type[VGG], tmp_path: Path) -> None:
    trained = thin(num_classes=1000)
    torch.save(trained.state_dict(), tmp_path / "vgg19.pth")
    net = LayerFeatures(layers=["conv_5"], weights=str(tmp_path / "vgg19.pth"))
    normalised = (images() - net.mean) / net.std
    torch.testing.assert_close(net(images())["conv_5"], trained.features[:11](normalised))
    assert not any(p.requires_grad for p in net.parameters())


def test_imagenet_weights_come_the_way_of_every_net(
    thin: type[VGG], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = thin(num_classes=1000)
    torch.save(trained.state_dict(), tmp_path / "file.pth")
    asked: list[Any] = []

    def file(url: str, typed: str | None) -> Path:
        asked.append((url, typed))
        return tmp_path / "file.pth"

    monkeypatch.setattr(torchvision_nets, "torchvision_file", file)
    net = LayerFeatures(layers=["conv_1"], weights="imagenet", weights_folder=str(tmp_path))
    assert asked == [(VGG19_Weights.IMAGENET1K_V1.url, str(tmp_path))]
    assert torch.equal(net.net.features[0].weight, trained.features[0].weight)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"layers": ["conv_17"]}, r"no layer 'conv_17' .*conv_16 = conv5_4, relu_16 = relu5_4, pool_16 = pool5"),
        ({"layers": ["conv4-2"]}, r"did you mean conv4_2\?"),
        ({"layers": ["pool_1"]}, "pool_2 = pool1"),
        ({"layers": ["conv_14"], "name": "vgg16"}, "vgg16 has no layer 'conv_14'"),
        ({"layers": []}, "at least one layer"),
        ({"layers": ["conv_1"], "name": "vgg14"}, r"Unknown net .vgg14. \(did you mean"),
        ({"layers": ["conv_6"], "name": "squeezenet1_1"}, "conv_5 = features.7; and its modules: features, features.0"),
        ({"layers": ["feature.4"], "name": "squeezenet1_1"}, r"did you mean features.4\?"),
        ({"layers": ["classifier.1"], "name": "squeezenet1_1"}, "classifier.1 is the untrained head of squeezenet1_1"),
        ({"layers": ["fc"], "name": "resnet18"}, "fc of resnet18 has no feature maps"),
        ({"layers": ["conv_1"], "name": "resnet_small"}, r"none is assigned to conv_1: type net.stands_in=\["),
        ({"layers": ["conv_1"], "name": "resnet_small", "stands_in": ["conv1"]}, "expected 5 modules"),
        ({"layers": ["conv_1"], "name": "resnet_small", "stands_in": ["conv1"] * 4 + ["layer9"]}, "no layer 'layer9'"),
        ({"layers": ["conv_1"], "pooling": "mean"}, "pooling=mean: expected max or average"),
        ({"layers": ["conv_1"], "weights": "imagnet"}, r"did you mean imagenet\?"),
        ({"layers": ["conv_1"], "weights": "nowhere.pth"}, "no such file"),
    ],
    ids=str,
)
def test_mistakes_are_explained(arguments: dict[str, Any], message: str, thin: type[VGG]) -> None:
    with pytest.raises(LabsError, match=message):
        LayerFeatures(**arguments)


def test_too_small_a_picture_is_explained() -> None:
    with pytest.raises(LabsError, match=r"squeezenet1_1 does not accept pictures of 6x6 pixels .* larger datamodule"):
        LayerFeatures(layers=["conv_5"], name="squeezenet1_1")(images(4))

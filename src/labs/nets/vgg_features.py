"""VGG as a fixed measure of what a picture shows: its convolutions, cut after the last layer that is needed.

K. Simonyan and A. Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition", 2015; for style
transfer with the changes of Gatys et al. 2016: ReLUs that leave their input alone, and average pooling by choice.
"""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from labs import LabsError
from labs.functional.normalization import IMAGENET
from labs.nets.torchvision_nets import build_net, did_you_mean

_CONVS_A_BLOCK = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}
_POOLINGS = {"max": nn.MaxPool2d, "average": nn.AvgPool2d}


class VGGFeatures(nn.Module):
    """The activations of chosen layers, frozen: the picture is what a gradient changes.

    Args:
        layers: Names of the activations, as `layer_names` lists them: `conv_4` or `conv2_2`.
        name: `vgg19` or `vgg16`.
        pooling: `max`, as VGG was trained, or `average`, as in Gatys et al.
        weights: `random`: He initialisation, normal with variance 2 / fan-in, and zero biases, so that the scale of
            the activations stays the same through all layers. Otherwise as in `build_net`: `imagenet`, a run
            directory, or a file with a state dict of torchvision's VGG.
        seed: Of the random weights.
        weights_folder: As in `build_net`.

    Raises:
        LabsError: For an unknown name, no layers, an unknown pooling, or weights that are missing or do not fit.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        *,
        layers: Sequence[str],
        name: str = "vgg19",
        pooling: str = "max",
        weights: str = "random",
        seed: int = 0,
        weights_folder: str | None = None,
    ) -> None:
        super().__init__()
        if pooling not in _POOLINGS:
            raise LabsError(f"pooling={pooling}: expected {' or '.join(_POOLINGS)}.")
        self.layers = tuple(layers)
        self.name, self.weights = name, weights
        self.places = {layer: layer_place(layer, name) for layer in layers}  # in `features`
        if not layers:
            raise LabsError("VGGFeatures needs at least one layer, found none. Type a list such as [conv_4].")
        self.features = _features(name, weights, weights_folder)[: max(self.places.values()) + 1]
        for place, layer in enumerate(self.features):
            if isinstance(layer, nn.ReLU):
                self.features[place] = nn.ReLU(inplace=False)
            elif isinstance(layer, nn.MaxPool2d):
                self.features[place] = _POOLINGS[pooling](kernel_size=2, stride=2)
        if weights == "random":
            _initialise(self.features, seed)
        for statistic in ("mean", "std"):
            values = torch.tensor(getattr(IMAGENET, statistic)).view(3, 1, 1)
            self.register_buffer(statistic, values, persistent=False)
        self.features.to(memory_format=torch.channels_last)  # pooling and bfloat16 are much faster so
        self.requires_grad_(False)
        self.eval()

    def forward(
        self, images: Tensor, visit: Mapping[str, Callable[[Tensor], Tensor]] | None = None
    ) -> dict[str, Tensor]:
        """Compute the activations.

        Args:
            images: RGB in [0, 1], (batch, 3, height, width); normalised here by ImageNet's statistics.
            visit: What is called with the activations of a layer, by its name; the net goes on with what it returns,
                as the loss layers of PyTorch's tutorial hand on what they measure. Layers that are not named are not
                returned, and the net stops after the last one. By default all of `layers`, untouched.

        Returns:
            The activations (batch, channels, height, width), by the names that were asked for, in that order.
        """
        names = self.layers if visit is None else tuple(visit)
        asked = [self.places[name] for name in names]
        activations: dict[int, Tensor] = {}
        features = (images - self.mean) / self.std
        for place, layer in enumerate(self.features[: max(asked) + 1]):
            features = layer(features)
            if place in asked:
                for name, call in (visit or {}).items():
                    features = call(features) if self.places[name] == place else features
                activations[place] = features
        return {name: activations[place] for name, place in zip(names, asked, strict=True)}

    def other_name(self, layer: str) -> str:
        """Return VGG's name of a layer, or the tutorial's if VGG's is given: `conv_4` is `conv2_2`."""
        names = layer_names(self.name)
        return names.get(layer) or next(tutorial for tutorial, vgg in names.items() if vgg == layer)


def layer_names(name: str = "vgg19") -> dict[str, str]:
    """List the layers of VGG's convolutional part: the names of PyTorch's tutorial, and VGG's own beside them.

    The tutorial counts convolutions, and a ReLU or pooling takes the number of the convolution before it: the first
    pooling is `pool_2`. VGG counts blocks, and convolutions within them.

    Raises:
        LabsError: For another net.

    Examples:
        >>> list(layer_names().items())[:6]  # doctest: +NORMALIZE_WHITESPACE
        [('conv_1', 'conv1_1'), ('relu_1', 'relu1_1'), ('conv_2', 'conv1_2'), ('relu_2', 'relu1_2'),
         ('pool_2', 'pool1'), ('conv_3', 'conv2_1')]
    """
    if name not in _CONVS_A_BLOCK:
        raise LabsError(f"net {name!r}: expected {' or '.join(_CONVS_A_BLOCK)}.")
    names: dict[str, str] = {}
    count = 0
    for block, convs in enumerate(_CONVS_A_BLOCK[name], start=1):
        for place in range(1, convs + 1):
            count += 1
            names |= {f"conv_{count}": f"conv{block}_{place}", f"relu_{count}": f"relu{block}_{place}"}
        names[f"pool_{count}"] = f"pool{block}"
    return names


def layer_place(layer: str, name: str = "vgg19") -> int:
    """Find a layer by either of its names.

    Raises:
        LabsError: There is none; the message lists them all.
    """
    names = layer_names(name)
    for known in (list(names), list(names.values())):
        if layer in known:
            return known.index(layer)
    hint = did_you_mean(layer, [*names, *names.values()])
    pairs = ", ".join(f"{tutorial} = {vgg}" for tutorial, vgg in names.items())
    raise LabsError(f"{name} has no layer {layer!r}{hint}. Its layers, by either name: {pairs}.")


def _features(name: str, weights: str, weights_folder: str | None) -> nn.Sequential:
    # Nine tenths of VGG are its linear layers; without weights to read, nobody needs their memory.
    with torch.device("meta" if weights == "random" else "cpu"):
        net = build_net(name=name, num_classes=2, weights=weights, weights_folder=weights_folder)
    features = net.get_submodule("features")
    assert isinstance(features, nn.Sequential)
    return features


def _initialise(features: nn.Sequential, seed: int) -> None:
    features.to_empty(device="cpu")
    generator = torch.Generator().manual_seed(seed)
    for layer in features:
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_in", nonlinearity="relu", generator=generator)
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)

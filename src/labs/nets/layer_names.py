"""Names of layers in style transfer: PyTorch's tutorial numbers VGG's convolutions.

Experiments use the tutorial's `conv_1` to `conv_5`, or `relu_1` to `relu_5`. In other nets than VGG, five modules from
shallow to deep take their place, the same module for a convolution and for its ReLU.
"""

from collections.abc import Sequence

_CONVS_A_BLOCK = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}
STAND_INS = 5
_RESNET = ("relu", "layer1.0", "layer1.1", "layer2.0", "layer2.1")
_STAND_INS: dict[str, Sequence[str]] = {
    # the style layers of Stanford's CS231n, and its content layer features.3
    "squeezenet1_1": ("features.1", "features.3", "features.4", "features.6", "features.7"),
    "squeezenet1_0": ("features.1", "features.3", "features.4", "features.7", "features.8"),
    "alexnet": ("features.1", "features.4", "features.7", "features.9", "features.11"),  # all its convolutions
    **dict.fromkeys(("resnet18", "resnet34", "resnet50"), _RESNET),
    "efficientnet_lite0": ("bn1", "blocks.0", "blocks.1", "blocks.2", "blocks.3"),
}


def layer_names(name: str = "vgg19") -> dict[str, str]:
    """Map the tutorial's names of VGG's convolutional layers to VGG's own names.

    The tutorial numbers the convolutions, and a ReLU or pooling has the number of the convolution before it: the first
    pooling is `pool_2`. VGG numbers the blocks, and the convolutions in a block. In torchvision the layers are
    `features.0`, `features.1` and so on.

    Args:
        name: `vgg16` or `vgg19`.

    Examples:
        >>> list(layer_names().items())[:6]  # doctest: +NORMALIZE_WHITESPACE
        [('conv_1', 'conv1_1'), ('relu_1', 'relu1_1'), ('conv_2', 'conv1_2'), ('relu_2', 'relu1_2'),
         ('pool_2', 'pool1'), ('conv_3', 'conv2_1')]
    """
    names: dict[str, str] = {}
    count = 0
    for block, convs in enumerate(_CONVS_A_BLOCK[name], start=1):
        for place in range(1, convs + 1):
            count += 1
            names |= {f"conv_{count}": f"conv{block}_{place}", f"relu_{count}": f"relu{block}_{place}"}
        names[f"pool_{count}"] = f"pool{block}"
    return names


def is_vgg(name: str) -> bool:
    """Return whether a net is a VGG, which has the tutorial's layers."""
    return name in _CONVS_A_BLOCK


def stand_ins(name: str, modules: Sequence[str] | None = None) -> dict[str, str]:
    """Return the module for each of the tutorial's layer names, or an empty dictionary if none are known.

    Args:
        name: Name of the net.
        modules: Five modules to use instead of those known here.

    Examples:
        >>> stand_ins("squeezenet1_1")["conv_4"], stand_ins("vgg19")["conv_4"]
        ('features.6', 'features.7')
    """
    if is_vgg(name) and modules is None:
        return {layer: f"features.{place}" for place, layer in enumerate(layer_names(name))}
    chosen = list(enumerate(modules or _STAND_INS.get(name, ()), start=1))
    return {f"{kind}_{count}": module for kind in ("conv", "relu") for count, module in chosen}

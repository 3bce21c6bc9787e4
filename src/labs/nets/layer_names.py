"""What the layers of a net are called in style transfer: PyTorch's tutorial counts VGG's convolutions.

Experiments name the tutorial's `conv_1` to `conv_5`. A net that is no VGG has five modules that stand in for them, from
shallow to deep.
"""

from collections.abc import Sequence

_CONVS_A_BLOCK = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}
TUTORIAL = ("conv_1", "conv_2", "conv_3", "conv_4", "conv_5")
_RESNET = ("relu", "layer1.0", "layer1.1", "layer2.0", "layer2.1")
_STAND_INS: dict[str, Sequence[str]] = {
    # the style layers of Stanford's CS231n, and its content layer features.3
    "squeezenet1_1": ("features.1", "features.3", "features.4", "features.6", "features.7"),
    "squeezenet1_0": ("features.1", "features.3", "features.4", "features.7", "features.8"),
    "alexnet": ("features.0", "features.3", "features.6", "features.8", "features.10"),  # all its convolutions
    **dict.fromkeys(("resnet18", "resnet34", "resnet50"), _RESNET),
    "efficientnet_lite0": ("bn1", "blocks.0", "blocks.1", "blocks.2", "blocks.3"),
}


def layer_names(name: str = "vgg19") -> dict[str, str]:
    """List the layers of VGG's convolutional part: the names of PyTorch's tutorial, and VGG's own beside them.

    The tutorial counts convolutions, and a ReLU or pooling takes the number of the convolution before it: the first
    pooling is `pool_2`. VGG counts blocks, and convolutions within them. In torchvision they are `features.0`,
    `features.1` and so on.

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
    """Say whether a net has the tutorial's layers themselves."""
    return name in _CONVS_A_BLOCK


def stand_ins(name: str) -> dict[str, str]:
    """Return the module that each of the tutorial's names means in a net; empty if none has been chosen.

    Examples:
        >>> stand_ins("squeezenet1_1")["conv_4"], stand_ins("vgg19")["conv_4"]
        ('features.6', 'features.7')
    """
    if is_vgg(name):
        return {layer: f"features.{place}" for place, layer in enumerate(layer_names(name))}
    return dict(zip(TUTORIAL, _STAND_INS.get(name, ())))

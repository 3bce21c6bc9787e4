"""Adapt a net that was trained with another normalization to ImageNet's normalization, which all other nets use.

The net expects (x - m') / s' for images x in [0, 1], but gets y = (x - m) / s, with ImageNet's mean m and standard
deviation s. Its first convolution is changed to make up for the difference:

    (x - m') / s' = (s / s') y + (m - m') / s'

The second term is a constant per filter, which goes into its bias or into the running mean of the batch norm after it.
Only padding changes: zeros now mean the color m instead of m'.
"""

from collections.abc import Sequence

import torch
from torch import nn

from labs.functional.normalization import IMAGENET


def fold_normalization(net: nn.Module, first_conv: str, mean: Sequence[float], std: Sequence[float]) -> bool:
    """Change the first convolution of a net so that it accepts images with ImageNet's normalization.

    Args:
        net: A net whose first convolution has a bias or is followed by batch norm.
        first_conv: Name of that convolution.
        mean: Mean that the net was trained with: red, green and blue, in [0, 1].
        std: Standard deviation that the net was trained with.

    Returns:
        Whether it worked. False, with the net unchanged, if the convolution has neither a bias nor batch norm, or does
        not have three input channels.
    """
    if (tuple(mean), tuple(std)) == (IMAGENET.mean, IMAGENET.std):
        return True
    layers = list(net.named_modules())
    place = next((n for n, (name, _) in enumerate(layers) if name == first_conv), len(layers))
    conv, behind = (layers[n][1] if n < len(layers) else None for n in (place, place + 1))
    if not isinstance(conv, nn.Conv2d) or conv.weight.shape[1] != 3:
        return False
    own, theirs = (torch.tensor(values, dtype=torch.float64) for values in ((mean, std), IMAGENET[1:]))
    weight = conv.weight.data.double()
    constant = (weight.sum((2, 3)) * ((theirs[0] - own[0]) / own[1])).sum(1)
    if conv.bias is not None:
        conv.bias.data.add_(constant)
    elif (
        isinstance(behind, nn.BatchNorm2d) and behind.running_mean is not None and len(constant) == behind.num_features
    ):
        behind.running_mean.sub_(constant)
    else:
        return False
    conv.weight.data.copy_(weight * (theirs[1] / own[1]).view(3, 1, 1))
    return True

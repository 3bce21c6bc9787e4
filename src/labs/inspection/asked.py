"""Classify pictures with a net, and compare the predictions with the classes that the pictures were made for."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from labs.runs.trained_net import TrainedNet, top_classes


def asked(net: TrainedNet, pictures: Tensor, classes: Sequence[str], at_once: int) -> tuple[Tensor, list[str]]:
    """Return the probability and the rank of each picture's class, and a caption with the prediction.

    Args:
        net: The net; pictures are resized to its input size.
        pictures: (pictures, 3, height, width) in [0, 1].
        classes: Name of the class that each picture was made for.
        at_once: Number of pictures that go through the net together.

    Returns:
        Probabilities and ranks (from 1), (2, pictures), and a caption per picture.
    """
    if pictures.shape[-1] != net.image_size:
        size = [net.image_size] * 2
        pictures = F.interpolate(pictures, size, mode="bilinear", antialias=True).clamp(0, 1)
    probs = torch.cat([net(part).softmax(1) for part in pictures.split(at_once)])
    places = [net.classes.index(name) for name in classes]
    own = probs[torch.arange(len(probs)), places]
    rank = (probs > own[:, None]).sum(1) + 1
    captions = []
    for row, prob, place in zip(probs, own.tolist(), rank.tolist(), strict=True):
        ((first, most),) = top_classes(net, row, 1)
        instead = "" if place == 1 else f"\n(predicts {first}, {in_percent(most)})"
        captions.append(f"{net.name}: {in_percent(prob)}{instead}")
    return torch.stack([own, rank.float()]), captions


def in_percent(share: float) -> str:
    """Format a probability in percent.

    Examples:
        >>> in_percent(0.99312), in_percent(0.0312), in_percent(1e-7)
        ('99 %', '3.1 %', '< 0.01 %')
    """
    percent = 100 * share
    return "< 0.01 %" if percent < 0.01 else f"{percent:.0f} %" if percent >= 10 else f"{percent:.2g} %"

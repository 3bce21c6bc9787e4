"""What a map of a net is worth: whether it depends on what the net has learned, and on what its score stands."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from labs.functional.faithfulness import (
    area,
    averaged,
    blurred,
    rank_correlation,
    ranks,
    removal_curves,
    structural_similarity,
)
from labs.inspection.random_layers import cascade
from labs.nets.eval_mode import evaluating

ALIKE = 0.5  # Spearman's correlation from which the maps of a trained and of a random net are called alike


@dataclass
class CheckedMap:
    """A map of one image with what was found out about it.

    Attributes:
        position: of the image in its data.
        label: of the image, -1 if nobody knows.
        target: the class whose score was asked about.
        probabilities: of all classes, (classes,).
        map: (height, width), 0 or more.
        random_map: the same of the net with random weights.
        shares: of the layers that were random at each stage, (stages,).
        spearman: rank correlation with the map at that stage, (stages,).
        ssim: structural similarity with it, (stages,).
        deletion: probability of the class while pixels are deleted, (points,).
        insertion: the same while they are inserted.
        random_deletion: the same as `deletion` in random order, mean of several.
        random_insertion: the same.
    """

    position: int
    label: int
    target: int
    probabilities: Tensor
    map: Tensor
    random_map: Tensor
    shares: Tensor
    spearman: Tensor
    ssim: Tensor
    deletion: Tensor
    insertion: Tensor
    random_deletion: Tensor
    random_insertion: Tensor

    @property
    def numbers(self) -> dict[str, float]:
        """What is told of the map in numbers: areas under the curves, and similarities at the end of the cascade."""
        names = ("deletion", "random_deletion", "insertion", "random_insertion")
        curves = torch.stack([getattr(self, name) for name in names])
        return {
            "confidence": float(self.probabilities[self.target]),
            "spearman": float(self.spearman[-1]),
            "ssim": float(self.ssim[-1]),
            **dict(zip(names, area(curves).tolist(), strict=True)),
        }

    @property
    def faults(self) -> list[str]:
        """Say in words what is wrong with the map; nothing if it passes."""
        numbers = self.numbers
        found = {
            "the map is the same everywhere": bool(self.map.min() == self.map.max()),
            f"random weights give much the same map (Spearman {numbers['spearman']:.2f})": numbers["spearman"] >= ALIKE,
            "deleting its pixels removes the class no faster than at random": (
                numbers["deletion"] >= numbers["random_deletion"]
            ),
        }
        return [words for words, true in found.items() if true]


def check_maps(
    net: nn.Module,
    images: Tensor,
    targets: Tensor,
    make: Callable[[nn.Module, Tensor, Tensor], Tensor],
    *,
    stages: int,
    points: int,
    orders: int,
    chunk: int,
    seed: int,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Make maps of images and check them.

    Args:
        net: maps images to logits (batch, classes); left as it was.
        images: (batch, channels, height, width), normalized.
        targets: (batch,) int64.
        make: makes maps (batch, height, width) of a net, images and classes.
        stages: of the cascade of random weights.
        points: of the curves of deletion and insertion, besides their start.
        orders: random orders of pixels that they are compared with.
        chunk: images that go through the net together.
        seed: of random weights and orders.

    Returns:
        The maps, and the fields of `CheckedMap` by their names, the images first.
    """
    maps = make(net, images, targets)
    stack: dict[str, list[Tensor]] = {"shares": [], "spearman": [], "ssim": []}
    random_maps = maps
    for share, _, forgetful in cascade(net, images[:1], stages=stages, seed=seed):
        random_maps = make(forgetful, images, targets)
        dead = random_maps.flatten(1).amax(1) == random_maps.flatten(1).amin(1)
        if dead.any():  # behind a ReLU at the end; the classes of a random head are all alike, so ask about a live one
            with torch.no_grad():
                others = forgetful(images[dead]).argmax(1)
            random_maps[dead] = make(forgetful, images[dead], others)
        stack["shares"].append(torch.full((len(images),), share))
        stack["spearman"].append(rank_correlation(maps, random_maps))
        stack["ssim"].append(structural_similarity(maps, random_maps))
    found = {name: torch.stack(values, dim=1) for name, values in stack.items()}
    background = blurred(images)

    def score(some: Tensor) -> Tensor:
        return _probabilities(net, some, targets, chunk)

    found["deletion"], found["insertion"] = removal_curves(score, images, background, ranks(averaged(maps)), points)
    draw = torch.Generator().manual_seed(seed)
    by_chance = []
    for _ in range(orders):
        places = ranks(averaged(torch.rand(1, *maps.shape[1:], generator=draw)).to(maps.device)).expand(maps.shape)
        by_chance.append(torch.stack(removal_curves(score, images, background, places, points)))
    found["random_deletion"], found["random_insertion"] = torch.stack(by_chance).mean(0)
    return maps, {**found, "random_map": random_maps}


@torch.no_grad()
def _probabilities(net: nn.Module, images: Tensor, targets: Tensor, chunk: int) -> Tensor:
    with evaluating(net):
        logits = torch.cat([net(some) for some in images.split(chunk)])
    return logits.float().softmax(dim=1).gather(1, targets[:, None])[:, 0]

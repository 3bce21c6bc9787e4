"""Check attribution maps: does a map depend on what the net has learned, and do its pixels affect the score?"""

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

ALIKE = 0.5  # Spearman correlation from which the maps of a trained and a random net count as similar


@dataclass
class CheckedMap:
    """A map of one image, with the results of its checks.

    Attributes:
        position: Position of the image in the data.
        label: True class of the image, -1 if unknown.
        target: The class that the map explains.
        probabilities: Probabilities of all classes, (classes,).
        map: (height, width), 0 or more.
        random_map: Map of the net with random weights.
        shares: Fraction of the layers that are random at each stage, (stages,).
        spearman: Rank correlation with the map at each stage, (stages,).
        ssim: Structural similarity with the map at each stage, (stages,).
        deletion: Probability of the class while pixels are deleted, (points,).
        insertion: Probability of the class while pixels are inserted, (points,).
        random_deletion: As `deletion`, in random order, averaged over several orders.
        random_insertion: As `insertion`, in random order.
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
        """Metrics of the map: areas under the curves, and similarities at the end of the cascade."""
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
        """Checks that the map fails, in words; empty if it passes."""
        numbers = self.numbers
        found = {
            "the map is constant": bool(self.map.min() == self.map.max()),
            f"random weights give a similar map (Spearman {numbers['spearman']:.2f})": numbers["spearman"] >= ALIKE,
            "deleting its pixels removes the class no faster than random deletion": (
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
    """Compute maps of images and check them.

    Args:
        net: Maps images to logits (batch, classes). It does not change.
        images: (batch, channels, height, width), normalized.
        targets: (batch,) int64.
        make: Computes maps (batch, height, width) from a net, images and classes.
        stages: Number of stages of the cascading randomization.
        points: Number of points of the deletion and insertion curves, besides the first.
        orders: Number of random pixel orders to compare with.
        chunk: Number of images that go through the net together.
        seed: Seed of the random weights and orders.

    Returns:
        The maps, and the fields of `CheckedMap` by name, with the images on the first axis.
    """
    maps = make(net, images, targets)
    stack: dict[str, list[Tensor]] = {"shares": [], "spearman": [], "ssim": []}
    random_maps = maps
    for share, _, forgetful in cascade(net, images[:1], stages=stages, seed=seed):
        random_maps = make(forgetful, images, targets)
        dead = random_maps.flatten(1).amax(1) == random_maps.flatten(1).amin(1)
        if dead.any():  # the score is zero after a final ReLU; any class of a random head will do, so use a live one
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

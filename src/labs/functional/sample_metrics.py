"""How good a set of generated images is, beside a set of real ones: pure functions of features, labels and pixels."""

import warnings
from functools import partial

import torch
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.kid import KernelInceptionDistance

from labs import LabsError

CHUNK = 2000  # rows whose distances are held at once
SUBSETS, SUBSET = 20, 1000  # of KID: how many, and images in one at most
COVERED = (3, 10)  # of a class's share among the real images: three of a hundred where ten classes share alike


def coverage(fake: Tensor, real: Tensor) -> int:
    """Count the classes that are generated at all: those with at least 0.3 times their share among the real images.

    Args:
        fake: generated images of each class, (classes,).
        real: real images of each class, (classes,).

    Examples:
        >>> coverage(torch.tensor([50, 49, 1]), torch.tensor([10, 10, 10]))
        2
    """
    share, whole = COVERED  # whole numbers, whose products are exact
    return int((whole * fake * real.sum() >= share * real * fake.sum()).logical_and(fake > 0).sum())


def histogram_distance(fake: Tensor, real: Tensor) -> float:
    """Return the total variation distance between two histograms of classes: 0 for the same shares, 1 for others.

    Examples:
        >>> histogram_distance(torch.tensor([1, 0]), torch.tensor([5, 5]))
        0.5
    """
    return float((fake / fake.sum() - real / real.sum()).abs().sum() / 2)


class _Features(nn.Identity):
    """Tell torchmetrics that what it is given are features already."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features


def frechet_distance(fake: Tensor, real: Tensor) -> float:
    """Return the Fréchet distance of two normal distributions fitted to features (Heusel et al. 2017, equation 6).

    With n images it is biased by about 1/n: compare only numbers of the same n and the same net.

    Args:
        fake: features of generated images, (images, features), more images than features.
        real: features of real images, the same.
    """
    metric = FrechetInceptionDistance(feature=_Features(fake.shape[1]), sync_on_compute=False)
    metric.update(fake, real=False)
    metric.update(real, real=True)
    return float(metric.compute())


def kernel_distance(fake: Tensor, real: Tensor) -> float:
    """Return the squared maximum mean discrepancy under a cubic kernel (Binkowski et al. 2018), unbiased in n.

    It draws subsets with torch's global generator: fork and seed that around the call.

    Args:
        fake: features of generated images, (images, features).
        real: features of real images, the same.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that it keeps all features, which are small here
        size = min(SUBSET, len(fake), len(real))
        subsets = 1 if size == len(fake) == len(real) else SUBSETS  # the whole sets: every draw would be the same
        metric = KernelInceptionDistance(
            feature=_Features(fake.shape[1]), subsets=subsets, subset_size=size, sync_on_compute=False
        )
    metric.update(fake, real=False)
    metric.update(real, real=True)
    return float(metric.compute()[0])


def precision_recall(fake: Tensor, real: Tensor, neighbours: int = 3) -> tuple[float, float]:
    """Measure how much of the generated set is like real images, and how much of the real set can be generated.

    A set's manifold is the union of balls around its points, each reaching to the point's k-th neighbour; precision is
    the share of generated points in the real manifold, recall the share of real points in the generated one
    (Kynkäänniemi et al. 2019, "Improved precision and recall metric for assessing generative models", equation 1).

    Args:
        fake: features of generated images, (images, features).
        real: features of real images, (images, features).
        neighbours: k.

    Returns:
        Precision and recall in [0, 1].

    Raises:
        LabsError: a set has no more than k points.
    """
    if not 0 < neighbours < min(len(fake), len(real)):
        raise LabsError(
            f"callbacks.quality.neighbours={neighbours}: expected 1 to {min(len(fake), len(real)) - 1}, fewer than the "
            "images that are compared."
        )
    return _inside(fake, real, neighbours), _inside(real, fake, neighbours)


def nearest(points: Tensor, others: Tensor) -> tuple[Tensor, Tensor]:
    """Return Euclidean distance and place of the nearest of `others` to each of `points`, both (count, features)."""
    distances, places = zip(*(torch.cdist(some, others).min(1) for some in points.split(CHUNK // 4)), strict=True)
    return torch.cat(distances), torch.cat(places)


def _inside(points: Tensor, manifold: Tensor, neighbours: int) -> float:
    """Return the share of points that lie in at least one ball of the manifold."""
    # a point is its own nearest neighbour, hence one more; computed without matrix products, whose rounding
    # would give a point a distance from itself
    distances = partial(torch.cdist, compute_mode="donot_use_mm_for_euclid_dist")
    radii = torch.cat([distances(some, manifold).kthvalue(neighbours + 1).values for some in manifold.split(CHUNK)])
    inside = [(distances(some, manifold) <= radii).any(1) for some in points.split(CHUNK)]
    return float(torch.cat(inside).float().mean())

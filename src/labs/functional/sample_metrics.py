"""Quality metrics of generated images compared with real ones, from features, labels and pixels."""

import warnings
from functools import partial

import torch
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.kid import KernelInceptionDistance

from labs import LabsError

CHUNK = 2000  # rows whose distances are computed together
SUBSETS, SUBSET = 20, 1000  # for KID: number of subsets, and largest number of images in each
COVERED = (3, 10)  # 3/10 of a class's share of the real images: 3 % for ten classes of equal size


def coverage(fake: Tensor, real: Tensor) -> int:
    """Count the classes that are generated: those with at least 0.3 times their share of the real images.

    Args:
        fake: Number of generated images per class, (classes,).
        real: Number of real images per class, (classes,).

    Examples:
        >>> coverage(torch.tensor([50, 49, 1]), torch.tensor([10, 10, 10]))
        2
    """
    share, whole = COVERED  # integers, whose products are exact
    return int((whole * fake * real.sum() >= share * real * fake.sum()).logical_and(fake > 0).sum())


def histogram_distance(fake: Tensor, real: Tensor) -> float:
    """Return the total variation distance of two class histograms: 0 for equal shares, 1 if no class is in both.

    Examples:
        >>> histogram_distance(torch.tensor([1, 0]), torch.tensor([5, 5]))
        0.5
    """
    return float((fake / fake.sum() - real / real.sum()).abs().sum() / 2)


class _Features(nn.Identity):
    """An identity that tells torchmetrics that its input already consists of features."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features


def frechet_distance(fake: Tensor, real: Tensor) -> float:
    """Return the Fréchet distance of two normal distributions fitted to features (Heusel et al. 2017, equation 6).

    With n images its bias is about 1/n, so compare only values with the same n and the same net.

    Args:
        fake: Features of generated images, (images, features), with more images than features.
        real: Features of real images, in the same form.
    """
    metric = FrechetInceptionDistance(feature=_Features(fake.shape[1]), sync_on_compute=False)
    metric.update(fake, real=False)
    metric.update(real, real=True)
    return float(metric.compute())


def kernel_distance(fake: Tensor, real: Tensor) -> float:
    """Return the squared maximum mean discrepancy under a cubic kernel (Binkowski et al. 2018), unbiased in n.

    It draws subsets with torch's global generator, which callers should fork and seed.

    Args:
        fake: Features of generated images, (images, features).
        real: Features of real images, in the same form.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # it keeps all features, which are small here
        size = min(SUBSET, len(fake), len(real))
        subsets = 1 if size == len(fake) == len(real) else SUBSETS  # with the whole sets, all draws would be equal
        metric = KernelInceptionDistance(
            feature=_Features(fake.shape[1]), subsets=subsets, subset_size=size, sync_on_compute=False
        )
    metric.update(fake, real=False)
    metric.update(real, real=True)
    return float(metric.compute()[0])


def precision_recall(fake: Tensor, real: Tensor, neighbours: int = 3) -> tuple[float, float]:
    """Return the precision and recall of generated images.

    The manifold of a set is the union of balls around its points, each with the distance to the k-th nearest neighbor
    as radius. Precision is the share of generated points in the real manifold, recall the share of real points in the
    generated manifold (Kynkäänniemi et al. 2019, "Improved precision and recall metric for assessing generative
    models", equation 1).

    Args:
        fake: Features of generated images, (images, features).
        real: Features of real images, (images, features).
        neighbours: k.

    Returns:
        Precision and recall in [0, 1].

    Raises:
        LabsError: If a set does not have more than k points.
    """
    if not 0 < neighbours < min(len(fake), len(real)):
        raise LabsError(
            f"callbacks.quality.neighbours={neighbours}: expected 1 to {min(len(fake), len(real)) - 1}, fewer than the "
            "number of compared images."
        )
    return _inside(fake, real, neighbours), _inside(real, fake, neighbours)


def nearest(points: Tensor, others: Tensor) -> tuple[Tensor, Tensor]:
    """Return the Euclidean distance and the index of the nearest of `others` for each of `points` (count, features)."""
    distances, places = zip(*(torch.cdist(some, others).min(1) for some in points.split(CHUNK // 4)), strict=True)
    return torch.cat(distances), torch.cat(places)


def _inside(points: Tensor, manifold: Tensor, neighbours: int) -> float:
    """Return the share of points in at least one ball of the manifold."""
    # A point is its own nearest neighbor, hence the + 1. Distances are computed without matrix products, because their
    # rounding errors would give a point a distance from itself.
    distances = partial(torch.cdist, compute_mode="donot_use_mm_for_euclid_dist")
    radii = torch.cat([distances(some, manifold).kthvalue(neighbours + 1).values for some in manifold.split(CHUNK)])
    inside = [(distances(some, manifold) <= radii).any(1) for some in points.split(CHUNK)]
    return float(torch.cat(inside).float().mean())

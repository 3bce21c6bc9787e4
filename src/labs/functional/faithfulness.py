"""Faithfulness of attribution maps: deletion and insertion curves, and the similarity of two maps.

Deletion and insertion follow V. Petsiuk et al., "RISE: Randomized Input Sampling for Explanation of Black-box Models",
BMVC 2018: pixels are removed or inserted from the highest value of the map to the lowest. A missing pixel shows a
blurred copy of the image, which is more like a photograph than a single color. Maps are first averaged over squares of
five pixels, because the gradient of a net with strides varies from pixel to pixel. Random orders are averaged, too.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from scipy.stats import rankdata
from torch import Tensor
from torchmetrics.functional.image import structural_similarity_index_measure
from torchvision.transforms.v2.functional import gaussian_blur

BLUR = 10.0  # standard deviation in pixels, for an image of 224 pixels
WINDOW = 5  # side of the averaging square in pixels, for an image of 224 pixels


def averaged(maps: Tensor) -> Tensor:
    """Return maps (batch, height, width) in which each pixel is the mean over its neighborhood."""
    reach = round(WINDOW * min(maps.shape[-2:]) / 224) // 2
    return F.avg_pool2d(maps[:, None], 2 * reach + 1, 1, reach, count_include_pad=False)[:, 0]


def ranks(maps: Tensor) -> Tensor:
    """Return the rank of each pixel of maps (batch, height, width), from the highest value (0) to the lowest.

    Examples:
        >>> ranks(torch.tensor([[[0.1, 0.9], [0.5, 0.2]]])).tolist()
        [[[3, 0], [1, 2]]]
    """
    order = maps.flatten(1).argsort(dim=1, descending=True, stable=True)
    places = torch.empty_like(order)
    places.scatter_(1, order, torch.arange(order.shape[1], device=maps.device).expand_as(order))
    return places.view_as(maps)


def removal_curves(
    score: Callable[[Tensor], Tensor], images: Tensor, background: Tensor, places: Tensor, steps: int
) -> tuple[Tensor, Tensor]:
    """Return the scores while pixels are deleted, and while they are inserted.

    Args:
        score: Returns scores (batch,) for images (batch, channels, height, width).
        images: The original images.
        background: Replacement for missing pixels, of the same shape.
        places: Rank of each pixel, (batch, height, width), as returned by `ranks`.
        steps: Number of steps, each with the same number of pixels.

    Returns:
        The curves of deletion and of insertion, (batch, steps + 1) each.
    """
    pixels = places[0].numel()
    deletion, insertion = [], []
    for step in range(steps + 1):
        first = (places < round(step / steps * pixels))[:, None]
        deletion.append(score(torch.where(first, background, images)))
        insertion.append(score(torch.where(first, images, background)))
    return torch.stack(deletion, dim=1), torch.stack(insertion, dim=1)


def area(curves: Tensor) -> Tensor:
    """Return the area under curves (batch, points) over [0, 1].

    Examples:
        >>> area(torch.tensor([[1.0, 0.5, 0.0]])).tolist()
        [0.5]
    """
    return torch.trapezoid(curves, dx=1 / (curves.shape[1] - 1), dim=1)


def blurred(images: Tensor) -> Tensor:
    """Blur images (batch, channels, height, width) with a Gaussian; edges are mirrored."""
    smaller = min(images.shape[-2:])
    sigma = BLUR * smaller / 224
    radius = min(int(3 * sigma) + 1, smaller - 1)
    result: Tensor = gaussian_blur(images, [2 * radius + 1] * 2, [sigma] * 2)
    return result


def rank_correlation(maps: Tensor, others: Tensor) -> Tensor:
    """Return Spearman's correlation of each map (batch, height, width) with another, (batch,); 0 if one is constant.

    Examples:
        >>> maps = torch.tensor([[[1.0, 2.0, 3.0]]])
        >>> rank_correlation(maps, maps.square()).round(decimals=6).tolist()
        [1.0]
    """
    placed = [torch.from_numpy(rankdata(values.flatten(1).cpu().double().numpy(), axis=1)) for values in (maps, others)]
    first, second = (values - values.mean(1, keepdim=True) for values in placed)
    return (first * second).sum(1) / (first.norm(dim=1) * second.norm(dim=1)).clamp(min=1e-12)


def structural_similarity(maps: Tensor, others: Tensor) -> Tensor:
    """Return the SSIM (Z. Wang et al. 2004) of each map (batch, height, width) with another, each scaled to [0, 1]."""
    shown = [scaled(values)[:, None].float() for values in (maps, others)]
    kernel = min(11, (min(maps.shape[-2:]) // 2) * 2 - 1)
    result = structural_similarity_index_measure(
        shown[0], shown[1], data_range=1.0, reduction="none", gaussian_kernel=False, kernel_size=max(kernel, 1)
    )
    assert isinstance(result, Tensor)
    return result.reshape(-1)


def scaled(maps: Tensor, share: float = 0.99) -> Tensor:
    """Scale nonnegative maps (batch, height, width) so that a given fraction of the pixels is below 1.

    The other pixels are clamped to 1; otherwise a single pixel with a huge value would make all others dark.
    """
    top = torch.stack([values.flatten().float().quantile(share) for values in maps.float()])
    top = torch.where(top > 0, top, maps.float().flatten(1).amax(1)).clamp(min=1e-30)
    return (maps.float() / top[:, None, None]).clamp(0, 1)

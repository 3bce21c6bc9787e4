"""Images defined by their spectrum: magnitudes and colors of photographs, and free phases."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

FLAT = 1e-9  # added to the variance of colors, which is zero for gray images


class Spectrum(NamedTuple):
    """Common statistics of images: the magnitude of each frequency, and the covariance of colors.

    A pixel is `mean + colors @ z`, where the three components of z are uncorrelated and have variance 1.
    """

    magnitude: Tensor  # (3, size, size // 2 + 1): root mean square of the orthonormal Fourier transform of each z
    mean: Tensor  # (3,) of pixels in [0, 1]
    colors: Tensor  # (3, 3): the symmetric root of the covariance of a pixel's channels


def measure(pixels: np.ndarray, chunk: int = 64) -> Spectrum:
    """Measure the spectrum of images and their mirror images.

    Args:
        pixels: uint8 (images, 3, size, size).
        chunk: Number of images read at a time.
    """
    count, _, size, _ = pixels.shape
    total, products = torch.zeros(3, dtype=torch.float64), torch.zeros(3, 3, dtype=torch.float64)
    parts = [pixels[start : start + chunk] for start in range(0, count, chunk)]
    for part in parts:
        values = _in_range(part).transpose(0, 1).flatten(1)
        total += values.sum(1)
        products += values @ values.T
    mean = total / (count * size * size)
    covariance = products / (count * size * size) - mean[:, None] * mean[None]
    variances, axes = torch.linalg.eigh(covariance + FLAT * torch.eye(3, dtype=torch.float64))
    colors = axes @ variances.clamp(min=FLAT).sqrt().diag() @ axes.T
    power = torch.zeros(3, size, size // 2 + 1, dtype=torch.float64)
    for part in parts:
        plain = torch.einsum("ij,bjhw->bihw", torch.linalg.inv(colors), _in_range(part) - mean[:, None, None])
        for images in (plain, plain.flip(-1)):
            power += torch.fft.rfft2(images, norm="ortho").abs().square().sum(0)
    return Spectrum((power / (2 * count)).sqrt().float(), mean.float(), colors.float())


def magnitude_at(magnitude: Tensor, size: int) -> Tensor:
    """Sample a magnitude (3, s, s // 2 + 1) at the frequencies of images of another size, (3, size, size // 2 + 1).

    Frequencies are in cycles per pixel. The magnitude at frequency 0 is 0, because the colors determine the mean.
    """
    side = magnitude.shape[1]
    magnitude = magnitude.clone()
    magnitude[:, 0, 0] = magnitude[:, [0, 1, -1], [1, 0, 0]].mean(1)  # the mean of its neighbors, to sample between
    wide = torch.fft.fftshift(magnitude, dim=1)
    wide = torch.cat([wide, wide[:, :1]], dim=1)  # the first and the last row have the same frequency
    down = torch.fft.fftfreq(size)
    across = torch.fft.rfftfreq(size)
    rows = (down * side + side // 2) / side  # from 0 (first row) to 1 (last row)
    columns = (across * side) / (magnitude.shape[2] - 1)
    grid = torch.stack(torch.meshgrid(2 * columns - 1, 2 * rows - 1, indexing="xy"), dim=-1)
    sampled = F.grid_sample(wide[None], grid[None], mode="bilinear", padding_mode="border", align_corners=True)[0]
    sampled[:, 0, 0] = 0
    return sampled


def image_of(phase: Tensor, magnitude: Tensor, size: int) -> Tensor:
    """Return the real z (..., 3, size, size) of phases (..., 3, size, size // 2 + 1) in radians.

    In the first column, and the last one for an even size, the phases contain each frequency and its opposite. There
    the difference of both is used: in a real image they are opposite, and thus no magnitude is lost.
    """
    both = [0] if size % 2 else [0, -1]
    columns = phase[..., both]
    opposite = columns.flip(-2).roll(1, dims=-2)
    odd = columns - opposite
    phase = torch.cat([odd[..., :1], phase[..., 1:-1] if len(both) == 2 else phase[..., 1:], odd[..., 1:]], dim=-1)
    return torch.fft.irfft2(torch.polar(magnitude.expand_as(phase), phase), s=(size, size), norm="ortho")


def colored(plain: Tensor, mean: Tensor, colors: Tensor) -> Tensor:
    """Return pixels (batch, 3, height, width) from uncorrelated channels z: `mean + colors @ z`."""
    return torch.einsum("ij,bjhw->bihw", colors, plain) + mean[:, None, None]


def squashed(pixels: Tensor) -> Tensor:
    """Map pixels into (0, 1) by a sigmoid that changes values near 0.5 little.

    Examples:
        >>> squashed(torch.tensor([0.4, 0.5, 2.0])).tolist()
        [0.4013..., 0.5, 0.9975...]
    """
    return torch.sigmoid(4 * (pixels - 0.5))


def crops(images: Tensor, sides: Sequence[float], centers: Tensor, lengths: Tensor, size: int) -> Tensor:
    """Take square crops of images and resize them bilinearly; each crop is inside its image.

    Args:
        images: (batch, channels, side, side).
        sides: Smallest and largest side of a crop, as fractions of the image.
        centers: (crops, 2) in [0, 1]: position from left to right and from top to bottom within the possible range.
        lengths: (crops,) in [0, 1]: from the smallest side to the largest.
        size: Side of the result, in pixels.

    Returns:
        (crops * batch, channels, size, size), grouped by crop.
    """
    shares = sides[0] + (sides[1] - sides[0]) * lengths
    places = (1 - shares)[:, None] * (2 * centers - 1)
    zero = torch.zeros_like(shares)
    rows = [torch.stack([shares, zero, places[:, 0]], 1), torch.stack([zero, shares, places[:, 1]], 1)]
    theta = torch.stack(rows, dim=1).to(images)
    batch, channels = images.shape[:2]
    parts = []
    for one in theta:
        grid = F.affine_grid(one.expand(batch, 2, 3), [batch, channels, size, size], align_corners=False)
        parts.append(F.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False))
    return torch.cat(parts)


def _in_range(pixels: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(pixels)).double() / 255

"""The losses of neural style transfer, total variation, and the two ways to keep the colours of the content.

L. Gatys, A. Ecker and M. Bethge, "Image Style Transfer Using Convolutional Neural Networks", CVPR 2016, describe the
style of a picture by the Gram matrices of its features. With the N channels and M positions (height * width) of a
layer, features F (generated) and P (content) of shape N x M, and Gram matrices G (generated) and A (style):

    convention   content                 style
    gatys        1/2 sum (F - P)^2       1/(4 N^2 M^2) sum (G - A)^2         equations 1 and 4 of the paper
    tutorial     mean (F - P)^2          mean (G/(N M) - A/(N M))^2          the tutorial of PyTorch

so that tutorial content = 2/(N M) gatys, and tutorial style = 4/N^2 gatys: the tutorial damps a layer of 512 channels
64 times as much as one of 64.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from labs.errors import LabsError

CONVENTIONS = ("tutorial", "gatys")
LUMINANCE = (0.299, 0.587, 0.114)  # Y of YIQ, ITU-R BT.601


def gram(features: Tensor) -> Tensor:
    """Multiply each pair of channels and sum over the positions, without a normalisation.

    Equation 3 of Gatys et al. 2016, with the positions in the two dimensions of a picture. The product is taken in
    full float32 whatever the dtype of the features, under autocast, and where TensorFloat-32 is switched on: the loss
    is a small difference of large sums. Only its gradient follows the TensorFloat-32 setting.

    Args:
        features: Activations of a layer, (batch, channels, height, width).

    Returns:
        Symmetric float32 matrices (batch, channels, channels).

    Examples:
        >>> gram(torch.tensor([[[[1.0, 2.0]], [[0.0, 3.0]]]])).tolist()
        [[[5.0, 6.0], [6.0, 9.0]]]
    """
    with _full_precision(features.device):
        flat = features.float().flatten(2)
        return flat @ flat.mT


def content_loss(features: Tensor, target: Tensor, *, convention: str = "tutorial") -> Tensor:
    """Compare features with those of the content, picture by picture.

    Args:
        features: Activations of the generated pictures, (batch, channels, height, width).
        target: Those of the content, of the same shape.
        convention: `tutorial`: the mean of the squares. `gatys`: half of their sum, equation 1.

    Returns:
        One float32 loss a picture, (batch,).

    Raises:
        LabsError: For an unknown convention.

    Examples:
        >>> content_loss(torch.full((1, 2, 2, 2), 3.0), torch.zeros(1, 2, 2, 2))
        tensor([9.])
    """
    _check(convention)
    squares = (features.float() - target.float()).square().flatten(1)
    return squares.mean(1) if convention == "tutorial" else squares.sum(1) / 2


def style_loss(features: Tensor, target: Tensor, *, convention: str = "tutorial") -> Tensor:
    """Compare the Gram matrices of features with those of the style, picture by picture.

    Both conventions divide a Gram matrix by N M, as the generated picture has them, before they take squares; so large
    pictures do not overflow, and the style picture must be as large as the generated one.

    Args:
        features: Activations of the generated pictures, (batch, channels, height, width).
        target: `gram` of the activations of the style, (batch, channels, channels), or (1, channels, channels).
        convention: `tutorial`: the mean of the squares. `gatys`: a quarter of their sum, equation 4.

    Returns:
        One float32 loss a picture, (batch,).

    Raises:
        LabsError: For an unknown convention.

    Examples:
        >>> features = torch.ones(1, 4, 1, 1)
        >>> style_loss(features, torch.zeros(1, 4, 4)), style_loss(features, torch.zeros(1, 4, 4), convention="gatys")
        (tensor([0.0625]), tensor([0.2500]))
    """
    _check(convention)
    size = features[0].numel()
    squares = ((gram(features) - target.float()) / size).square().flatten(1)
    return squares.mean(1) if convention == "tutorial" else squares.sum(1) / 4


def total_variation(images: Tensor) -> Tensor:
    """Sum the absolute differences between neighbours, down and right: noise has much of it, flat areas none.

    The anisotropic form of Rudin, Osher and Fatemi 1992. As a sum it grows with the picture.

    Args:
        images: In [0, 1], (batch, channels, height, width).

    Returns:
        One number a picture, (batch,).

    Examples:
        >>> total_variation(torch.tensor([[[[0.0, 1.0], [0.0, 0.5]]]]))
        tensor([2.])
    """
    return images.diff(dim=-2).abs().sum((1, 2, 3)) + images.diff(dim=-1).abs().sum((1, 2, 3))


def keep_luminance_of(generated: Tensor, *, colours_of: Tensor) -> Tensor:
    """Give the colours of one picture the luminance of another: Y of the generated one, I and Q of the content.

    "Luminance-only transfer" of L. Gatys, M. Bethge, A. Hertzmann and E. Shechtman, "Preserving Color in Neural
    Artistic Style Transfer", 2016 (arXiv:1606.05897). One number added to red, green and blue alike changes Y by that
    number and leaves I and Q alone, so no change of basis is needed.

    Args:
        generated: RGB in [0, 1], (batch, 3, height, width).
        colours_of: The content, of the same shape and range.

    Returns:
        RGB of the same shape. Where a colour cannot be so bright or so dark it leaves [0, 1]: clamp it to show it.

    Examples:
        >>> red, white = torch.tensor([0.5, 0.1, 0.1]).view(1, 3, 1, 1), torch.full((1, 3, 1, 1), 0.5)
        >>> keep_luminance_of(white, colours_of=red).flatten()
        tensor([0.7804, 0.3804, 0.3804])
    """
    weights = torch.tensor(LUMINANCE, dtype=generated.dtype, device=generated.device).view(3, 1, 1)
    return colours_of + ((generated - colours_of) * weights).sum(1, keepdim=True)


def match_colours(images: Tensor, *, to: Tensor) -> Tensor:
    """Move the colours of pictures so that their mean and covariance are those of other pictures.

    "Color histogram matching" of the same paper (arXiv:1606.05897), applied to the style before the transfer:
    x -> A (x - mean of x) + mean of `to`, with the symmetric roots A = C_to^(1/2) C_x^(-1/2) ("Image Analogies");
    unlike Cholesky's, they do not depend on the order of the channels.

    Args:
        images: RGB in [0, 1], (batch, 3, height, width).
        to: The pictures with the wanted colours, RGB in [0, 1], (batch, 3, any height, any width).

    Returns:
        RGB of the shape of `images`; it can leave [0, 1]: clamp it to show it. A direction in which `images` do not
        vary, such as the hue of a grey picture, cannot be stretched and stays flat.

    Examples:
        >>> wide, narrow = torch.rand(1, 3, 9, 9), 0.4 + 0.2 * torch.rand(1, 3, 5, 5)
        >>> torch.allclose(match_colours(wide, to=narrow).mean((2, 3)), narrow.mean((2, 3)))
        True
    """
    with _full_precision(images.device):
        pixels, mean, covariance = _colours(images)
        _, mean_to, covariance_to = _colours(to)
        transform = _power(covariance_to, 0.5) @ _power(covariance, -0.5)
        return (transform @ (pixels - mean) + mean_to).view_as(images)


def _colours(images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    pixels = images.flatten(2)
    mean = pixels.mean(2, keepdim=True)
    return pixels, mean, (pixels - mean) @ (pixels - mean).mT / pixels.shape[2]


def _power(covariance: Tensor, exponent: float) -> Tensor:
    values, vectors = torch.linalg.eigh(covariance)
    varies = values > 1e-6 * values[:, -1:]  # anything smaller is rounding of float32, or below zero
    powers = torch.where(varies, values, 1).pow(exponent) * varies
    return vectors * powers[:, None, :] @ vectors.mT


def _check(convention: str) -> None:
    if convention not in CONVENTIONS:
        raise LabsError(f"style convention {convention!r}: expected {' or '.join(CONVENTIONS)}.")


@contextmanager
def _full_precision(device: torch.device) -> Iterator[None]:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with torch.autocast(device.type, enabled=False):
            yield
    finally:
        torch.set_float32_matmul_precision(before)

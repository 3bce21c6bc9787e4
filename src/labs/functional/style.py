"""The losses of neural style transfer, total variation, and the two ways to keep the colors of the content.

L. Gatys, A. Ecker and M. Bethge, "Image Style Transfer Using Convolutional Neural Networks", CVPR 2016, describe the
style of a picture by the Gram matrices of its features. With the N channels and M positions (height * width) of a
layer, features F (generated) and P (content) of shape N x M, and Gram matrices G (generated) and A (style):

    convention   content                 style
    gatys        1/2 sum (F - P)^2       1/(4 N^2 M^2) sum (G - A)^2         equations 1 and 4 of the paper
    tutorial     mean (F - P)^2          mean (G/(N M) - A/(N M))^2          the tutorial of PyTorch
    handout_004  mean (F - P)^2          mean (G - A)^2                      as hand-out 004 writes them

so that tutorial content = 2/(N M) gatys, tutorial style = 4/N^2 gatys, and hand-out style = (N M)^2 tutorial: the
tutorial damps a layer of 512 channels 64 times as much as one of 64, the hand-out no layer at all.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from labs import LabsError

CONVENTIONS = ("tutorial", "gatys", "handout_004")
EIGHT_BITS = 1 / 12 / 255**2  # the variance of what rounding to 8 bits adds
LUMINANCE = (0.299, 0.587, 0.114)  # Y of YIQ, ITU-R BT.601


def gram(features: Tensor) -> Tensor:
    """Multiply each pair of channels and sum over the positions, without a normalization.

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
        flat = _flat(features.float())
        return flat @ flat.mT


def content_loss(features: Tensor, target: Tensor, *, convention: str = "tutorial") -> Tensor:
    """Compare features with those of the content, picture by picture.

    Args:
        features: Activations of the generated pictures, (batch, channels, height, width).
        target: Those of the content, of the same shape.
        convention: `tutorial` and `handout_004`: the mean of the squares. `gatys`: half of their sum, equation 1.

    Returns:
        One float32 loss a picture, (batch,).

    Raises:
        LabsError: For an unknown convention.

    Examples:
        >>> content_loss(torch.full((1, 2, 2, 2), 3.0), torch.zeros(1, 2, 2, 2))
        tensor([9.])
    """
    _check(convention)
    squares = (features.float() - target.float()).square()
    return squares.sum((1, 2, 3)) / 2 if convention == "gatys" else squares.mean((1, 2, 3))


def style_loss(features: Tensor, target: Tensor, *, convention: str = "tutorial") -> Tensor:
    """Compare the Gram matrices of features with those of the style, picture by picture.

    `tutorial` and `gatys` divide a Gram matrix by N M, as the generated picture has them, before they take squares; so
    large pictures do not overflow, and the style picture must be as large as the generated one.

    Args:
        features: Activations of the generated pictures, (batch, channels, height, width).
        target: `gram` of the activations of the style, (batch, channels, channels), or (1, channels, channels).
        convention: `tutorial`: the mean of the squares. `gatys`: a quarter of their sum, equation 4. `handout_004`:
            the mean, of Gram matrices that nothing divides.

    Returns:
        One float32 loss a picture, (batch,).

    Raises:
        LabsError: For an unknown convention.

    Examples:
        >>> features = torch.ones(1, 4, 1, 1)
        >>> style_loss(features, torch.zeros(1, 4, 4)), style_loss(features, torch.zeros(1, 4, 4), convention="gatys")
        (tensor([0.0625]), tensor([0.2500]))
    """
    divisor, factor = _constants(features, convention)
    return ((gram(features) - target.float()) / divisor).square().sum((1, 2)) * factor


def pass_style_loss(features: Tensor, target: Tensor, *, convention: str = "tutorial") -> tuple[Tensor, Tensor]:
    """Hand features on to the next layer, with the `style_loss` measured on the way.

    The same numbers for less work: by equation 6 of the paper the gradient is one product (G - A) F, where automatic
    differentiation of G = F F' takes two, and it is added to what later layers send back in the same call. What is
    handed over is what `style_loss` takes.

    Returns:
        The features, to go on with, and one float32 loss a picture, (batch,). They can be differentiated once.

    Raises:
        LabsError: For an unknown convention.
    """
    passed, losses = _PassStyleLoss.apply(features, target, *_constants(features, convention))
    return passed, losses


class _PassStyleLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: FunctionCtx, features: Tensor, target: Tensor, divisor: float, factor: float
    ) -> tuple[Tensor, Tensor]:
        difference = (gram(features) - target.float()) / divisor
        ctx.save_for_backward(features, difference * (4 * factor / divisor))
        return features.view_as(features), difference.square().sum((1, 2)) * factor

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, after: Tensor, of_losses: Tensor) -> tuple[Tensor, None, None, None]:
        features, difference = ctx.saved_tensors  # type: ignore[attr-defined]
        flat, product = _flat(features), (difference * of_losses[:, None, None]).to(features.dtype)
        if flat.is_contiguous():
            gradient = torch.baddbmm(after.flatten(2), product, flat).view_as(features)
        else:  # channels last; the product is symmetric, and its transpose comes out in the order of the features
            batch, channels, height, width = features.shape
            transposed = torch.baddbmm(_flat(after).mT, flat.mT, product)
            gradient = transposed.view(batch, height, width, channels).permute(0, 3, 1, 2)
        return gradient, None, None, None


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


def luminance(images: Tensor) -> Tensor:
    """Make pictures gray: Y of YIQ in all three channels.

    Examples:
        >>> luminance(torch.tensor([1.0, 0.0, 0.0]).view(1, 3, 1, 1)).flatten()
        tensor([0.2990, 0.2990, 0.2990])
    """
    weights = torch.tensor(LUMINANCE, dtype=images.dtype, device=images.device).view(3, 1, 1)
    return (images * weights).sum(1, keepdim=True).expand_as(images)


def keep_luminance_of(generated: Tensor, *, colors_of: Tensor) -> Tensor:
    """Give the colors of one picture the luminance of another: Y of the generated one, I and Q of the content.

    "Luminance-only transfer" of L. Gatys, M. Bethge, A. Hertzmann and E. Shechtman, "Preserving Color in Neural
    Artistic Style Transfer", 2016 (arXiv:1606.05897). One number added to red, green and blue alike changes Y by that
    number and leaves I and Q alone, so no change of basis is needed.

    Args:
        generated: RGB in [0, 1], (batch, 3, height, width).
        colors_of: The content, of the same shape and range.

    Returns:
        RGB of the same shape. Where a color cannot be so bright or so dark it leaves [0, 1]: clamp it to show it.

    Examples:
        >>> red, white = torch.tensor([0.5, 0.1, 0.1]).view(1, 3, 1, 1), torch.full((1, 3, 1, 1), 0.5)
        >>> keep_luminance_of(white, colors_of=red).flatten()
        tensor([0.7804, 0.3804, 0.3804])
    """
    return colors_of + luminance(generated) - luminance(colors_of)


def match_colors(images: Tensor, *, to: Tensor) -> Tensor:
    """Move the colors of pictures so that their mean and covariance are those of other pictures.

    "Color histogram matching" of the same paper (arXiv:1606.05897), applied to the style before the transfer:
    x -> A (x - mean of x) + mean of `to`, with the symmetric roots A = C_to^(1/2) C_x^(-1/2) ("Image Analogies");
    unlike Cholesky's, they do not depend on the order of the channels.

    Args:
        images: RGB in [0, 1], (batch, 3, height, width).
        to: The pictures with the wanted colors, RGB in [0, 1], (batch, 3, any height, any width).

    Returns:
        RGB of the shape of `images`; it can leave [0, 1]: clamp it to show it. A direction in which `images` do not
        vary, such as the hue of a gray picture, or any of a picture of one color, cannot be stretched and stays flat.

    Examples:
        >>> wide, narrow = torch.rand(1, 3, 9, 9), 0.4 + 0.2 * torch.rand(1, 3, 5, 5)
        >>> torch.allclose(match_colors(wide, to=narrow).mean((2, 3)), narrow.mean((2, 3)))
        True
    """
    with _full_precision(images.device):
        pixels, mean, covariance = _colors(images)
        _, mean_to, covariance_to = _colors(to)
        transform = _power(covariance_to, 0.5) @ _power(covariance, -0.5)
        return (transform @ (pixels - mean) + mean_to).view_as(images)


def _colors(images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    pixels = images.flatten(2)
    mean = pixels.mean(2, keepdim=True)
    return pixels, mean, (pixels - mean) @ (pixels - mean).mT / pixels.shape[2]


def _power(covariance: Tensor, exponent: float) -> Tensor:
    values, vectors = torch.linalg.eigh(covariance)
    # anything smaller is rounding: of float32 beside the largest, or of 8 bits where the picture has one color
    varies = values > (1e-6 * values[:, -1:]).clamp(min=EIGHT_BITS)
    powers = torch.where(varies, values, 1).pow(exponent) * varies
    return vectors * powers[:, None, :] @ vectors.mT


def _flat(features: Tensor) -> Tensor:
    """Put the positions in one dimension, (batch, channels, positions): a view, also of channels-last features."""
    if features.is_contiguous():
        return features.flatten(2)
    return features.permute(0, 2, 3, 1).flatten(1, 2).mT


def _constants(features: Tensor, convention: str) -> tuple[float, float]:
    """Return what Gram matrices are divided by, and the factor of the sum of their squared differences."""
    _check(convention)
    divisor = 1 if convention == "handout_004" else features[0].numel()
    return divisor, 1 / 4 if convention == "gatys" else 1 / features.shape[1] ** 2


def _check(convention: str) -> None:
    if convention not in CONVENTIONS:
        raise LabsError(f"style_loss={convention}: expected {', '.join(CONVENTIONS[:-1])} or {CONVENTIONS[-1]}.")


@contextmanager
def _full_precision(device: torch.device) -> Iterator[None]:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with torch.autocast(device.type, enabled=False):
            yield
    finally:
        torch.set_float32_matmul_precision(before)

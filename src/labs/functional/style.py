"""The losses of neural style transfer, total variation, and two ways to keep the colors of the content.

L. Gatys, A. Ecker and M. Bethge, "Image Style Transfer Using Convolutional Neural Networks", CVPR 2016, describe the
style of a picture by the Gram matrices of its features. With the N channels and M positions (height * width) of a
layer, features F (generated) and P (content) of shape N x M, and Gram matrices G (generated) and A (style):

    convention   content                 style
    gatys        1/2 sum (F - P)^2       1/(4 N^2 M^2) sum (G - A)^2         equations 1 and 4 of the paper
    tutorial     mean (F - P)^2          mean (G/(N M) - A/(N M))^2          the tutorial of PyTorch
    handout_004  mean (F - P)^2          mean (G - A)^2                      hand-out 004

Thus tutorial content = 2/(N M) gatys, tutorial style = 4/N^2 gatys, and hand-out style = (N M)^2 tutorial. The tutorial
damps a layer with 512 channels 64 times as much as one with 64 channels; the hand-out damps no layer.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from labs import LabsError

CONVENTIONS = ("tutorial", "gatys", "handout_004")
EIGHT_BITS = 1 / 12 / 255**2  # variance of the rounding error of 8 bits
LUMINANCE = (0.299, 0.587, 0.114)  # Y of YIQ, ITU-R BT.601


def gram(features: Tensor) -> Tensor:
    """Return the Gram matrix: the product of each pair of channels, summed over positions, without normalization.

    Equation 3 of Gatys et al. 2016, where the positions have two dimensions. The product is always computed in full
    float32, also for other dtypes, under autocast and with TensorFloat-32, because the loss is a small difference of
    large sums. Only its gradient follows the TensorFloat-32 setting.

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
    """Return the content loss of each picture.

    Args:
        features: Activations of the generated pictures, (batch, channels, height, width).
        target: Activations of the content, of the same shape.
        convention: `tutorial` and `handout_004`: the mean of the squares. `gatys`: half of their sum, equation 1.

    Returns:
        One float32 loss per picture, (batch,).

    Raises:
        LabsError: If the convention is unknown.

    Examples:
        >>> content_loss(torch.full((1, 2, 2, 2), 3.0), torch.zeros(1, 2, 2, 2))
        tensor([9.])
    """
    _check(convention)
    squares = (features.float() - target.float()).square()
    return squares.sum((1, 2, 3)) / 2 if convention == "gatys" else squares.mean((1, 2, 3))


def style_loss(features: Tensor, target: Tensor, *, convention: str = "tutorial") -> Tensor:
    """Return the style loss of each picture, the difference of Gram matrices.

    `tutorial` and `gatys` divide Gram matrices by N M of the generated picture before squaring. Thus large pictures do
    not overflow, and the style picture must have the size of the generated one.

    Args:
        features: Activations of the generated pictures, (batch, channels, height, width).
        target: `gram` of the activations of the style, (batch, channels, channels), or (1, channels, channels).
        convention: `tutorial`: the mean of the squares. `gatys`: a quarter of their sum, equation 4. `handout_004`:
            the mean for Gram matrices without normalization.

    Returns:
        One float32 loss per picture, (batch,).

    Raises:
        LabsError: If the convention is unknown.

    Examples:
        >>> features = torch.ones(1, 4, 1, 1)
        >>> style_loss(features, torch.zeros(1, 4, 4)), style_loss(features, torch.zeros(1, 4, 4), convention="gatys")
        (tensor([0.0625]), tensor([0.2500]))
    """
    divisor, factor = _constants(features, convention)
    return ((gram(features) - target.float()) / divisor).square().sum((1, 2)) * factor


def pass_style_loss(features: Tensor, target: Tensor, *, convention: str = "tutorial") -> tuple[Tensor, Tensor]:
    """Return the features for the next layer, together with their `style_loss`.

    The results are the same with less work. By equation 6 of the paper the gradient is one product (G - A) F, while
    automatic differentiation of G = F F' needs two. It is added to the gradient of later layers in the same operation.
    The arguments are those of `style_loss`.

    Returns:
        The features, and one float32 loss per picture, (batch,). They can be differentiated once.

    Raises:
        LabsError: If the convention is unknown.
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
        else:  # channels last: the product is symmetric, and its transpose has the memory format of the features
            batch, channels, height, width = features.shape
            transposed = torch.baddbmm(_flat(after).mT, flat.mT, product)
            gradient = transposed.view(batch, height, width, channels).permute(0, 3, 1, 2)
        return gradient, None, None, None


def total_variation(images: Tensor) -> Tensor:
    """Return the total variation: the sum of absolute differences of neighboring pixels, down and right.

    This is the anisotropic form of Rudin, Osher and Fatemi 1992. It is large for noise and zero for flat areas. As a
    sum, it grows with the size of the picture.

    Args:
        images: In [0, 1], (batch, channels, height, width).

    Returns:
        One number per picture, (batch,).

    Examples:
        >>> total_variation(torch.tensor([[[[0.0, 1.0], [0.0, 0.5]]]]))
        tensor([2.])
    """
    return images.diff(dim=-2).abs().sum((1, 2, 3)) + images.diff(dim=-1).abs().sum((1, 2, 3))


def luminance(images: Tensor) -> Tensor:
    """Return gray pictures: Y of YIQ in all three channels.

    Examples:
        >>> luminance(torch.tensor([1.0, 0.0, 0.0]).view(1, 3, 1, 1)).flatten()
        tensor([0.2990, 0.2990, 0.2990])
    """
    weights = torch.tensor(LUMINANCE, dtype=images.dtype, device=images.device).view(3, 1, 1)
    return (images * weights).sum(1, keepdim=True).expand_as(images)


def keep_luminance_of(generated: Tensor, *, colors_of: Tensor) -> Tensor:
    """Combine the luminance of one picture with the colors of another: Y of the generated one, I and Q of the content.

    "Luminance-only transfer" of L. Gatys, M. Bethge, A. Hertzmann and E. Shechtman, "Preserving Color in Neural
    Artistic Style Transfer", 2016 (arXiv:1606.05897). Adding the same number to red, green and blue changes Y by that
    number and does not change I and Q, so no change of basis is needed.

    Args:
        generated: RGB in [0, 1], (batch, 3, height, width).
        colors_of: The content, of the same shape and range.

    Returns:
        RGB of the same shape. Colors that cannot be that bright or dark are outside [0, 1]; clamp them for display.

    Examples:
        >>> red, white = torch.tensor([0.5, 0.1, 0.1]).view(1, 3, 1, 1), torch.full((1, 3, 1, 1), 0.5)
        >>> keep_luminance_of(white, colors_of=red).flatten()
        tensor([0.7804, 0.3804, 0.3804])
    """
    return colors_of + luminance(generated) - luminance(colors_of)


def match_colors(images: Tensor, *, to: Tensor) -> Tensor:
    """Transform the colors of pictures so that their mean and covariance are those of other pictures.

    "Color histogram matching" of the same paper (arXiv:1606.05897), applied to the style before the transfer:
    x -> A (x - mean of x) + mean of `to`, with symmetric roots, A = C_to^(1/2) C_x^(-1/2) ("Image Analogies"). Unlike
    Cholesky factors, these do not depend on the order of the channels.

    Args:
        images: RGB in [0, 1], (batch, 3, height, width).
        to: The pictures with the wanted colors, RGB in [0, 1], (batch, 3, any height, any width).

    Returns:
        RGB of the shape of `images`. Values may be outside [0, 1]; clamp them for display. A direction in which
        `images` do not vary, such as the hue of a gray picture, cannot be stretched and stays constant.

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
    # smaller values are rounding errors, of float32 or, for a picture with one color, of 8 bits
    varies = values > (1e-6 * values[:, -1:]).clamp(min=EIGHT_BITS)
    powers = torch.where(varies, values, 1).pow(exponent) * varies
    return vectors * powers[:, None, :] @ vectors.mT


def _flat(features: Tensor) -> Tensor:
    """Flatten the positions, (batch, channels, positions); the result is a view, also for channels-last features."""
    if features.is_contiguous():
        return features.flatten(2)
    return features.permute(0, 2, 3, 1).flatten(1, 2).mT


def _constants(features: Tensor, convention: str) -> tuple[float, float]:
    """Return the divisor of Gram matrices, and the factor of the sum of their squared differences."""
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

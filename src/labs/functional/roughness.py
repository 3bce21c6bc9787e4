"""Roughness of a picture, independent of its contrast."""

from torch import Tensor


def roughness(pictures: Tensor) -> Tensor:
    """Return the mean absolute difference of neighboring pixels, divided by the mean absolute value of the picture.

    This is the anisotropic total variation of Rudin, Osher and Fatemi 1992 as a mean and independent of scale:
    multiplying a picture by a number does not change it. White Gaussian noise has 2 sqrt(2), a constant picture 0.

    Args:
        pictures: (pictures, channels, height, width), of any sign.

    Returns:
        One number per picture, (pictures,); 0 for a picture of zeros.

    Examples:
        >>> import torch
        >>> roughness(torch.tensor([[[[1.0, -1.0], [1.0, -1.0]]], [[[3.0, 3.0], [3.0, 3.0]]]])).tolist()
        [2.0, 0.0]
    """
    steps = sum(pictures.diff(dim=axis).abs().mean(dim=(1, 2, 3)) for axis in (-1, -2))
    size = pictures.abs().mean(dim=(1, 2, 3))
    return steps / size.clamp(min=1e-12)

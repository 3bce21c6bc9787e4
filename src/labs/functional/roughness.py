"""How rough a picture is, whatever its contrast."""

from torch import Tensor


def roughness(pictures: Tensor) -> Tensor:
    """Return the mean absolute step from pixel to pixel, down and right, in mean absolute values of the picture.

    The total variation of Rudin, Osher and Fatemi 1992 (anisotropic), taken as a mean and made free of scale: a picture
    times a number is as rough. White Gaussian noise has 2 sqrt(2), a constant picture 0.

    Args:
        pictures: (pictures, channels, height, width), of any sign.

    Returns:
        One number for each picture, (pictures,); 0 for one of zeros.

    Examples:
        >>> import torch
        >>> roughness(torch.tensor([[[[1.0, -1.0], [1.0, -1.0]]], [[[3.0, 3.0], [3.0, 3.0]]]])).tolist()
        [2.0, 0.0]
    """
    steps = sum(pictures.diff(dim=axis).abs().mean(dim=(1, 2, 3)) for axis in (-1, -2))
    size = pictures.abs().mean(dim=(1, 2, 3))
    return steps / size.clamp(min=1e-12)

"""The loss of a generated picture: its content loss, its style loss and two optional terms, each with a factor."""

import math
from dataclasses import asdict, dataclass

from torch import Tensor

from labs import LabsError
from labs.functional.style import total_variation

# With balanced layers, a style layer with the tutorial's weight of 1e6 counts ten times as much as a content layer.
# Chosen by eye on the embedded pictures, with a random VGG19 and with SqueezeNet.
BALANCED_STYLE_UNIT = 1e-5


@dataclass(frozen=True)
class LossWeights:
    """Factors of the terms of the loss; 0 leaves a term out.

    L. Gatys, A. Ecker and M. Bethge, "Image Style Transfer Using Convolutional Neural Networks", CVPR 2016, equation 7,
    with two further terms.

    Args:
        content: Factor of the content loss.
        style: Factor of the style loss.
        tv: Factor of the total variation, which smooths the picture.
        range: Factor of the mean squared distance to [0, 1].

    Raises:
        LabsError: If a factor is negative or not finite.
    """

    content: float
    style: float
    tv: float = 0.0
    range: float = 0.0

    def __post_init__(self) -> None:
        """Check the factors."""
        for name, weight in asdict(self).items():
            if not 0 <= weight < math.inf:
                raise LabsError(f"module.{name}_weight={weight}: expected 0 or more, such as 1 or 1e6.")

    def total(self, content: Tensor, style: Tensor, pictures: Tensor, *, balanced: bool) -> Tensor:
        """Return the loss of each picture, (pictures,).

        Args:
            content: Content losses, (pictures,).
            style: Style losses, (pictures,).
            pictures: RGB, (pictures, 3, height, width).
            balanced: Whether each layer's loss was divided by its value between content and style picture. Style
                losses then count in units of `BALANCED_STYLE_UNIT`.
        """
        total = self.content * content + self.style * (BALANCED_STYLE_UNIT if balanced else 1.0) * style
        if self.tv:
            total = total + self.tv * total_variation(pictures)
        if self.range:
            total = total + self.range * (pictures - pictures.clamp(0, 1)).square().mean((1, 2, 3))
        return total

"""Coarse to fine: how evaluations are shared out among sizes, and pictures brought to a size."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

from labs import LabsError

MOST_STEPS = 100_000
LEAST_PIXELS = 16  # of height and width: four poolings of two leave one position


def share_out(steps: int, every: int, scales: Sequence[float]) -> list[int]:
    """Say after how many evaluations each scale ends: equal shares, all but the last a multiple of `every`.

    Args:
        steps: evaluations in all.
        every: evaluations between two checkpoints.
        scales: sizes, coarse to fine; the last is 1.

    Raises:
        LabsError: there are no steps, more than make sense, or too few for so many scales; or the scales are none.

    Examples:
        >>> share_out(300, 10, [0.25, 0.5, 1]), share_out(29, 10, [0.5, 1])
        ([100, 200, 300], [10, 29])
    """
    count = len(scales)
    if not 1 <= steps <= MOST_STEPS:
        raise LabsError(f"steps={steps}: expected 1 to {MOST_STEPS} evaluations of the loss, such as steps=300.")
    if every < 1:
        raise LabsError(f"every={every}: expected 1 evaluation or more, such as every=10.")
    if not scales or sorted(scales) != list(scales) or scales[0] <= 0 or scales[-1] != 1:
        raise LabsError(f"module.scales={scales}: expected sizes from coarse to fine that end in 1, such as [0.5,1].")
    if count > 1 and steps < every * count:
        raise LabsError(
            f"steps={steps}: {count} scales take {every} evaluations each at least; "
            f"type steps={every * count} or more, a smaller every=..., or module.scales=[1.0]."
        )
    return [*(steps * place // count // every * every for place in range(1, count)), steps]


def resized(images: Tensor, scale: float) -> Tensor:
    """Bring pictures (batch, 3, height, width) in [0, 1] to a share of their size, bicubic and antialiased."""
    if scale == 1:
        return images
    size = [max(round(side * scale), LEAST_PIXELS) for side in images.shape[-2:]]
    return enlarged(images, size).clamp(0, 1)


def enlarged(images: Tensor, size: list[int]) -> Tensor:
    """Bring pictures (batch, 3, height, width) to another height and width, without a clamp."""
    return F.interpolate(images, size, mode="bicubic", antialias=True)

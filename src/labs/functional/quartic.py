"""The curve of a first lesson in gradient descent: f(x) = x^4 - 2x^3 + 2.

    f'(x) = 2x^2 (2x - 3),   f''(x) = 12x (x - 1)

It has one minimum, f(1.5) = 0.3125. At x = 0 it is flat, too, but falls on both sides from left to right: neither a
minimum nor a maximum, but a horizontal inflection. Small steps against the slope that come from the left end there.
Numbers, arrays and tensors are taken alike.
"""

import math
from typing import TYPE_CHECKING, Literal, TypeVar

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

N = TypeVar("N", float, "np.ndarray", "Tensor")

FLAT, LOWEST = 0.0, 1.5  # where the slope is zero
NEAR = 0.01  # a point this near to the minimum has reached it
LEVEL = 0.01  # a slope this small hardly moves a point

Outcome = Literal["reached", "stalled", "moving", "lost"]


def quartic(x: N) -> N:
    """Return f(x).

    Examples:
        >>> quartic(-1.0), quartic(0.0), quartic(1.5), quartic(2.0)
        (5.0, 2.0, 0.3125, 2.0)
    """
    return x * x * x * (x - 2) + 2


def slope(x: N) -> N:
    """Return f'(x).

    Examples:
        >>> slope(-1.0), slope(0.0), slope(1.0), slope(1.5)
        (-10.0, -0.0, -2.0, 0.0)
    """
    return 2 * x * x * (2 * x - 3)


def outcome(x: float) -> Outcome:
    """Say how a descent stands: it has reached the minimum, stalls where the curve is flat, still moves, or is lost.

    Examples:
        >>> [outcome(x) for x in (1.5001, -0.0157, 0.218, math.inf)]
        ['reached', 'stalled', 'moving', 'lost']
    """
    steep = abs(slope(x))
    if not math.isfinite(steep):
        return "lost"
    if abs(x - LOWEST) <= NEAR:
        return "reached"
    return "stalled" if steep <= LEVEL else "moving"

"""The curve of a first lesson in gradient descent: f(x) = x^4 - 2x^3 + 2.

    f'(x) = 2x^2 (2x - 3),   f''(x) = 12x (x - 1)

It has one minimum, f(1.5) = 0.3125. Its slope is also zero at x = 0, but this is neither a minimum nor a maximum: it is
a horizontal inflection point. Gradient descent with small steps from the left ends there. All functions take numbers,
arrays and tensors.
"""

import math
from typing import TYPE_CHECKING, Literal, TypeVar

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

N = TypeVar("N", float, "np.ndarray", "Tensor")

FLAT, LOWEST = 0.0, 1.5  # points with zero slope
NEAR = 0.01  # distance from the minimum at which it counts as reached
LEVEL = 0.01  # slope below which a point hardly moves

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
    """Return the outcome of a descent: at the minimum, stalled where the curve is flat, still moving, or diverged.

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

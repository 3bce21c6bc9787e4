"""The curve by other means: automatic differentiation, NumPy's polynomials, and a fine grid."""

import math

import numpy as np
import pytest
import torch
from numpy.polynomial import Polynomial

from labs.functional.quartic import FLAT, LOWEST, outcome, quartic, slope

POLYNOMIAL = Polynomial([2, 0, 0, -2, 1])


def test_values_and_slopes_are_those_of_the_polynomial() -> None:
    x = torch.linspace(-3, 3, 601, dtype=torch.float64, requires_grad=True)
    heights = quartic(x)
    (slopes,) = torch.autograd.grad(heights.sum(), x)
    torch.testing.assert_close(slope(x), slopes)
    places = x.detach().numpy()
    np.testing.assert_allclose(heights.detach().numpy(), POLYNOMIAL(places), atol=1e-12)
    np.testing.assert_allclose(slopes.numpy(), POLYNOMIAL.deriv()(places), atol=1e-12)
    assert [quartic(x) for x in places.tolist()] == pytest.approx(heights.tolist(), abs=1e-12)


def test_it_is_flat_at_two_places_of_which_one_is_the_minimum() -> None:
    roots = POLYNOMIAL.deriv().roots()
    assert sorted({round(root.real, 5) for root in roots}) == [FLAT, LOWEST]
    bend = POLYNOMIAL.deriv(2)
    assert (bend(LOWEST), bend(FLAT)) == (9.0, 0.0)
    assert slope(FLAT - 1e-3) < 0 > slope(FLAT + 1e-3), "an inflection: it falls on both sides"
    assert quartic(np.linspace(-5, 5, 100_001)).min() == quartic(LOWEST) == 0.3125


@pytest.mark.parametrize(
    ("x", "way"),
    [(1.509, "reached"), (1.52, "moving"), (0.0, "stalled"), (-0.03, "stalled"), (-0.1, "moving"), (0.1, "moving"),
     (1e200, "lost"), (-1e200, "lost"), (math.inf, "lost"), (math.nan, "lost")],
)  # fmt: skip
def test_how_a_point_ended(x: float, way: str) -> None:
    assert outcome(x) == way

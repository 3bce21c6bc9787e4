"""Strokes of a brush over any picture."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from labs.datamodules.embedded.brush_strokes import Brush, paint_over

BRUSH = Brush(0.1, 0.02, stray=0.0, grain=0.0, blur=0.0)


def halves() -> Image.Image:
    pixels = np.zeros((60, 90, 3), dtype=np.uint8)
    pixels[:, 45:] = 200
    return Image.fromarray(pixels)


def painted(brush: Brush, seed: int = 0) -> np.ndarray:
    return np.asarray(paint_over(halves(), brush, np.random.default_rng(seed))).astype(int)


def test_a_painting_is_of_the_size_and_colors_of_the_picture_and_is_that_of_its_seed() -> None:
    first = painted(BRUSH)
    assert first.shape == (60, 90, 3)
    assert np.abs(first - np.asarray(halves())).mean() < 25
    assert (first == painted(BRUSH)).all()
    assert (first != painted(BRUSH, seed=1)).any()


def test_without_strokes_the_picture_is_left_as_it_is() -> None:
    assert (painted(replace(BRUSH, cover=0.0)) == np.asarray(halves())).all()


@pytest.mark.parametrize(("angle", "blurs"), [(90, False), (0, True)])
def test_strokes_run_at_their_angle(angle: float, blurs: bool) -> None:
    """Upright strokes keep an upright edge sharp, level ones carry colors over it."""
    beside = painted(replace(BRUSH, angle=angle, spread=0.0))[:, 41:44].mean()
    assert bool(beside > 20) is blurs


def test_strokes_follow_edges_where_no_angle_is_given() -> None:
    along = painted(replace(BRUSH, angle=None, spread=0.0))[:, 40:43].mean()
    across = painted(replace(BRUSH, angle=0, spread=0.0))[:, 40:43].mean()
    assert along < across / 2

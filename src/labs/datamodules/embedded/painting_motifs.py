"""The motifs of the drawn paintings: shapes in the unit square, whose colors the hand chooses.

A motif is a list of shapes from back to front. Each has a role (sky, land, ...), whose color the hand chooses, and a
lightness, so that shapes of the same role look different.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

MOTIFS_VERSION = 1  # raised whenever the shapes change
Rng = np.random.Generator


class Shape(NamedTuple):
    """One shape: its outline (points, 2) in the unit square, x to the right and y down."""

    role: str  # sky, far, land, tree, house, skin, cloth, light, water
    outline: np.ndarray
    lightness: float = 1.0  # factor of its color


def ellipse(x: float, y: float, width: float, height: float, points: int = 28) -> np.ndarray:
    """Return the outline of an ellipse around a point."""
    angles = np.linspace(0, 2 * np.pi, points, endpoint=False)
    return np.stack((x + width * np.cos(angles), y + height * np.sin(angles)), axis=1)


def box(left: float, top: float, right: float, bottom: float) -> np.ndarray:
    """Return the outline of a box."""
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)])


def ridge(rng: Rng, height: float, roughness: float, sharp: bool = False) -> np.ndarray:
    """Return land from a line of hills or peaks down to the lower edge."""
    x = np.linspace(-0.1, 1.1, 13 if sharp else 40)
    if sharp:
        y = height - roughness * rng.uniform(0, 1, len(x)) * (np.arange(len(x)) % 2)
    else:
        waves = [rng.uniform(0.3, 1) * np.sin(x * rng.uniform(2, 9) + rng.uniform(0, 7)) for _ in range(3)]
        y = height - roughness * np.sum(waves, axis=0) / 3
    return np.concatenate((np.stack((x, y), axis=1), [(1.1, 1.1), (-0.1, 1.1)]))


def tree(rng: Rng, x: float, foot: float, size: float) -> list[Shape]:
    """Return a tree: a trunk and some leaves."""
    trunk = box(x - 0.02 * size, foot - 0.5 * size, x + 0.02 * size, foot)
    leaves = [
        Shape("tree", ellipse(x + dx, foot - 0.6 * size + dy, 0.2 * size, 0.17 * size), rng.uniform(0.7, 1.2))
        for dx, dy in rng.normal(0, 0.1 * size, (4, 2))
    ]
    return [Shape("house", trunk, 0.5), *leaves]


def house(rng: Rng, x: float, foot: float, size: float) -> list[Shape]:
    """Return a house with a roof, a door and a window."""
    wall = box(x - 0.3 * size, foot - 0.5 * size, x + 0.3 * size, foot)
    roof = np.array(
        [(x - 0.38 * size, foot - 0.48 * size), (x, foot - 0.9 * size), (x + 0.38 * size, foot - 0.48 * size)]
    )
    door = box(x - 0.06 * size, foot - 0.25 * size, x + 0.08 * size, foot)
    window = box(x + 0.13 * size, foot - 0.4 * size, x + 0.24 * size, foot - 0.26 * size)
    return [Shape("house", wall, 1.25), Shape("cloth", roof, 0.8), Shape("house", door, 0.4), Shape("light", window)]


def _ground(rng: Rng, horizon: float) -> list[Shape]:
    clouds = [
        Shape("sky", ellipse(rng.uniform(0, 1), rng.uniform(0.05, 0.7) * horizon, rng.uniform(0.1, 0.3), 0.03), 1.25)
        for _ in range(rng.integers(0, 4))
    ]
    return [Shape("sky", box(-0.1, -0.1, 1.1, 1.1)), *clouds, Shape("land", ridge(rng, horizon, 0.02))]


def _hills(rng: Rng) -> list[Shape]:
    ground = _ground(rng, 0.7)
    hills = [Shape("far", ridge(rng, 0.45 + 0.1 * n, 0.1), 1.2 - 0.15 * n) for n in range(3)]
    return [*ground[:-1], *hills, Shape("land", ridge(rng, 0.78, 0.05)), *tree(rng, rng.uniform(0.1, 0.9), 0.9, 0.35)]


def _peaks(rng: Rng) -> list[Shape]:
    ground = _ground(rng, 0.75)
    peaks = [Shape("far", ridge(rng, 0.62 + 0.06 * n, 0.5 - 0.15 * n, sharp=True), 1.3 - 0.3 * n) for n in range(2)]
    return [*ground[:-1], *peaks, ground[-1]]


def _sea(rng: Rng) -> list[Shape]:
    horizon, x = rng.uniform(0.4, 0.6), rng.uniform(0.2, 0.7)
    waves = [
        Shape("water", ellipse(rng.uniform(0, 1), y, rng.uniform(0.05, 0.2), 0.01), rng.choice((0.8, 1.25)))
        for y in rng.uniform(horizon, 1, 9)
    ]
    hull = np.array(
        [(x, horizon + 0.1), (x + 0.3, horizon + 0.1), (x + 0.24, horizon + 0.17), (x + 0.05, horizon + 0.17)]
    )
    sail = np.array([(x + 0.15, horizon + 0.09), (x + 0.15, horizon - 0.25), (x + 0.3, horizon + 0.07)])
    sky = _ground(rng, horizon)[:-1]
    return [*sky, Shape("water", box(-0.1, horizon, 1.1, 1.1)), *waves, Shape("house", hull, 0.6), Shape("light", sail)]


def _wood(rng: Rng) -> list[Shape]:
    feet = np.sort(rng.uniform(0.6, 1.0, 9))
    return [*_ground(rng, 0.6), *(s for foot in feet for s in tree(rng, rng.uniform(0, 1), foot, foot * 0.75))]


def _village(rng: Rng) -> list[Shape]:
    feet = np.sort(rng.uniform(0.6, 0.95, 5))
    return [*_ground(rng, 0.55), *(s for foot in feet for s in house(rng, rng.uniform(0, 1), foot, foot * 0.42))]


def _tower(rng: Rng) -> list[Shape]:
    x, width, top = rng.uniform(0.3, 0.7), rng.uniform(0.08, 0.14), rng.uniform(0.15, 0.3)
    arches = [Shape("house", ellipse(x, y, 0.35 * width, 0.04), 0.4) for y in np.arange(top + 0.1, 0.75, 0.14)]
    spire = np.array([(x - 1.2 * width, top), (x, top - 0.18), (x + 1.2 * width, top)])
    return [
        *_ground(rng, 0.75),
        Shape("house", box(x - width, top, x + width, 0.85), 1.1),
        Shape("cloth", spire),
        *arches,
    ]


def _night(rng: Rng) -> list[Shape]:
    moon = ellipse(rng.uniform(0.15, 0.85), rng.uniform(0.1, 0.3), 0.08, 0.08)
    stars = [Shape("light", ellipse(x, y, 0.01, 0.01)) for x, y in rng.uniform((0, 0), (1, 0.5), (12, 2))]
    dark = [Shape(s.role, s.outline, 0.35 * s.lightness) for s in _ground(rng, 0.7)]
    return [dark[0], *stars, Shape("light", moon), dark[-1], *house(rng, rng.uniform(0.2, 0.8), 0.85, 0.3)]


def _portrait(rng: Rng) -> list[Shape]:
    x, y, size = rng.uniform(0.4, 0.6), rng.uniform(0.33, 0.42), rng.uniform(0.9, 1.15)
    eyes = [
        Shape("house", ellipse(x + side * 0.055 * size, y - 0.02, 0.02 * size, 0.012 * size), 0.3) for side in (-1, 1)
    ]
    return [
        Shape("sky", box(-0.1, -0.1, 1.1, 1.1), 0.7),
        Shape("cloth", ellipse(x, 1.0, 0.36 * size, 0.38)),
        Shape("skin", box(x - 0.055 * size, y + 0.1, x + 0.055 * size, y + 0.3), 0.85),
        Shape("house", ellipse(x, y - 0.05, 0.16 * size, 0.2 * size), 0.5),
        Shape("skin", ellipse(x, y, 0.125 * size, 0.17 * size)),
        *eyes,
        Shape("cloth", ellipse(x, y + 0.09 * size, 0.04 * size, 0.012), 1.1),
    ]


def _still_life(rng: Rng) -> list[Shape]:
    fruit = [
        Shape(
            str(rng.choice(("tree", "light", "cloth"))), ellipse(x, 0.72 + 0.04 * n, 0.08, 0.08), rng.uniform(0.8, 1.1)
        )
        for n, x in enumerate(rng.uniform(0.15, 0.85, 4))
    ]
    x = rng.uniform(0.25, 0.75)
    bottle = [
        Shape("water", ellipse(x, 0.6, 0.09, 0.17), 0.7),
        Shape("water", box(x - 0.025, 0.22, x + 0.025, 0.5), 0.7),
    ]
    return [
        Shape("sky", box(-0.1, -0.1, 1.1, 1.1), 0.6),
        Shape("house", box(-0.1, 0.68, 1.1, 1.1), 1.2),
        *bottle,
        *fruit,
    ]


def _flowers(rng: Rng) -> list[Shape]:
    heads = [
        s
        for x, y in rng.normal((0.5, 0.36), (0.16, 0.12), (9, 2))
        for s in (
            Shape("cloth", ellipse(x, y, 0.075, 0.07), rng.uniform(0.8, 1.3)),
            Shape("light", ellipse(x, y, 0.025, 0.025)),
        )
    ]
    leaves = [Shape("tree", ellipse(x, 0.52, 0.05, 0.16), rng.uniform(0.6, 1.1)) for x in rng.uniform(0.3, 0.7, 6)]
    vase = np.array([(0.38, 0.6), (0.62, 0.6), (0.68, 0.78), (0.58, 0.95), (0.42, 0.95), (0.32, 0.78)])
    back = [Shape("sky", box(-0.1, -0.1, 1.1, 1.1), 0.8), Shape("house", box(-0.1, 0.85, 1.1, 1.1))]
    return [*back, *leaves, Shape("water", vase), *heads]


MOTIFS: dict[str, Callable[[Rng], list[Shape]]] = {
    "hills": _hills,
    "peaks": _peaks,
    "sea": _sea,
    "wood": _wood,
    "village": _village,
    "tower": _tower,
    "night": _night,
    "portrait": _portrait,
    "still_life": _still_life,
    "flowers": _flowers,
}

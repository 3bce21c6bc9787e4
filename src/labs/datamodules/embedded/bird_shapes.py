"""Outlines of drawn birds and their surroundings, and the mapping from their units to pixels."""

from dataclasses import dataclass

import numpy as np

Color = tuple[int, int, int]

_ANGLES = np.linspace(0, 2 * np.pi, 20, endpoint=False)
_UNIT_CIRCLE = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=1)


@dataclass(frozen=True)
class Frame:
    """Map points (n, 2) from one coordinate system to another: `points @ axes + origin`."""

    axes: np.ndarray  # rows: images of the first and the second unit vector
    origin: np.ndarray

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """Return the points in the other coordinate system."""
        return points @ self.axes + self.origin

    def flat(self, points: np.ndarray) -> list[float]:
        """Return x0, y0, x1, y1, ..., the fastest form for Pillow."""
        return self(points).ravel().tolist()

    def scaled(self, factor: float) -> "Frame":
        """Return the same frame in a picture `factor` times as large."""
        return Frame(self.axes * factor, self.origin * factor)


def heading(angle: float) -> np.ndarray:
    """Return the unit vector `angle` radians above the x axis, where y points down."""
    return np.array([np.cos(angle), -np.sin(angle)])


def turned(angle: float) -> np.ndarray:
    """Return the axes of a frame rotated up by `angle` radians: the rows are forward and down."""
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def shade(color: Color, factor: float) -> Color:
    """Return a darker (factor below 1) or lighter color."""
    red, green, blue = (min(255, int(channel * factor)) for channel in color)
    return red, green, blue


def circle(center: np.ndarray, radius: float) -> np.ndarray:
    """Return the outline of a disc."""
    return center + radius * _UNIT_CIRCLE


def fan(radius: float, start: float, end: float) -> np.ndarray:
    """Return a sector of a disc around the origin; angles in radians from the x axis, positive toward y."""
    angles = np.linspace(start, end, 10)
    return np.vstack([np.zeros(2), radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)])


def capsule(start: np.ndarray, start_radius: float, end: np.ndarray, end_radius: float) -> np.ndarray:
    """Return the convex outline around two discs, neither inside the other."""
    dx, dy = end - start
    direction = np.arctan2(dy, dx)
    opening = np.arccos((start_radius - end_radius) / np.hypot(dx, dy))
    first = direction + np.linspace(opening, 2 * np.pi - opening, 14)
    last = direction + np.linspace(-opening, opening, 10)
    around_start = start + start_radius * np.stack([np.cos(first), np.sin(first)], axis=1)
    around_end = end + end_radius * np.stack([np.cos(last), np.sin(last)], axis=1)
    return np.vstack([around_start, around_end])


def smooth(points: np.ndarray, steps: int = 4) -> np.ndarray:
    """Return a closed curve through the points (Catmull-Rom), with `steps` points for each."""
    t = np.linspace(0, 1, steps, endpoint=False)[:, None]
    before, start, end, after = (np.roll(points, shift, axis=0)[:, None] for shift in (1, 0, -1, -2))
    cubic = 3 * (start - end) + after - before
    square = 2 * before - 5 * start + 4 * end - after
    return (start + 0.5 * t * (end - before + t * (square + t * cubic))).reshape(-1, 2)

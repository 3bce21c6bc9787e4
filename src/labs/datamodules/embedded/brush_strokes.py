"""Paint a picture over with strokes of a brush, as a painter's hand would: every stroke has one color.

What is painted does not matter here: the picture comes in as pixels, and a `Brush` says how long, how wide and in which
direction its strokes are, and how far their colors stray.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

FINER = 2  # times the resolution that strokes are drawn at


@dataclass(frozen=True)
class Brush:
    """Say how strokes look. Lengths are shares of the longer side of the picture.

    Attributes:
        length: of a stroke.
        width: of a stroke.
        angle: of the strokes in degrees, 0 is horizontal and 90 downward; None follows the edges of the picture.
        spread: standard deviation of the angle, degrees.
        cover: how often the strokes cover the picture; 0 leaves it as it is, but for `blur` and `grain`.
        stray: standard deviation of the color of a stroke, of 255 steps.
        blur: how far the colors below the strokes run into each other, as wet paint does.
        grain: standard deviation of the brightness of canvas or paper, of 255 steps.
    """

    length: float
    width: float
    angle: float | None = None
    spread: float = 15.0
    cover: float = 2.0
    stray: float = 8.0
    blur: float = 0.01
    grain: float = 3.0


def paint_over(picture: Image.Image, brush: Brush, rng: np.random.Generator) -> Image.Image:
    """Return a picture (RGB) painted with a brush, of the same size.

    Args:
        picture: what is painted.
        brush: how.
        rng: decides where strokes lie, and how they stray.
    """
    width, height = picture.size
    long = max(width, height)
    below = picture.filter(ImageFilter.GaussianBlur(brush.blur * long)) if brush.blur else picture
    pixels = np.asarray(below, dtype=np.float32)
    canvas = below.resize((width * FINER, height * FINER), Image.Resampling.NEAREST)
    draw = ImageDraw.Draw(canvas)
    strokes = round(brush.cover * width * height / (brush.length * brush.width * long**2))
    rows, columns = rng.integers(0, height, strokes), rng.integers(0, width, strokes)
    colors = pixels[rows, columns] + rng.normal(0, brush.stray, (strokes, 1)) + rng.normal(0, brush.stray, (strokes, 3))
    angles = np.full(strokes, np.deg2rad(brush.angle or 0.0))
    if brush.angle is None:
        angles = _along_edges(below)[rows, columns]
    angles = angles + np.deg2rad(rng.normal(0, brush.spread, strokes))
    half = brush.length * long * FINER / 2 * rng.uniform(0.6, 1.3, strokes)
    x, y = columns * FINER, rows * FINER
    dx, dy = half * np.cos(angles), half * np.sin(angles)
    lines = np.stack([x - dx, y - dy, x + dx, y + dy], axis=1).tolist()
    widths = np.maximum(1, brush.width * long * FINER * rng.uniform(0.7, 1.3, strokes)).round().astype(int).tolist()
    fills = np.clip(colors, 0, 255).astype(int).tolist()
    for line, fill, wide in zip(lines, fills, widths, strict=True):
        draw.line(line, fill=tuple(fill), width=wide)
    painted = np.asarray(canvas.resize((width, height), Image.Resampling.BOX), dtype=np.float32)
    grained = painted + rng.normal(0, brush.grain, (height, width, 1))
    return Image.fromarray(np.clip(grained, 0, 255).astype(np.uint8))


def _along_edges(picture: Image.Image) -> np.ndarray:
    """Return the direction of the nearest edge at each pixel, in radians."""
    soft = picture.convert("L").filter(ImageFilter.BoxBlur(2)).filter(ImageFilter.BoxBlur(2))
    down, right = np.gradient(np.asarray(soft, dtype=np.float32))
    return np.arctan2(right, -down)

"""Paint over a picture with brush strokes, each in one color.

The picture is given as pixels. A `Brush` defines the length, width and direction of the strokes, and how much their
colors vary.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

FINER = 2  # factor of the resolution at which strokes are drawn


@dataclass(frozen=True)
class Brush:
    """The style of the strokes. Lengths are fractions of the longer side of the picture.

    Attributes:
        length: length of a stroke.
        width: width of a stroke.
        angle: angle of the strokes in degrees, 0 is horizontal and 90 downward; None follows the edges of the picture.
        spread: standard deviation of the angle, in degrees.
        cover: number of times that the strokes cover the picture; with 0 only `blur` and `grain` change it.
        stray: standard deviation of the color of a stroke, in steps of 255.
        blur: blur of the colors below the strokes, like wet paint.
        grain: standard deviation of the brightness of canvas or paper, in steps of 255.
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
    """Return a picture (RGB) painted over with a brush, at the same size.

    Args:
        picture: the picture to paint over.
        brush: the style of the strokes.
        rng: determines the positions and variations of the strokes.
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

"""Parts of drawn paintings: skies, hills, trees and people in the flat colors of a palette."""

from collections.abc import Mapping

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

Color = tuple[int, int, int]
Palette = Mapping[str, Color]  # sky, glow, far, mid, near, water, light, dark, skin, accent
Size = tuple[int, int]  # width, height, in pixels


def mixed(one: Color, other: Color, share: float) -> Color:
    """Return a color between two; `share` is the weight of the second one."""
    red, green, blue = (round((1 - share) * a + share * b) for a, b in zip(one, other, strict=True))
    return red, green, blue


def ramp(size: Size, top: Color, bottom: Color, share: float = 1.0) -> Image.Image:
    """Return a vertical gradient between two colors, down to a fraction of the height."""
    width, height = size
    weights = np.clip(np.linspace(0, 1 / share, height), 0, 1)[:, None, None]
    colors = (1 - weights) * np.array(top) + weights * np.array(bottom)
    return Image.fromarray(np.broadcast_to(colors, (height, width, 3)).astype(np.uint8))


def sky(size: Size, palette: Palette, horizon: float, clouds: int, rng: np.random.Generator) -> Image.Image:
    """Return a sky with clouds, down to a fraction of the height."""
    image = ramp(size, palette["sky"], palette["glow"], horizon)
    draw, (width, height) = ImageDraw.Draw(image), size
    for u, v, w, tone in rng.random((clouds, 4)):
        x, y, half = u * width, v * horizon * height * 0.8, (0.06 + 0.14 * w) * width
        fill = mixed(palette["light"], palette["sky"], 0.6 * tone)
        for push in (-0.6, 0.0, 0.5):
            draw.ellipse(
                (x + push * half - half * 0.6, y - half * 0.28, x + push * half + half * 0.6, y + half * 0.3), fill=fill
            )
    return image.filter(ImageFilter.GaussianBlur(0.012 * width))


def hills(
    draw: ImageDraw.ImageDraw,
    size: Size,
    base: float,
    rise: float,
    fill: Color,
    rng: np.random.Generator,
    *,
    steep: float = 1.0,
) -> None:
    """Fill everything below a rugged line; `base` and `rise` are fractions of the height."""
    width, height = size
    x = np.linspace(0, 1, 24)
    waves = np.zeros(24)
    for k in (1, 2, 4, 7):
        waves += rng.uniform(0.2, 1) / k**steep * np.sin(2 * np.pi * (k * x * rng.uniform(0.6, 1.2) + rng.random()))
    line = (base - rise * (waves - waves.min()) / np.ptp(waves)) * height
    draw.polygon([(0, height), *zip((x * width).tolist(), line.tolist(), strict=True), (width, height)], fill=fill)


def tree(
    draw: ImageDraw.ImageDraw, x: float, foot: float, tall: float, palette: Palette, rng: np.random.Generator
) -> None:
    """Draw a tree: a trunk and a crown of leaves."""
    draw.line(
        (x, foot, x + rng.normal(0, 0.08) * tall, foot - 0.6 * tall),
        fill=palette["dark"],
        width=max(1, round(0.07 * tall)),
    )
    for u, v, r, tone in rng.random((9, 4)):
        cx, cy, radius = x + (u - 0.5) * 0.6 * tall, foot - (0.45 + 0.5 * v) * tall, (0.1 + 0.12 * r) * tall
        draw.ellipse(
            (cx - radius, cy - 0.8 * radius, cx + radius, cy + 0.8 * radius),
            fill=mixed(palette["near"], palette["dark"], 0.7 * tone),
        )


def person(draw: ImageDraw.ImageDraw, x: float, foot: float, tall: float, coat: Color, palette: Palette) -> None:
    """Draw a small figure in a coat."""
    wide = 0.17 * tall
    draw.polygon(
        [
            (x - wide, foot),
            (x - 0.6 * wide, foot - 0.78 * tall),
            (x + 0.6 * wide, foot - 0.78 * tall),
            (x + wide, foot),
        ],
        fill=coat,
    )
    draw.ellipse((x - 0.09 * tall, foot - tall, x + 0.09 * tall, foot - 0.76 * tall), fill=palette["skin"])

"""Scenes of the drawn paintings: landscapes, seas, mountains, canals, gardens, portraits, figures, tables of fruit.

A scene is composed at random for every picture, in flat colors from a painter's palette; brush and light come later.
"""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from labs.datamodules.embedded.painting_shapes import Palette, Size, hills, mixed, person, ramp, sky, tree


def draw_scene(scene: str, size: Size, palette: Palette, rng: np.random.Generator) -> Image.Image:
    """Draw one of `SCENES` at (width, height) pixels in the colors of a palette."""
    return SCENES[scene](size, palette, rng)


def _landscape(size: Size, palette: Palette, rng: np.random.Generator) -> Image.Image:
    width, height = size
    horizon = rng.uniform(0.4, 0.62)
    image = sky(size, palette, horizon, int(rng.integers(2, 6)), rng)
    draw = ImageDraw.Draw(image)
    hills(draw, size, horizon, rng.uniform(0.05, 0.2), palette["far"], rng)
    hills(draw, size, horizon + 0.08, 0.08, palette["mid"], rng)
    if rng.random() < 0.6:
        y = (horizon + rng.uniform(0.12, 0.2)) * height
        draw.ellipse(
            (rng.uniform(-0.2, 0.3) * width, y, rng.uniform(0.6, 1.2) * width, y + 0.14 * height), fill=palette["water"]
        )
    hills(draw, size, horizon + rng.uniform(0.28, 0.38), 0.08, palette["near"], rng)
    side = rng.choice([0.12, 0.86])
    for _ in range(rng.integers(1, 4)):
        tree(
            draw,
            (side + rng.normal(0, 0.07)) * width,
            rng.uniform(0.8, 0.95) * height,
            rng.uniform(0.35, 0.75) * height,
            palette,
            rng,
        )
    return image


def _sea(size: Size, palette: Palette, rng: np.random.Generator) -> Image.Image:
    width, height = size
    horizon = rng.uniform(0.45, 0.68)
    image = sky(size, palette, horizon, int(rng.integers(3, 8)), rng)
    draw = ImageDraw.Draw(image)
    sun, radius = (
        (rng.uniform(0.2, 0.8) * width, rng.uniform(0.3, 0.9) * horizon * height),
        rng.uniform(0.05, 0.13) * width,
    )
    draw.ellipse((sun[0] - radius, sun[1] - radius, sun[0] + radius, sun[1] + radius), fill=palette["light"])
    sea = ramp(
        (width, height - round(horizon * height)), mixed(palette["water"], palette["glow"], 0.5), palette["water"]
    )
    image.paste(sea, (0, round(horizon * height)))
    image = image.filter(ImageFilter.GaussianBlur(0.02 * width))
    draw = ImageDraw.Draw(image)
    for u, v in rng.random((8, 2)):
        y, x = (horizon + (1 - horizon) * v) * height, sun[0] + (u - 0.5) * 0.3 * width
        draw.line((x - 0.05 * width, y, x + 0.05 * width, y), fill=palette["light"])
    for _ in range(rng.integers(1, 4)):
        x, y, long = (
            rng.uniform(0.1, 0.9) * width,
            (horizon + rng.uniform(0.02, 0.25)) * height,
            rng.uniform(0.06, 0.2) * width,
        )
        draw.polygon(
            [(x - long, y), (x + long, y), (x + 0.6 * long, y + 0.3 * long), (x - 0.7 * long, y + 0.3 * long)],
            fill=palette["dark"],
        )
        draw.polygon(
            [(x, y), (x, y - 1.9 * long), (x + 0.8 * long, y - 0.2 * long)],
            fill=mixed(palette["light"], palette["near"], 0.4),
        )
    return image


def _mountain(size: Size, palette: Palette, rng: np.random.Generator) -> Image.Image:
    width, height = size
    image = sky(size, palette, 0.6, int(rng.integers(1, 4)), rng)
    draw = ImageDraw.Draw(image)
    tones = ("far", "mid", "near")
    for step, tone in enumerate(tones):
        hills(
            draw,
            size,
            rng.uniform(0.45, 0.55) + 0.17 * step,
            rng.uniform(0.25, 0.4) - 0.09 * step,
            palette[tone],
            rng,
            steep=0.7,
        )
    for u in rng.random(rng.integers(0, 4)):
        tree(draw, u * width, rng.uniform(0.85, 1.0) * height, rng.uniform(0.2, 0.4) * height, palette, rng)
    return image


def _canal(size: Size, palette: Palette, rng: np.random.Generator) -> Image.Image:
    width, height = size
    horizon = rng.uniform(0.52, 0.66)
    image = sky(size, palette, horizon, int(rng.integers(2, 6)), rng)
    draw = ImageDraw.Draw(image)
    middle = rng.uniform(0.35, 0.65) * width
    for end in (0.0, float(width)):  # houses get smaller toward the middle
        x = end
        while abs(x - middle) > 0.08 * width:
            near = abs(x - middle) / width
            wide = (0.05 + 0.22 * near) * width
            other = x + (wide if end == 0 else -wide)
            tall, wall = (
                (0.08 + rng.uniform(0.5, 0.85) * near) * height,
                mixed(palette["mid"], palette["light"], rng.uniform(0, 0.7)),
            )
            left, right = sorted((x, other))
            top = horizon * height - tall
            draw.rectangle((left, top, right, horizon * height), fill=wall)
            draw.polygon([(left, top), (right, top), ((left + right) / 2, top - 0.06 * height)], fill=palette["accent"])
            for row in np.arange(top + 0.05 * height, horizon * height - 0.03 * height, 0.08 * height):
                for column in np.arange(left + 0.02 * width, right - 0.02 * width, 0.05 * width):
                    draw.rectangle((column, row, column + 0.015 * width, row + 0.035 * height), fill=palette["dark"])
            x = other
    line = round(horizon * height)
    mirrored = image.crop((0, 2 * line - height, width, line)).transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    water = ramp((width, height - line), palette["water"], mixed(palette["water"], palette["dark"], 0.3))
    image.paste(Image.blend(water, mirrored, 0.3), (0, line))
    for _ in range(rng.integers(2, 6)):
        x, y, long = (
            rng.uniform(0.1, 0.9) * width,
            rng.uniform(horizon + 0.05, 0.95) * height,
            rng.uniform(0.05, 0.12) * width,
        )
        draw.polygon(
            [(x - long, y - 0.2 * long), (x - 0.7 * long, y), (x + 0.7 * long, y), (x + long, y - 0.2 * long)],
            fill=palette["dark"],
        )
        person(draw, x, y, 0.7 * long, palette["accent"], palette)
    return image


def _garden(size: Size, palette: Palette, rng: np.random.Generator) -> Image.Image:
    width, height = size
    image = ramp(size, palette["near"], palette["water"])
    draw = ImageDraw.Draw(image)
    for u, v, r, tone in rng.random((40, 4)):
        x, y, radius = u * width, v * height, (0.03 + 0.07 * r) * width
        fill = (
            mixed(palette["mid"], palette["near"], tone) if v < 0.5 else mixed(palette["water"], palette["sky"], tone)
        )
        draw.ellipse((x - radius, y - 0.6 * radius, x + radius, y + 0.6 * radius), fill=fill)
    if rng.random() < 0.5:
        y, sag = rng.uniform(0.3, 0.5) * height, rng.uniform(0.1, 0.25) * height
        draw.arc(
            (-0.1 * width, y, 1.1 * width, y + 2 * sag),
            180,
            360,
            fill=mixed(palette["sky"], palette["mid"], 0.5),
            width=max(2, round(0.05 * height)),
        )
    for u, v, tone in rng.random((rng.integers(15, 40), 3)):
        x, y, radius = u * width, (0.35 + 0.65 * v) * height, rng.uniform(0.012, 0.03) * width
        draw.ellipse(
            (x - radius, y - radius, x + radius, y + radius), fill=mixed(palette["light"], palette["accent"], tone)
        )
    return image


def _portrait(size: Size, palette: Palette, rng: np.random.Generator) -> Image.Image:
    width, height = size
    image = ramp(size, palette["dark"], mixed(palette["dark"], palette["near"], rng.uniform(0.1, 0.5)))
    draw = ImageDraw.Draw(image)
    x, y, face = rng.uniform(0.42, 0.58) * width, rng.uniform(0.3, 0.4) * height, rng.uniform(0.12, 0.17) * height
    coat = mixed(palette["accent"], palette["dark"], rng.uniform(0, 0.8))
    hair = mixed(palette["dark"], palette["light"], rng.choice([0.1, 0.2, 0.7]))
    draw.ellipse((x - 2.6 * face, y + 1.1 * face, x + 2.6 * face, y + 6 * face), fill=coat)
    draw.polygon(
        [(x - 0.7 * face, y + 1.3 * face), (x, y + rng.uniform(1.9, 2.8) * face), (x + 0.7 * face, y + 1.3 * face)],
        fill=palette["light"],
    )
    draw.ellipse((x - 1.05 * face, y - 1.35 * face, x + 1.05 * face, y + 0.9 * face), fill=hair)
    draw.rectangle(
        (x - 0.3 * face, y + 0.6 * face, x + 0.3 * face, y + 1.4 * face),
        fill=mixed(palette["skin"], palette["dark"], 0.3),
    )
    draw.ellipse((x - 0.75 * face, y - face, x + 0.75 * face, y + face), fill=palette["skin"])
    lit = rng.choice([-1, 1])
    draw.pieslice(
        (x - 0.75 * face, y - face, x + 0.75 * face, y + face),
        90 - 90 * (1 + lit),
        270 - 90 * (1 + lit),
        fill=mixed(palette["skin"], palette["dark"], 0.35),
    )
    for side in (-0.3, 0.3):
        draw.ellipse(
            (x + side * face - 1, y - 0.2 * face - 1, x + side * face + 1, y - 0.2 * face + 1), fill=palette["dark"]
        )
    draw.line((x - 0.2 * face, y + 0.5 * face, x + 0.2 * face, y + 0.5 * face), fill=palette["accent"])
    if rng.random() < 0.4:
        draw.ellipse(
            (x - 1.6 * face, y - 1.5 * face, x + 1.6 * face, y - 0.6 * face),
            fill=mixed(palette["dark"], palette["accent"], 0.3),
        )
    return image.filter(ImageFilter.GaussianBlur(0.6))


def _figures(size: Size, palette: Palette, rng: np.random.Generator) -> Image.Image:
    width, height = size
    image = ramp(size, palette["sky"], palette["mid"], rng.uniform(0.5, 1.0))
    draw = ImageDraw.Draw(image)
    hills(draw, size, rng.uniform(0.35, 0.55), 0.1, palette["near"], rng)
    for u in rng.random(rng.integers(0, 3)):
        tree(draw, u * width, rng.uniform(0.5, 0.8) * height, rng.uniform(0.4, 0.7) * height, palette, rng)
    for _ in range(rng.integers(2, 6)):
        coat = mixed(palette["accent"], palette[rng.choice(["light", "dark", "skin", "water"])], rng.uniform(0, 1))
        person(
            draw,
            rng.uniform(0.12, 0.88) * width,
            rng.uniform(0.78, 1.05) * height,
            rng.uniform(0.35, 0.6) * height,
            coat,
            palette,
        )
    return image


def _table(size: Size, palette: Palette, rng: np.random.Generator) -> Image.Image:
    width, height = size
    image = ramp(size, palette["far"], palette["mid"])
    draw = ImageDraw.Draw(image)
    edge = rng.uniform(0.5, 0.62) * height
    draw.rectangle((0, edge, width, height), fill=palette["near"])
    cloth = [
        (u * width, edge + v * 0.4 * height)
        for u, v in ((0.1, 0.1), (0.5, -0.1), (0.85, 0.2), (0.7, 0.95), (0.25, 0.8))
    ]
    draw.polygon([(x + rng.normal(0, 0.05) * width, y) for x, y in cloth], fill=palette["light"])
    x = rng.uniform(0.2, 0.8) * width
    draw.rectangle(
        (x - 0.06 * width, edge - 0.3 * height, x + 0.06 * width, edge + 0.08 * height), fill=palette["water"]
    )
    for u, v, tone in rng.random((rng.integers(5, 12), 3)):
        cx, cy, radius = (0.15 + 0.7 * u) * width, edge + (0.05 + 0.25 * v) * height, rng.uniform(0.05, 0.08) * width
        fill = mixed(palette["accent"], palette["skin"], tone)
        draw.ellipse((cx - radius, cy - radius, cx + radius, cy + radius), fill=mixed(fill, palette["dark"], 0.3))
        draw.ellipse((cx - radius, cy - radius, cx + 0.6 * radius, cy + 0.6 * radius), fill=fill)
    return image


SCENES: dict[str, Callable[[Size, Palette, np.random.Generator], Image.Image]] = {
    "landscape": _landscape,
    "sea": _sea,
    "mountain": _mountain,
    "canal": _canal,
    "garden": _garden,
    "portrait": _portrait,
    "figures": _figures,
    "table": _table,
}

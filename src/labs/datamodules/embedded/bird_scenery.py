"""Backgrounds and perches for the drawn birds.

Distant things are drawn small, blurred and enlarged, so that they look out of focus.
"""

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from labs.datamodules.embedded.bird_shapes import Color, Frame, shade, turned

PLACES = ("sky", "foliage", "branches", "water", "reeds")
_FAR = 4  # factor by which the blurred part is drawn smaller
_THINGS_FAR = {"sky": 4, "foliage": 26, "branches": 9, "water": 18, "reeds": 22}
# fmt: off
_BACKDROPS: dict[str, list[Color]] = {
    "sky": [(120, 170, 220), (170, 200, 225), (205, 210, 215), (230, 200, 180)],
    "foliage": [(70, 110, 60), (110, 140, 70), (60, 90, 70), (140, 150, 90)],
    "branches": [(170, 180, 170), (140, 150, 130), (190, 185, 165), (120, 130, 120)],
    "water": [(90, 130, 150), (70, 110, 130), (130, 150, 160), (90, 120, 110)],
    "reeds": [(170, 160, 110), (150, 150, 100), (190, 180, 140), (120, 130, 90)],
}
_THINGS: dict[str, list[Color]] = {  # clouds, leaves, twigs, ripples, blades
    "sky": [(235, 238, 240), (200, 210, 222)],
    "foliage": [(60, 110, 50), (130, 160, 70), (40, 70, 40), (190, 190, 100)],
    "branches": [(110, 95, 80), (80, 70, 60), (150, 140, 120)],
    "water": [(150, 180, 195), (60, 95, 120), (190, 205, 210)],
    "reeds": [(190, 170, 100), (130, 130, 70), (220, 200, 140), (100, 95, 60)],
}
_ROCK = np.array(
    [(-1, 2), (-0.75, 0.4), (-0.55, 0.08), (-0.2, -0.02), (0.25, -0.03), (0.55, 0.1), (0.85, 0.45), (1, 2)]
)
# fmt: on
_LEAF = np.array([(0, 0), (0.3, 0.2), (0.65, 0.17), (1, 0), (0.65, -0.17), (0.3, -0.2)])


def draw_scenery(size: tuple[int, int], rng: np.random.Generator) -> tuple[Image.Image, str]:
    """Draw a background of (width, height) pixels; return it with the place it shows, one of `PLACES`."""
    place = PLACES[rng.integers(len(PLACES))]
    blur = ImageFilter.BoxBlur(3.0 if place == "sky" else rng.uniform(1.0, 2.0))
    far = _draw_far(place, size[0] // _FAR, size[1] // _FAR, rng)
    image = far.filter(blur).filter(blur).resize(size, Image.Resampling.BICUBIC)
    _draw_near(image, place, rng)
    return image, place


def _draw_far(place: str, width: int, height: int, rng: np.random.Generator) -> Image.Image:
    backdrop = np.array(_pick(_BACKDROPS[place], rng.random())) * rng.uniform(0.8, 1.15)
    ramp = np.linspace(1, rng.uniform(0.6, 1.25), height)[:, None, None]
    mottle = rng.normal(0, 16, size=(height, width, 1))
    far = Image.fromarray(np.clip(backdrop * ramp + mottle, 0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(far)
    for pick, tone, u, v, w, h in rng.random((_THINGS_FAR[place], 6)):
        fill = shade(_pick(_THINGS[place], pick), 0.8 + 0.4 * tone)
        x, y = u * width, v * height
        if place in ("sky", "foliage"):
            radius = (3 + 8 * w) if place == "foliage" else (6 + 14 * w)
            draw.ellipse((x - radius, y - 0.8 * radius, x + radius, y + 0.8 * radius), fill=fill)
        elif place == "water":
            draw.line((x - 14 * w - 4, y, x + 14 * w + 4, y), fill=fill, width=1 + int(3 * h))
        elif place == "branches":
            end = (x + width * 1.6 * (w - 0.5), y + height * 1.6 * (h - 0.5))
            draw.line((x, y, *end), fill=fill, width=2 + int(3 * tone))
        else:
            draw.line((x, height, x + width * 0.5 * (w - 0.5), y - 0.4 * height), fill=fill, width=2 + int(3 * h))
    return far


def _draw_near(image: Image.Image, place: str, rng: np.random.Generator) -> None:
    """Draw a few blades or leaves in focus."""
    draw = ImageDraw.Draw(image)
    width, height = image.size
    if place == "reeds":
        for pick, thickness, u, bend in rng.random((5, 4)):
            x, sway = u * width, (bend - 0.5) * width
            blade = (x, height, x + 0.2 * sway, 0.5 * height, x + 0.6 * sway, 0)
            draw.line(blade, fill=shade(_pick(_THINGS[place], pick), 0.9), width=3 + int(5 * thickness))
    if place == "foliage":
        for pick, u, v, angle in rng.random((8, 4)):
            _draw_leaf(draw, u * width, v * height, 0.09 * width, angle, _pick(_THINGS[place], pick))


def draw_perch(image: Image.Image, place: str, foot: np.ndarray, scale: float, rng: np.random.Generator) -> None:
    """Draw what the bird stands on: a rock in the water, or a branch or a stem.

    Args:
        image: The picture to draw on.
        place: One of `PLACES`.
        foot: Position of the feet, in pixels.
        scale: Pixels per bird unit.
        rng: Determines the shape.
    """
    draw = ImageDraw.Draw(image)
    tone = rng.uniform(0.75, 1.25)
    if place == "water":
        gray = shade((110, 108, 104), tone)
        rough = rng.uniform(0.85, 1.2, size=_ROCK.shape)
        rough[3:5, 1] = 1  # flat where the bird stands
        rock = _ROCK * rough * scale + foot
        draw.polygon(rock.ravel().tolist(), fill=gray)
        draw.polygon(rock[2:6].ravel().tolist(), fill=shade(gray, 1.25))
        return
    x, y = foot.tolist()
    thickness = scale * rng.uniform(0.05, 0.11)
    slope = rng.normal(0, 0.14)
    bark = shade((150, 140, 70) if place == "reeds" else (104, 82, 62), tone)
    crook = rng.normal(0, 0.04 * scale, size=2)
    edges = np.array([-20.0, image.width + 20.0])
    left, right = np.stack([edges, y + slope * (edges - x) + crook], axis=1)
    branch = np.array([left, (x, y), right]) + np.array([0, thickness])
    draw.line(branch.ravel().tolist(), fill=bark, width=int(2 * thickness), joint="curve")
    lit = branch - (0, 0.5 * thickness)
    draw.line(lit.ravel().tolist(), fill=shade(bark, 1.25), width=max(2, int(0.5 * thickness)))
    if place == "reeds":
        return
    for along, side, tilt in rng.random((3, 3)):  # twigs
        start = along * image.width
        at = y + thickness + slope * (start - x)
        rise = scale * (0.3 + 0.5 * tilt) * (1 if side < 0.5 else -1)
        end = (start + scale * (tilt - 0.5), at + rise)
        draw.line((start, at, *end), fill=shade(bark, 0.9), width=max(2, int(0.7 * thickness)))
        if place == "foliage":
            _draw_leaf(draw, *end, 0.2 * scale, along, (96, 134, 58))


def _draw_leaf(draw: ImageDraw.ImageDraw, x: float, y: float, length: float, turn: float, fill: Color) -> None:
    leaf = Frame(length * turned(2 * np.pi * turn), np.array([x, y]))
    draw.polygon(leaf.flat(_LEAF), fill=fill)


def _pick(colors: list[Color], fraction: float) -> Color:
    return colors[int(fraction * len(colors))]

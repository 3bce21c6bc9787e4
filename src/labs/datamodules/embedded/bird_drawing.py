"""Draw one bird of a `Species` in a random pose, place and light, like a small photograph.

The bird is built in its own units (body about one unit long, facing right, y down) from discs and tapered
capsules, and a `Frame` maps the points to pixels. Plumage is painted at the final resolution and enlarged,
which blends its colors softly; everything with an edge is drawn at twice the resolution and reduced.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageChops, ImageDraw

from labs.datamodules.embedded.bird_scenery import draw_perch, draw_scenery
from labs.datamodules.embedded.bird_shapes import (
    Color,
    Frame,
    capsule,
    circle,
    fan,
    heading,
    shade,
    smooth,
    turned,
)
from labs.datamodules.embedded.bird_species import COLORS, Species

_SUPERSAMPLING = 2
_FEET = np.array([0.0, 0.62])
_HEAD_RADIUS = 0.23
_FORWARD = np.array([1.0, 0.0])

# fmt: off
_BEAKS = {  # in head radii: x forward, y down
    "cone": [(0.55, -0.34), (1.15, -0.22), (1.65, 0.16), (1.15, 0.38), (0.55, 0.44)],
    "thin": [(0.55, -0.1), (1.35, -0.02), (2.2, 0.12), (1.35, 0.2), (0.55, 0.28)],
    "hooked": [(0.55, -0.26), (1.3, -0.22), (1.7, -0.02), (1.77, 0.44), (1.5, 0.2), (1.1, 0.3), (0.5, 0.4)],
    "curved": [(0.55, -0.16), (1.35, -0.12), (1.95, 0.14), (2.4, 0.74), (1.85, 0.38), (1.3, 0.2), (0.5, 0.3)],
}
_CREST = smooth(np.array(
    [(0.7, -0.55), (0.2, -1.25), (-0.7, -1.75), (-1.5, -1.75), (-1.05, -1.2), (-0.95, -0.4), (0, 0)]
))
_TAIL_LENGTHS = {"short": 0.3, "medium": 0.52, "long": 0.85}
_TAILS = {  # one side: fraction of the length, half width
    "square": [(0.0, 0.09), (1.0, 0.14), (1.0, 0.0)],
    "forked": [(0.0, 0.09), (0.6, 0.12), (1.12, 0.21), (0.72, 0.0)],
    "round": [(0.0, 0.09), (0.65, 0.17), (0.9, 0.13), (1.0, 0.0)],
    "pointed": [(0.0, 0.1), (0.35, 0.11), (1.15, 0.0)],
}
# Parts of the folded wing: x from the shoulder to the tip, y down.
_WING = smooth(np.array(
    [(-0.1, 0), (0.05, -0.16), (0.3, -0.17), (0.6, -0.09), (0.88, 0.04), (0.6, 0.1), (0.3, 0.15), (0, 0.1)]
))
_COVERTS = smooth(np.array(
    [(-0.05, -0.02), (0.05, -0.14), (0.26, -0.15), (0.36, -0.04), (0.26, 0.09), (0.03, 0.09)]
))
_QUILLS = np.array([[(0.38, -0.01), (0.8, 0.03)], [(0.34, 0.06), (0.7, 0.07)], [(0.38, -0.08), (0.7, -0.03)]])
_WING_BAR = np.array([(0.15, -0.13), (0.19, 0.0), (0.16, 0.12), (0.1, 0.12), (0.13, 0.0), (0.09, -0.13)])
# fmt: on


@dataclass(frozen=True)
class _Pose:
    """The positions of an individual's parts, in bird units."""

    along: np.ndarray  # unit vector from the tail to the chest
    below: np.ndarray  # unit vector from the back to the belly
    chest: np.ndarray
    rump: np.ndarray
    plump: float
    head: Frame
    tail: Frame
    wing: Frame

    @classmethod
    def draw(cls, rng: np.random.Generator) -> "_Pose":
        lean = rng.uniform(0.1, 0.95)
        along, below = turned(lean)
        chest, rump = 0.2 * along, -0.46 * along
        neck = 0.38 * heading(0.6 * lean + 0.55)
        nod, wag = rng.uniform(-0.3, 0.2), rng.uniform(-0.35, 0.25)
        opening = rng.uniform(-0.12, 0.1) if rng.random() < 0.75 else rng.uniform(0.2, 0.6)
        backwards = np.array([[-1.0], [1.0]])  # tail and wing run from front to back
        return cls(
            along=along,
            below=below,
            chest=chest,
            rump=rump,
            plump=rng.uniform(0.9, 1.12),
            head=Frame(_HEAD_RADIUS * turned(nod), chest + neck),
            tail=Frame(backwards * turned(lean + wag), rump),
            wing=Frame(backwards * turned(lean - 0.06 - opening), chest - 0.02 * (along + below)),
        )


def draw_bird(species: Species, rng: np.random.Generator) -> Image.Image:
    """Draw one picture of a species.

    Args:
        species: The traits of the bird.
        rng: Determines pose, position, scale, background, light and the picture's size.

    Returns:
        An RGB image with a long side of 120 to 180 pixels, in landscape or portrait format.
    """
    long_side = int(rng.integers(120, 181))
    short_side = int(long_side * rng.uniform(0.66, 1.0))
    size = np.array((short_side, long_side) if rng.random() < 0.35 else (long_side, short_side)) * _SUPERSAMPLING
    scale = size.min() * rng.uniform(0.36, 0.56)
    facing = rng.choice((-1.0, 1.0))
    position = size * (0.5 + rng.uniform(-0.1, 0.1, size=2))
    frame = Frame(scale * turned(rng.normal(0, 0.1)) * (facing, 1.0), position)

    image, place = draw_scenery((int(size[0]), int(size[1])), rng)
    draw_perch(image, place, frame(_FEET), scale, rng)
    _draw_individual(image, species, frame, scale, rng)
    return _photograph(image.reduce(_SUPERSAMPLING), rng)


def _photograph(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Change brightness, contrast and color cast, and add sensor noise."""
    gains = rng.uniform(0.72, 1.2) * rng.normal(1.0, 0.07, size=3)
    values = (np.arange(256) - 118) * rng.uniform(0.7, 1.15) + 118
    table = np.clip(values * gains[:, None], 0, 255).astype(np.uint8)
    image = image.point(table.ravel().tolist())
    noise = rng.standard_normal((image.height, image.width, 1), dtype=np.float32) * rng.uniform(1, 6)
    return Image.fromarray(np.clip(np.asarray(image) + noise, 0, 255).astype(np.uint8))


def _draw_individual(
    image: Image.Image, species: Species, frame: Frame, scale: float, rng: np.random.Generator
) -> None:
    """Draw the bird itself, from back to front."""
    own = rng.normal(0, 7, size=3)  # plumage varies a little between individuals

    def color(name: str) -> Color:
        red, green, blue = np.clip(COLORS[name] + own + rng.normal(0, 6, size=3), 0, 255).astype(int).tolist()
        return red, green, blue

    back, cap = color(species.back), color(species.cap)
    pose = _Pose.draw(rng)
    canvas = ImageDraw.Draw(image)
    _draw_tail(canvas, species, pose, frame, back)
    _draw_legs(canvas, frame, shade(color(species.leg_color), 0.85), scale)
    if species.crest:
        canvas.polygon(frame.flat(pose.head(_CREST)), fill=shade(cap, 0.92))

    plumage = Image.new("RGB", (image.width // _SUPERSAMPLING, image.height // _SUPERSAMPLING), back)
    _paint_plumage(plumage, species, pose, frame.scaled(1 / _SUPERSAMPLING), cap, color, rng)
    mask = Image.new("L", image.size)
    stamp = ImageDraw.Draw(mask)
    stamp.polygon(frame.flat(capsule(pose.chest + 0.02 * pose.below, 0.3 * pose.plump, pose.rump, 0.1)), fill=255)
    stamp.polygon(frame.flat(circle(0.02 * pose.along + 0.06 * pose.below, 0.29 * pose.plump)), fill=255)
    stamp.polygon(frame.flat(capsule(pose.head.origin, _HEAD_RADIUS, pose.chest, 0.24)), fill=255)
    image.paste(plumage.resize(image.size, Image.Resampling.BILINEAR), mask=mask)

    _draw_wing(canvas, species, pose, frame, back, color)
    stamp.polygon(frame.flat(pose.wing(_WING)), fill=255)
    left, top, right, bottom = mask.getbbox() or (0, 0, *image.size)
    # Light falls from above: a dark veil over body and wing thickens downwards.
    veil = Image.linear_gradient("L").resize((right - left, bottom - top)).point([int(0.38 * v) for v in range(256)])
    image.paste((24, 20, 36), (left, top), ImageChops.multiply(veil, mask.crop((left, top, right, bottom))))
    _draw_face(canvas, species, pose, frame, color)


def _draw_tail(canvas: ImageDraw.ImageDraw, species: Species, pose: _Pose, frame: Frame, back: Color) -> None:
    side = np.array(_TAILS[species.tail_shape]) * (_TAIL_LENGTHS[species.tail_length], 1.0)
    outline = np.vstack([side, side[::-1] * (1, -1)])
    canvas.polygon(frame.flat(pose.tail(outline)), fill=shade(back, 0.6))
    canvas.line(frame.flat(pose.tail(side[[0, -1]] * (1, 0))), fill=shade(back, 0.42), width=2)


def _draw_legs(canvas: ImageDraw.ImageDraw, frame: Frame, color: Color, scale: float) -> None:
    for offset in (-0.1, 0.08):
        foot = _FEET + np.array([offset + 0.06, 0.0])
        leg = np.array([(offset - 0.04, 0.18), (offset - 0.04, 0.46), foot])
        canvas.line(frame.flat(leg), fill=color, width=max(3, int(scale * 0.038)))
        for toe in ((0.1, 0.03), (0.07, -0.01), (-0.07, 0.02)):
            canvas.line(frame.flat(np.array([foot, foot + toe])), fill=color, width=max(2, int(scale * 0.03)))


def _paint_plumage(
    plumage: Image.Image,
    species: Species,
    pose: _Pose,
    frame: Frame,
    cap: Color,
    color: Callable[[str], Color],
    rng: np.random.Generator,
) -> None:
    """Paint belly, breast, markings, throat and cap; the body's outline is cut from it later."""
    paint = ImageDraw.Draw(plumage)
    belly = capsule(pose.chest + 0.24 * pose.below, 0.26, pose.rump + 0.12 * pose.below, 0.12)
    paint.polygon(frame.flat(belly), fill=color(species.belly))
    breast = pose.chest + 0.12 * pose.along + 0.15 * pose.below
    paint.polygon(frame.flat(circle(breast, 0.24)), fill=color(species.breast))
    rows, columns = np.mgrid[-2:3, -2:3].reshape(2, -1)
    places = breast + 0.1 * np.stack([columns + 0.5 * (rows % 2), rows], axis=1)
    for place in places + rng.normal(0, 0.015, size=places.shape):
        if species.markings == "streaks":
            paint.polygon(frame.flat(place + circle(np.zeros(2), 1.0) * (0.017, 0.05)), fill=(62, 44, 34))
        elif species.markings == "spots":
            paint.polygon(frame.flat(circle(place, 0.028)), fill=(40, 32, 30))
    paint.polygon(frame.flat(pose.head(fan(1.25, 0.0, 1.9))), fill=color(species.throat))
    paint.polygon(frame.flat(pose.head(fan(1.3, -3.5, -0.12) - (0, 0.1))), fill=cap)


def _draw_wing(
    canvas: ImageDraw.ImageDraw,
    species: Species,
    pose: _Pose,
    frame: Frame,
    back: Color,
    color: Callable[[str], Color],
) -> None:
    canvas.polygon(frame.flat(pose.wing(_WING)), fill=shade(back, 0.72))
    canvas.polygon(frame.flat(pose.wing(_COVERTS)), fill=shade(back, 0.86))
    for quill in _QUILLS:
        canvas.line(frame.flat(pose.wing(quill)), fill=shade(back, 0.45), width=2)
    for bar in range(species.wing_bars):
        stripe = pose.wing(_WING_BAR + 0.17 * bar * _FORWARD)
        canvas.polygon(frame.flat(stripe), fill=color(species.bar_color))


def _draw_face(
    canvas: ImageDraw.ImageDraw, species: Species, pose: _Pose, frame: Frame, color: Callable[[str], Color]
) -> None:
    """Draw beak, eye ring and eye."""
    beak, outline = color(species.beak_color), _BEAKS[species.beak]
    tip = max(outline)
    canvas.polygon(frame.flat(pose.head(np.array(outline))), fill=beak)
    gape = np.array([(0.7, 0.1), (tip[0] * 0.8, 0.12), tip])
    canvas.line(frame.flat(pose.head(gape)), fill=shade(beak, 0.6), width=2)
    eye = np.array([0.38, -0.12])
    if species.eye_ring != "none":
        canvas.polygon(frame.flat(pose.head(circle(eye, 0.36))), fill=color(species.eye_ring))
    canvas.polygon(frame.flat(pose.head(circle(eye, 0.22))), fill=(16, 14, 18))
    canvas.polygon(frame.flat(pose.head(circle(eye - 0.06 * _FORWARD[::-1], 0.07))), fill=(240, 240, 240))

"""Draw one photograph of an invented person, with a random pose, mood, light and place, and the box of the face.

A face is built in its own units (half its height is one, y down) from smooth outlines, and a `Frame` maps the points
to pixels. When the head turns, the parts in front (nose, mouth, eyes) move relative to the outline.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from labs.datamodules.embedded.bird_shapes import Frame, circle, shade, smooth, turned
from labs.datamodules.embedded.face_people import Color, Person

_SUPERSAMPLING = 2
Box = tuple[int, int, int, int]
Fill = Callable[[np.ndarray, Color], None]  # draws a polygon with points in face units
Toned = Callable[[Color], Color]  # maps a color to this photograph


@dataclass(frozen=True)
class _Pose:
    """The pose of the head in one photograph, in face units."""

    yaw: float  # shift of the front to the side
    nod: float  # shift of the front down
    smile: float  # how far the corners of the mouth are up
    gape: float  # how far the mouth is open
    lids: float  # fraction of the eyes that is open
    lift: float  # how far the brows are up
    gaze: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> "_Pose":
        return cls(
            yaw=float(np.clip(rng.normal(0, 0.16), -0.34, 0.34)),
            nod=rng.normal(0, 0.04),
            smile=rng.uniform(-0.06, 0.16),
            gape=max(0.0, rng.normal(0.0, 0.06)),
            lids=rng.uniform(0.45, 1.0) if rng.random() < 0.93 else 0.1,
            lift=rng.normal(0, 0.025),
            gaze=rng.normal(0, 0.025),
        )

    def at(self, x: float, y: float, depth: float = 1.0) -> np.ndarray:
        """Return the visible position of a point on the front; the nose has more depth than the eyes."""
        return np.array([x * (1 - 0.6 * abs(self.yaw)) + depth * self.yaw, y + depth * self.nod])


def draw_face(person: Person, rng: np.random.Generator) -> tuple[Image.Image, Box]:
    """Draw one photograph of a person.

    Args:
        person: the person to draw.
        rng: determines pose, mood, place, light, clothes and the size of the photograph.

    Returns:
        An RGB image of 110 to 200 pixels, and the box of the face, as a person would mark it: x1, y1, x2, y2. It may
        extend slightly beyond the edge.
    """
    width, height = (int(side) for side in rng.integers(110, 201, size=2))
    size = np.array([width, height]) * _SUPERSAMPLING
    scale = float(size.min() * rng.uniform(0.24, 0.36))
    center = size * rng.uniform(0.40, 0.60, size=2)
    frame = Frame(scale * turned(rng.normal(0, 0.16)), center)
    image = _background((int(size[0]), int(size[1])), rng)
    own = rng.normal(0, 5, size=3)

    def toned(color: Color) -> Color:
        red, green, blue = np.clip(color + own, 0, 255).astype(int).tolist()
        return red, green, blue

    pose = _Pose.draw(rng)
    _draw_head(image, person, pose, frame, toned, rng)
    photograph = _lit(image.reduce(_SUPERSAMPLING), frame.scaled(1 / _SUPERSAMPLING), rng)
    middle, half = center / _SUPERSAMPLING, scale / _SUPERSAMPLING * rng.uniform(0.95, 1.3)
    middle = middle + rng.normal(0, 0.1, size=2) * half
    left, top, right, bottom = (round(float(v)) for v in (*(middle - half), *(middle + half)))
    return photograph, (left, top, right, bottom)


def _background(size: tuple[int, int], rng: np.random.Generator) -> Image.Image:
    """Draw a wall, a street or a garden, out of focus."""
    small = (max(size[0] // 8, 2), max(size[1] // 8, 2))
    ends = rng.uniform(40, 215, size=(2, 1)) + rng.normal(0, 18, size=(2, 3))
    ramp = np.linspace(0, 1, small[1])[:, None, None]
    values = ends[0] * (1 - ramp) + ends[1] * ramp + rng.normal(0, 12, size=(small[1], small[0], 1))
    far = Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))
    canvas = ImageDraw.Draw(far)
    for _ in range(int(rng.integers(2, 9))):
        x, y, w, h = rng.random(4) * [small[0], small[1], small[0] * 0.5, small[1] * 0.5]
        tone = np.clip(rng.uniform(30, 225) + rng.normal(0, 26, size=3), 0, 255)
        fill = tuple(tone.astype(int).tolist())
        (canvas.ellipse if rng.random() < 0.5 else canvas.rectangle)((x - w, y - h, x + w, y + h), fill=fill)
    return far.filter(ImageFilter.BoxBlur(1.2)).resize(size, Image.Resampling.BICUBIC)


def _outline(person: Person, grow: float = 1.0) -> np.ndarray:
    """Return the outline of the face: an ellipse whose lower half narrows toward the chin."""
    angles = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    x, y = np.cos(angles), np.sin(angles)
    narrow = 1 - person.forms["taper"] * np.clip(y, 0, 1) ** 1.5
    square = np.abs(x) ** 0.85 * np.sign(x)
    return np.stack([person.forms["width"] * square * narrow, y], axis=1) * grow


def _ellipse(middle: np.ndarray, width: float, height: float, angle: float = 0.0) -> np.ndarray:
    return circle(np.zeros(2), 1.0) * (width, height) @ turned(angle) + middle


def _draw_head(
    image: Image.Image, person: Person, pose: _Pose, frame: Frame, toned: Toned, rng: np.random.Generator
) -> None:
    """Draw the head from back to front."""
    canvas = ImageDraw.Draw(image)
    form = person.forms
    skin, hair = toned(person.skin), toned(person.hair)

    def fill(points: np.ndarray, color: Color) -> None:
        canvas.polygon(frame.flat(points), fill=color)

    side = form["width"]
    red, green, blue = rng.integers(15, 240, size=3).tolist()
    if person.style == "long":
        back = [(-side - 0.2, -0.6), (0, -1.2), (side + 0.2, -0.6), (side + 0.3, 1.2), (-side - 0.3, 1.2)]
        fill(smooth(np.array(back)), shade(hair, 0.8))
    elif person.style == "bun":
        fill(_ellipse(np.array([-0.4 * pose.yaw, -1.2]), 0.34, 0.3), shade(hair, 0.9))
    fill(np.array([(-0.36, 0.4), (0.36, 0.4), (0.42, 1.6), (-0.42, 1.6)]), shade(skin, 0.78))
    shoulders = [(-2.2, 3.2), (-1.9, 1.75), (-0.45, 1.35), (0, 1.6), (0.45, 1.35), (1.9, 1.75), (2.2, 3.2)]
    fill(np.array(shoulders), (red, green, blue))
    for ear in (-1, 1):
        fill(_ellipse(np.array([ear * side * 0.98 - 0.5 * pose.yaw, 0.02]), 0.11, 0.2), shade(skin, 0.86))
    face = _outline(person)
    fill(face, skin)
    _draw_beard(image, person, pose, frame, hair)
    _draw_eyes(fill, person, pose, skin, hair, toned)
    _draw_nose(fill, person, pose, skin)
    _draw_mouth(fill, person, pose, skin)
    _draw_hair(fill, person, pose, hair, rng)
    if rng.random() < person.glasses:
        for eye in (-1, 1):
            middle = pose.at(eye * form["eye_gap"], form["eye_height"], 0.8)
            rim = frame.flat(_ellipse(middle, 0.23, 0.17))
            canvas.line([*rim, *rim[:2]], fill=(25, 22, 24), width=max(2, int(0.045 * frame.axes[0, 0])))
        bridge = np.array([pose.at(-0.1, form["eye_height"] - 0.03, 0.9), pose.at(0.1, form["eye_height"] - 0.03, 0.9)])
        canvas.line(frame.flat(bridge), fill=(25, 22, 24), width=max(2, int(0.045 * frame.axes[0, 0])))


def _draw_beard(image: Image.Image, person: Person, pose: _Pose, frame: Frame, hair: Color) -> None:
    form = person.forms
    if person.beard == "none":
        return
    mask = Image.new("L", image.size)
    stamp = ImageDraw.Draw(mask)
    strength = 70 if person.beard == "stubble" else 230
    if person.beard in ("stubble", "full"):
        face = _outline(person)
        stamp.polygon(frame.flat(face[face[:, 1] > form["mouth_height"] - 0.26]), fill=strength)
    lip = pose.at(0, form["mouth_height"] - form["lips"] - 0.06)
    stamp.polygon(frame.flat(_ellipse(lip, form["mouth_width"] * 1.05, 0.06)), fill=strength)
    image.paste(shade(hair, 0.9), mask=mask)


def _draw_eyes(fill: Fill, person: Person, pose: _Pose, skin: Color, hair: Color, toned: Toned) -> None:
    form, size = person.forms, person.forms["eye_size"]
    for eye in (-1, 1):
        middle = pose.at(eye * form["eye_gap"], form["eye_height"], 0.8)
        fill(_ellipse(middle, size * 1.45, size * 1.05), shade(skin, 0.84))
        fill(_ellipse(middle, size * 1.25, size * 0.75 * pose.lids), (236, 232, 228))
        iris = middle + np.array([pose.gaze + 0.2 * pose.yaw, 0])
        if pose.lids > 0.2:
            fill(_ellipse(iris, size * 0.58, size * min(0.58, 0.72 * pose.lids)), toned(person.iris))
            fill(_ellipse(iris, size * 0.27, size * 0.27), (14, 12, 14))
        lid = middle - np.array([0, size * 0.75 * pose.lids])
        fill(_ellipse(lid, size * 1.3, 0.018), shade(hair, 0.6))
        brow = pose.at(eye * form["eye_gap"] * 1.04, form["eye_height"] - form["brow_gap"] - pose.lift, 0.8)
        fill(_ellipse(brow, size * 1.75, form["brow_width"], eye * form["brow_slant"]), shade(hair, 0.75))


def _draw_nose(fill: Fill, person: Person, pose: _Pose, skin: Color) -> None:
    form = person.forms
    top, wide = form["eye_height"] + 0.06, form["nose_width"]
    tip = pose.at(0, form["eye_height"] + form["nose_length"], 1.45)
    root = pose.at(0, top, 0.9)
    shadow, across = np.sign(pose.yaw) or 1.0, np.array([wide, 0])
    fill(np.array([root, tip + across, tip - across]), shade(skin, 0.93))
    fill(np.array([root, tip + shadow * across, tip]), shade(skin, 0.8))
    fill(_ellipse(tip, wide, 0.065), shade(skin, 0.9))
    for hole in (-1, 1):
        fill(_ellipse(tip + np.array([hole * wide * 0.5, 0.035]), 0.035, 0.022), shade(skin, 0.45))


def _draw_mouth(fill: Fill, person: Person, pose: _Pose, skin: Color) -> None:
    form = person.forms
    wide, lips = form["mouth_width"] * (1 + pose.smile), form["lips"]
    middle = pose.at(0, form["mouth_height"], 1.0)
    red, green, blue = skin
    color = (min(255, int(red * 0.82)), int(green * 0.55), int(blue * 0.58))
    corners = [(-wide, -pose.smile), (wide, -pose.smile)]
    upper, lower = -lips - pose.gape, lips + pose.gape * 1.6
    outer = [corners[0], (-wide * 0.35, upper), (0, upper * 0.8), (wide * 0.35, upper), corners[1], (0, lower)]
    fill(smooth(np.array(outer)) + middle, color)
    inner = [corners[0], (0, -pose.gape * 0.9 - 0.006), corners[1], (0, pose.gape * 1.3 + 0.006)]
    fill(np.array(inner) * (0.9, 1) + middle, (70, 26, 30))
    if pose.gape > 0.05:
        teeth = [(-wide * 0.6, -pose.gape * 0.5), (wide * 0.6, -pose.gape * 0.5), (0, pose.gape * 0.2)]
        fill(np.array(teeth) + middle, (236, 232, 224))


def _draw_hair(fill: Fill, person: Person, pose: _Pose, hair: Color, rng: np.random.Generator) -> None:
    side, line = person.forms["width"], person.forms["hairline"]
    if person.style == "bald":
        return
    line = line + rng.normal(0, 0.03) - 0.4 * pose.nod
    lean = 0.5 * pose.yaw
    top = -1.14 - abs(rng.normal(0, 0.04))
    # fmt: off
    crown = [(-side - 0.06, -0.2), (-side - 0.08, -0.7), (-0.45, top),
             (0.45, top), (side + 0.08, -0.7), (side + 0.06, -0.2)]
    under = {
        "fringe": [(side - 0.08, -0.5), (0.4, line + 0.16), (0, line + 0.22),
                   (-0.4, line + 0.16), (-side + 0.08, -0.5)],
        "parted": [(side - 0.08, -0.5), (0.55, line + 0.1), (-0.3, line - 0.24),
                   (-0.5, line + 0.05), (-side + 0.08, -0.5)],
    }.get(person.style, [(side - 0.06, -0.5), (0.4, line), (0, line - 0.05), (-0.4, line), (-side + 0.06, -0.5)])
    # fmt: on
    shifted = [(x + lean, y) for x, y in under]
    fill(smooth(np.array(crown + shifted)), hair)
    gloss = [(-0.3, top + 0.1), (0.2, top + 0.08), (0.3, top + 0.24), (-0.2, top + 0.22)]
    fill(smooth(np.array(gloss)), shade(hair, 1.25))
    if person.style == "long":
        for lock in (-1, 1):
            strand = [(lock * (side + 0.16), -0.6), (lock * (side - 0.06), -0.4), (lock * (side - 0.02), 0.6)]
            fill(smooth(np.array([*strand, (lock * (side + 0.24), 1.1)])), shade(hair, 0.92))


def _lit(image: Image.Image, frame: Frame, rng: np.random.Generator) -> Image.Image:
    """Add light from one side, change brightness, contrast and color cast, and add sensor noise."""
    rows, columns = np.mgrid[: image.height, : image.width].astype(np.float32)
    angle, depth = rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.42)
    along = ((columns - frame.origin[0]) * np.cos(angle) + (rows - frame.origin[1]) * np.sin(angle)) / frame.axes[0, 0]
    light = rng.uniform(0.7, 1.15) * (1 + depth * np.clip(along, -1.2, 1.2))
    values = (np.asarray(image, np.float32) - 118) * rng.uniform(0.75, 1.15) + 118
    values = values * light[:, :, None] * rng.normal(1.0, 0.05, size=3).astype(np.float32)
    values += rng.standard_normal(values.shape, dtype=np.float32) * rng.uniform(2, 9)
    return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))

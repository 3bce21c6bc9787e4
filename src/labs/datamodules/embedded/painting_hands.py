"""Paint a motif in one of ten hands, each modeled on a style of the dataset.

A hand chooses colors for the roles of a motif, bends its shapes, draws them, and adds strokes, light or lines. Every
hand varies from picture to picture, and the ranges of their colors overlap: pictures are recognized by how they are
painted.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from labs.datamodules.embedded.painting_motifs import MOTIFS, Rng, Shape

HANDS_VERSION = 1  # raised whenever the pictures change
ROLES = ("sky", "far", "land", "tree", "house", "skin", "cloth", "light", "water")
# Hue (0 to 1), saturation and value of each role in daylight.
_DAY = np.array(
    [
        (0.57, 0.35, 0.85), (0.6, 0.3, 0.6), (0.22, 0.45, 0.6), (0.3, 0.55, 0.45), (0.08, 0.4, 0.6),
        (0.07, 0.4, 0.85), (0.98, 0.6, 0.65), (0.13, 0.5, 0.95), (0.55, 0.45, 0.6),
    ]
)  # fmt: skip
Hand = Callable[[list[Shape], tuple[int, int], Rng], Image.Image]


class Palette(NamedTuple):
    """A hand's changes to the daylight colors."""

    saturation: float = 1.0  # factor
    value: float = 1.0  # factor
    pull: float = 0.0  # fraction by which hues move toward `hue`
    hue: float = 0.1
    spread: float = 0.03  # standard deviation of hues, from picture to picture


def paint(hand: Hand, motif: str, rng: Rng) -> Image.Image:
    """Return a picture (RGB) with a longer side of 112 to 160 pixels."""
    longer = int(rng.integers(112, 161))
    shorter = int(longer * rng.uniform(0.72, 1.0))
    size = (longer, shorter) if rng.random() < 0.6 else (shorter, longer)
    painted = hand(MOTIFS[motif](rng), size, rng)
    gains = rng.uniform(0.85, 1.12) * rng.normal(1, 0.03, 3)  # a photograph of it
    return clipped(np.asarray(painted, dtype=np.float32) * gains + rng.normal(0, 3, (size[1], size[0], 1)))


def _plain(shapes: list[Shape], size: tuple[int, int], rng: Rng) -> Image.Image:
    """Realism: quiet colors, soft light from one side, fine grain."""
    picture = lay(shapes, size, colors_of(Palette(0.75, 0.9), rng)).filter(ImageFilter.GaussianBlur(0.8))
    return _lit(picture, 0.75, 1.15, rng)


def _contours(shapes: list[Shape], size: tuple[int, int], rng: Rng) -> Image.Image:
    """Art Nouveau: flat pale colors, flowing dark contours, an ornamental frame."""
    flowing = [bent(shape, 0.025, 5.0, rng) for shape in shapes]
    colors = colors_of(Palette(0.6, 1.1, 0.3, 0.12), rng)
    picture = lay(flowing, size, colors, line=max(2, min(size) // 55), ink=(60, 38, 28))
    draw, width = ImageDraw.Draw(picture), rng.uniform(0.05, 0.09) * min(size)
    draw.rectangle((0, 0, size[0] - 1, size[1] - 1), outline=_rgb(colors["house"], 0.9), width=round(width))
    for x in np.arange(width, size[0], 2.2 * width):
        for y in (width / 2, size[1] - width / 2):
            draw.ellipse((x - 0.4 * width, y - 0.4 * width, x + 0.4 * width, y + 0.4 * width), outline=(60, 38, 28))
    return picture


def _candlelight(shapes: list[Shape], size: tuple[int, int], rng: Rng) -> Image.Image:
    """Baroque: brown darkness, and one pool of warm light."""
    picture = lay(shapes, size, colors_of(Palette(0.9, 0.95, 0.55, 0.08), rng)).filter(ImageFilter.GaussianBlur(1.0))
    y, x = _grid(size)
    distance = np.hypot(x - rng.uniform(0.3, 0.7), y - rng.uniform(0.25, 0.6)) / rng.uniform(0.3, 0.45)
    light = 0.1 + 1.25 * np.exp(-(distance**2))
    return clipped(np.asarray(picture) * light[..., None] * (1.05, 0.95, 0.8))


def _jagged(shapes: list[Shape], size: tuple[int, int], rng: Rng) -> Image.Image:
    """Expressionism: bent corners, loud unnatural colors, black edges, coarse strokes."""
    broken = [_broken(shape, 0.05, rng) for shape in shapes]
    colors = colors_of(Palette(1.9, 1.05, spread=0.16), rng)
    picture = lay(broken, size, colors, line=max(2, min(size) // 45), ink=(20, 14, 24))
    angle = rng.uniform(0, np.pi)
    return strokes(
        picture, rng, count=260, length=0.16, width=0.025, angle=lambda x, y: angle + 0.5 * (x > 0.5), jitter=22
    )


def _dabs(shapes: list[Shape], size: tuple[int, int], rng: Rng) -> Image.Image:
    """Impressionism: short dabs of light color side by side, no edges, no black."""
    picture = lay(shapes, size, colors_of(Palette(0.95, 1.2, spread=0.05), rng)).filter(ImageFilter.GaussianBlur(2))
    return strokes(picture, rng, count=1500, length=0.045, width=0.02, angle=lambda x, y: 0.3, jitter=30, turn=0.6)


def _hatching(shapes: list[Shape], size: tuple[int, int], rng: Rng) -> Image.Image:
    """Neoclassicism: an engraving, lines of one ink on paper, denser where it is dark."""
    tone = np.asarray(lay(shapes, size, colors_of(Palette(), rng), line=1, ink=(0, 0, 0)).convert("L")) / 255.0
    y, x = np.mgrid[: size[1], : size[0]]
    period = rng.uniform(3.0, 4.5)
    lines = [
        np.sin(2 * np.pi * (x * np.cos(a) + y * np.sin(a)) / period) / 2 + 0.5
        for a in rng.uniform(0, 0.3) + np.array((0.8, 2.3))
    ]
    inked = np.minimum(lines[0] < 1.15 - 1.2 * tone, 1) + ((lines[1] < 0.75 - 1.2 * tone) & (tone < 0.5))
    paper, ink = np.array((236, 222, 192)), np.array((74, 52, 36))
    share = np.clip(0.55 * inked, 0, 1)[..., None]
    return clipped(paper * (1 - share) + ink * share).filter(ImageFilter.GaussianBlur(0.4))


def _swirls(shapes: list[Shape], size: tuple[int, int], rng: Rng) -> Image.Image:
    """Post-Impressionism: long thick strokes that follow whirls, in strong color."""
    picture = lay(shapes, size, colors_of(Palette(1.35, 1.0, spread=0.05), rng))
    centers, turns = rng.uniform(0, 1, (3, 2)), rng.choice((-1, 1), 3)

    def whirl(x: float, y: float) -> float:
        away = centers - (x, y)
        pull = turns / (0.02 + (away**2).sum(1))
        return float(np.arctan2((pull * away[:, 0]).sum(), -(pull * away[:, 1]).sum()))

    return strokes(picture, rng, count=700, length=0.13, width=0.022, angle=whirl, jitter=26)


def _mist(shapes: list[Shape], size: tuple[int, int], rng: Rng) -> Image.Image:
    """Romanticism: everything dissolves toward a glowing horizon below a dark sky."""
    picture = lay(shapes, size, colors_of(Palette(0.8, 0.85, 0.2, 0.09), rng)).filter(ImageFilter.GaussianBlur(2.2))
    y, x = _grid(size)
    glow = np.exp(-(((y - rng.uniform(0.4, 0.6)) / 0.22) ** 2) - ((x - rng.uniform(0.2, 0.8)) / 0.55) ** 2)[..., None]
    dark = (1.05 - 0.75 * np.abs(y - 0.5) * 2)[..., None]
    return clipped(np.asarray(picture) * dark * (1 - 0.75 * glow) + 0.75 * glow * np.array((252, 214, 150)))


def _dream(shapes: list[Shape], size: tuple[int, int], rng: Rng) -> Image.Image:
    """Surrealism: smooth bare ground, floating objects out of scale, each with a hard shadow."""
    colors = colors_of(Palette(1.05, 1.05, spread=0.08), rng)
    y, _ = _grid(size)
    ground = (y > 0.55)[..., None]
    base = np.where(ground, _rgb(colors["house"], 1.3), _rgb(colors["sky"], 1.0)) * (0.6 + 0.5 * y[..., None])
    picture = clipped(base)
    floating = [shape for shape in shapes[1:] if np.ptp(shape.outline, axis=0).max() < 0.7][-7:]
    lifted = [
        Shape(
            s.role,
            (s.outline - s.outline.mean(0)) * rng.uniform(1.1, 1.9) + rng.uniform((0.15, 0.15), (0.85, 0.6)),
            s.lightness,
        )
        for s in floating
    ]
    lifted.append(Shape("light", _BALL * rng.uniform(0.06, 0.13) + rng.uniform((0.2, 0.2), (0.8, 0.6))))
    shadows = [Shape("land", s.outline * (1, 0.25) + (0.16, 0.62), 0.25) for s in lifted]
    return _lit(
        lay([*shadows, *lifted], size, colors, over=picture).filter(ImageFilter.GaussianBlur(0.5)), 0.8, 1.15, rng
    )


def _gold(shapes: list[Shape], size: tuple[int, int], rng: Rng) -> Image.Image:
    """Symbolism: dusk, with small golden dots and squares over blurred figures."""
    dusk = colors_of(Palette(0.9, 0.7, 0.35, 0.8, 0.05), rng)
    picture = lay(shapes, size, dusk).filter(ImageFilter.GaussianBlur(1.6))
    draw = ImageDraw.Draw(picture)
    for _ in range(int(rng.integers(120, 220))):
        x, y = rng.uniform((0, 0), size)
        half, gold = (
            rng.uniform(0.006, 0.016) * min(size),
            tuple(int(v) for v in np.array((214, 172, 70)) + rng.normal(0, 18, 3)),
        )
        figure = draw.ellipse if rng.random() < 0.5 else draw.rectangle
        figure((x - half, y - half, x + half, y + half), fill=gold if rng.random() < 0.7 else None, outline=gold)
    return picture


_BALL = np.stack((np.cos(np.linspace(0, 6.1, 30)), np.sin(np.linspace(0, 6.1, 30))), axis=1)
# In the order of the dataset's labels.
HANDS: dict[str, Hand] = {
    "contours": _contours,
    "candlelight": _candlelight,
    "jagged": _jagged,
    "dabs": _dabs,
    "hatching": _hatching,
    "swirls": _swirls,
    "plain": _plain,
    "mist": _mist,
    "dream": _dream,
    "gold": _gold,
}


def colors_of(palette: Palette, rng: Rng) -> dict[str, np.ndarray]:
    """Return hue, saturation and value of each role."""
    hue, saturation, value = _DAY.T
    away = (palette.hue - hue + 0.5) % 1 - 0.5
    hue = (hue + palette.pull * away + rng.normal(0, palette.spread, len(ROLES))) % 1
    saturation = np.clip(saturation * palette.saturation * rng.uniform(0.8, 1.2), 0, 1)
    value = np.clip(value * palette.value * rng.uniform(0.9, 1.1), 0, 1)
    return dict(zip(ROLES, np.stack((hue, saturation, value), axis=1)))


def _rgb(color: np.ndarray, lightness: float) -> tuple[int, int, int]:
    hue, saturation, value = color
    sixths = (hue * 6 + np.array((5, 3, 1))) % 6
    rgb = value * lightness * (1 - saturation * np.clip(np.minimum(sixths, 4 - sixths), 0, 1))
    red, green, blue = np.clip(rgb * 255, 0, 255).astype(int).tolist()
    return red, green, blue


def lay(
    shapes: list[Shape],
    size: tuple[int, int],
    colors: dict[str, np.ndarray],
    *,
    line: int = 0,
    ink: tuple[int, int, int] = (0, 0, 0),
    over: Image.Image | None = None,
) -> Image.Image:
    """Draw shapes at twice the resolution, with a contour of `line` pixels."""
    double = (2 * size[0], 2 * size[1])
    picture = Image.new("RGB", double) if over is None else over.resize(double)
    draw = ImageDraw.Draw(picture)
    for shape in shapes:
        points = [tuple(point) for point in shape.outline * double]
        draw.polygon(points, fill=_rgb(colors[shape.role], shape.lightness))
        if line:
            draw.line([*points, points[0]], fill=ink, width=2 * line, joint="curve")
    return picture.reduce(2)


def strokes(
    picture: Image.Image,
    rng: Rng,
    *,
    count: int,
    length: float,
    width: float,
    angle: Callable[[float, float], float],
    jitter: float,
    turn: float = 0.15,
) -> Image.Image:
    """Paint over a picture with strokes in its own colors; lengths and widths are fractions of the shorter side."""
    double = picture.resize((2 * picture.width, 2 * picture.height))
    draw, source = ImageDraw.Draw(double), np.asarray(picture)
    side = 2 * min(picture.size) * rng.uniform(0.85, 1.2)
    places = rng.uniform(0, 1, (count, 2))
    turns, colors = (
        rng.normal(0, turn, count),
        rng.normal(0, jitter, (count, 1)) + rng.normal(0, jitter / 3, (count, 3)),
    )
    for (x, y), off, shift in zip(places, turns, colors):
        color = np.clip(source[int(y * source.shape[0]), int(x * source.shape[1])] + shift, 0, 255).astype(int)
        along = angle(x, y) + off
        reach = np.array((np.cos(along), np.sin(along))) * length * side / 2
        middle = np.array((x, y)) * double.size
        draw.line([*(middle - reach), *(middle + reach)], fill=tuple(color.tolist()), width=max(1, round(width * side)))
    return double.reduce(2)


def bent(shape: Shape, much: float, waves: float, rng: Rng) -> Shape:
    """Bend an outline in waves."""
    points = np.concatenate(
        [np.linspace(a, b, 6, endpoint=False) for a, b in zip(shape.outline, np.roll(shape.outline, -1, 0))]
    )
    shift = much * np.sin(waves * points[:, ::-1] * 2 + rng.uniform(0, 6, 2))
    return shape._replace(outline=points + shift)


def _broken(shape: Shape, much: float, rng: Rng) -> Shape:
    """Move the corners of an outline at random."""
    kept = shape.outline[:: max(1, len(shape.outline) // 9)]
    return shape._replace(outline=kept + rng.normal(0, much, kept.shape) * (np.ptp(kept, axis=0) < 1))


def _lit(picture: Image.Image, dark: float, bright: float, rng: Rng) -> Image.Image:
    """Add light from one side."""
    y, x = _grid(picture.size)
    across = x if rng.random() < 0.5 else 1 - x
    return clipped(np.asarray(picture) * (dark + (bright - dark) * (0.6 * across + 0.4 * (1 - y)))[..., None])


def _grid(size: tuple[int, int]) -> np.ndarray:
    return np.mgrid[: size[1], : size[0]] / np.array((size[1], size[0])).reshape(2, 1, 1)


def clipped(values: np.ndarray) -> Image.Image:
    """Return values (height, width, 3), clipped to [0, 255], as a picture."""
    return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))

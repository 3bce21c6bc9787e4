"""Ten other painting styles, for pretraining before the practical's styles, as other birds are for the drawn birds."""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageOps

from labs.datamodules.embedded.painting_hands import Palette, bent, clipped, colors_of, lay, strokes
from labs.datamodules.embedded.painting_motifs import Rng, Shape

Size = tuple[int, int]


def _rain(shapes: list[Shape], size: Size, rng: Rng) -> Image.Image:
    picture = lay(shapes, size, colors_of(Palette(0.9), rng))
    return strokes(picture, rng, count=500, length=0.2, width=0.012, angle=lambda x, y: 1.4, jitter=25)


def _drift(shapes: list[Shape], size: Size, rng: Rng) -> Image.Image:
    picture = lay(shapes, size, colors_of(Palette(1.2), rng))
    return strokes(picture, rng, count=350, length=0.3, width=0.03, angle=lambda x, y: 0.05, jitter=20, turn=0.05)


def _points(shapes: list[Shape], size: Size, rng: Rng) -> Image.Image:
    picture = lay(shapes, size, colors_of(Palette(1.4, 1.1), rng))
    return strokes(picture, rng, count=2500, length=0.012, width=0.014, angle=lambda x, y: 0.0, jitter=45, turn=3)


def _wash(shapes: list[Shape], size: Size, rng: Rng) -> Image.Image:
    soft = lay(shapes, size, colors_of(Palette(0.45, 1.3), rng)).filter(ImageFilter.GaussianBlur(3))
    paper = rng.normal(0, 10, (size[1] // 4 + 1, size[0] // 4 + 1, 1)).repeat(4, 0).repeat(4, 1)
    return clipped(np.asarray(soft) * 0.6 + 100 + paper[: size[1], : size[0]])


def _scratches(shapes: list[Shape], size: Size, rng: Rng) -> Image.Image:
    lines = lay(shapes, size, colors_of(Palette(0.2, 0.15), rng), line=1, ink=(235, 235, 225))
    return strokes(lines, rng, count=200, length=0.08, width=0.008, angle=lambda x, y: 2.3, jitter=40)


def _tiles(shapes: list[Shape], size: Size, rng: Rng) -> Image.Image:
    step = int(rng.integers(5, 9))
    small = lay(shapes, size, colors_of(Palette(1.2), rng)).resize((size[0] // step, size[1] // step))
    picture = small.resize(size, Image.Resampling.NEAREST)
    draw = ImageDraw.Draw(picture)
    for place in range(0, max(size), step):
        draw.line((place, 0, place, size[1]), fill=(70, 66, 60))
        draw.line((0, place, size[0], place), fill=(70, 66, 60))
    return picture


def _blue(shapes: list[Shape], size: Size, rng: Rng) -> Image.Image:
    gray = lay([bent(shape, 0.02, 3.0, rng) for shape in shapes], size, colors_of(Palette(), rng)).convert("L")
    return ImageOps.colorize(gray.filter(ImageFilter.GaussianBlur(1)), (10, 18, 70), (226, 236, 250))


def _cutouts(shapes: list[Shape], size: Size, rng: Rng) -> Image.Image:
    return ImageOps.posterize(lay(shapes, size, colors_of(Palette(2.0, 1.2), rng), line=2, ink=(250, 248, 240)), 2)


def _raster(shapes: list[Shape], size: Size, rng: Rng) -> Image.Image:
    tone = np.asarray(lay(shapes, size, colors_of(Palette(), rng)).convert("L")) / 255
    y, x = np.mgrid[: size[1], : size[0]] * (2 * np.pi / rng.uniform(4, 6))
    return clipped(np.where((np.sin(x) * np.sin(y) / 2 + 0.5 < tone)[..., None], (240, 236, 224), (40, 30, 60)))


def _relief(shapes: list[Shape], size: Size, rng: Rng) -> Image.Image:
    picture = lay(shapes, size, colors_of(Palette(0.5, spread=0.1), rng))
    return Image.blend(picture, picture.filter(ImageFilter.EMBOSS), 0.7)


OTHER_HANDS: dict[str, Callable[[list[Shape], Size, Rng], Image.Image]] = {
    "rain": _rain,
    "drift": _drift,
    "points": _points,
    "wash": _wash,
    "scratches": _scratches,
    "tiles": _tiles,
    "blue": _blue,
    "cutouts": _cutouts,
    "raster": _raster,
    "relief": _relief,
}

"""Animations of a figure with few moving parts: the rest is drawn once, and all frames share one palette."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from labs.drawing.figures import Figure
from labs.storage.files import replacing

FRAME_MS = 60
HOLD_MS = 2500  # of the last frame


def save_animation(
    figure: Figure, moving: Sequence[Artist], frames: Iterable[int], show: Callable[[int], None], path: Path
) -> None:
    """Write a GIF of a figure; the last frame is shown longer.

    Args:
        figure: A figure on an Agg canvas.
        moving: The artists that change between frames, from back to front; the rest is drawn once.
        frames: Frame numbers, each of which is passed to `show`.
        show: Function that updates the moving artists.
        path: The GIF file to write.
    """
    canvas = figure.canvas
    assert isinstance(canvas, FigureCanvasAgg)
    for artist in moving:
        artist.set_animated(True)  # left out of the background
    canvas.draw()
    background = canvas.copy_from_bbox(figure.bbox)
    images = []
    for frame in frames:
        canvas.restore_region(background)
        show(frame)
        for artist in moving:
            (artist.axes or figure).draw_artist(artist)
        images.append(Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3].copy()))
    # one palette from the first and the last frame, which contain all colors: a smaller file without flicker
    palette = _palette(Image.fromarray(np.vstack([np.asarray(images[place]) for place in (0, -1)])))
    first, *rest = [image.quantize(palette=palette, dither=Image.Dither.NONE) for image in images]
    durations = [FRAME_MS] * len(rest) + [HOLD_MS]
    with replacing(path) as staged:
        first.save(staged, format="GIF", save_all=True, append_images=rest, duration=durations, loop=0, optimize=False)


def _palette(picture: Image.Image) -> Image.Image:
    """Return a palette of 128 colors of a picture, in which nearly white colors become white.

    Pillow compares colors in steps of four, so it might replace white by a nearly white color.
    """
    colors = np.reshape(picture.quantize(colors=128, dither=Image.Dither.NONE).getpalette() or [255] * 3, (-1, 3))
    colors[colors.min(axis=1) > 244] = 255
    image = Image.new("P", (1, 1))
    image.putpalette(colors.ravel().tolist())
    return image

"""Images beside maps of what a net looked at in them, without any check."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from torch import Tensor

from labs import LabsError
from labs.drawing.map_sheets import map_picture, overlay
from labs.drawing.tile_sheets import Section, Tile, tile_sheet
from labs.functional.tiles import as_bytes
from labs.inspection.maps import MAPS

WORDS = {"saliency": "gradient", **{word: word for word in MAPS}}  # what a map is called on the command line
NOTE = "Bright: the score of the answer depends on these pixels. The map was not compared with that of random weights."
LEAST = 4  # columns of a sheet of several images, or few of them would be larger than they need to be


def map_named(typed: str, key: str) -> str:
    """Return the map of `labs.inspection.maps` that a word means: its own, or a longer beginning of its name.

    Raises:
        LabsError: there is none; names them all.

    Examples:
        >>> [map_named(word, "explain") for word in ("saliency", "guided", "guided_backprop", "grad_cam")]
        ['gradient', 'guided', 'guided', 'grad_cam']
    """
    names = {word: MAPS[word].partition(" (")[0] for word in MAPS}
    longer = [
        word for word, name in names.items() if typed.startswith(word) and name.startswith(typed.replace("_", " "))
    ]
    if typed not in WORDS and not longer:
        raise LabsError(f"{key}={typed}: expected {', '.join(list(WORDS)[:-1])} or {list(WORDS)[-1]}.")
    return WORDS.get(typed) or longer[0]


def explained_sheet(
    images: Tensor, maps: Tensor, captions: Sequence[str], path: Path, title: str, labels: Sequence[str]
) -> None:
    """Draw images, their maps, and the maps over them: of one image side by side, of several below each other.

    Args:
        images: (batch, 1 or 3, height, width) in [0, 1].
        maps: (batch, height, width), 0 or more.
        captions: one an image.
        path: the PNG file to write.
        title: printed above.
        labels: what a reader must know, such as "embedded data"; printed below the title.
    """
    rows = {
        "image": [Tile(_colored(image), caption) for image, caption in zip(images, captions, strict=True)],
        "map": [Tile(map_picture(values) / 255) for values in maps],
        "map over image": [Tile(overlay(image, values) / 255) for image, values in zip(images, maps, strict=True)],
    }
    if len(images) > 1:
        sections = [Section(word, tiles) for word, tiles in rows.items()]
        tile_sheet(sections, path, title, labels, columns=max(len(images), LEAST), note=NOTE)
    else:
        named = [Tile(tile.picture, tile.caption or word) for word, (tile,) in rows.items()]
        tile_sheet([Section("", named)], path, title, labels, columns=3, note=NOTE)


def _colored(image: Tensor) -> np.ndarray:
    return as_bytes(image.expand(3, -1, -1)).permute(1, 2, 0).numpy() / 255

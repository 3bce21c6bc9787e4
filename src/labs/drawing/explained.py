"""Images with attribution maps of a net, without any check of the maps."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from torch import Tensor

from labs import LabsError
from labs.drawing.map_sheets import map_picture, overlay
from labs.drawing.tile_sheets import Section, Tile, tile_sheet
from labs.functional.tiles import as_bytes
from labs.inspection.maps import MAPS

WORDS = {"saliency": "gradient", **{word: word for word in MAPS}}  # names of maps on the command line
NOTE = "Bright: the score of the predicted class depends on these pixels. The map was not checked with random weights."
LEAST = 4  # smallest number of columns for several images, so that few images are not too large


def map_named(typed: str, key: str) -> str:
    """Return the key of `labs.inspection.maps.MAPS` for a word: the key itself, or more letters of the method's name.

    Raises:
        LabsError: If there is no such map. The message lists all.

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
    """Draw images, their maps, and overlays of both: side by side for one image, below each other for several.

    Args:
        images: (batch, 1 or 3, height, width) in [0, 1].
        maps: (batch, height, width), 0 or more.
        captions: One caption per image.
        path: The PNG file to write.
        title: Title of the sheet.
        labels: Notes for the reader, such as "embedded data"; printed below the title.
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

"""Read one picture, a file of the user or an embedded photograph, and bring it to a size."""

import difflib
import itertools
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps

from labs import LabsError
from labs.datamodules.embedded.photographs import PHOTOGRAPHS
from labs.datamodules.image_files import UnreadableImageError, read_rgb
from labs.storage.files import cut

SHEET = "sheet"  # `images/sheet.png` of a run
RESAMPLING = Image.Resampling.LANCZOS  # antialiased; keeps the fine strokes that a style is made of


def read_picture(source: str, *, key: str) -> tuple[Image.Image, list[str]]:
    """Decode a picture as `labs.datamodules.image_files.read_rgb` does, at the size it is stored at.

    Args:
        source: A file, or the name of an embedded photograph; of a file with such a name, type `./name`.
        key: Of the recipe, such as `datamodule.style`; error messages name it.

    Returns:
        The picture (mode RGB), and what was converted of a file of the user, in words.

    Raises:
        LabsError: There is no such file, no picture can be decoded from it, or one of less than 8 pixels either way.
    """
    typed = f"{key}={source}"
    path = PHOTOGRAPHS[source].path if source in PHOTOGRAPHS else _existing(source, typed)
    try:
        picture, words = read_rgb(path)
    except UnreadableImageError as error:
        raise LabsError(f"{typed}: {error.why}; save it anew as JPEG or PNG, or type another picture.") from error
    return picture, [] if source in PHOTOGRAPHS else words


def identity(source: str) -> str:
    """Return what two ways of typing one picture have in common: its name, or its absolute path."""
    return source if source in PHOTOGRAPHS else str(Path(source).absolute())


def file_name(source: str) -> str:
    """Return the stem of a picture in letters, digits, `.`, `-` and `_` alone, for the names of what is made of it.

    Examples:
        >>> file_name("holiday/My cat (2).jpeg")
        'My-cat-2'
    """
    return cut(re.sub(r"[^\w.-]+", "-", Path(source).stem).strip("-.")[:60], 90) or "picture"


def unique_names(pairs: Sequence[tuple[str, str]]) -> list[str]:
    """Name each pair `<content>_<style>`, with a number where that is taken."""
    return numbered(["_".join(map(file_name, pair)) for pair in pairs])


def numbered(wanted: Sequence[str]) -> list[str]:
    """Return names with a number where one is taken, on disks that know no capitals too.

    `sheet` is taken: a run draws all its images there.

    Examples:
        >>> numbered(["cat", "Cat", "dog", "sheet"])
        ['cat', 'Cat_2', 'dog', 'sheet_2']
    """
    names = [SHEET]
    for first in wanted:
        name = first
        numbers = itertools.count(2)
        while name.casefold() in map(str.casefold, names):
            name = f"{first}_{next(numbers)}"
        names.append(name)
    return names[1:]


def resize(image: Image.Image, shorter: int) -> Image.Image:
    """Resize a picture to `shorter` pixels of the shorter side; the longer is rounded down, as torchvision's Resize."""
    lengths = [int(shorter * length / min(image.size)) for length in image.size]
    return image.resize((lengths[0], lengths[1]), RESAMPLING)


def cover(image: Image.Image, height: int, width: int) -> Image.Image:
    """Resize a picture until it just covers a size in pixels, and cut what stands out evenly on both sides."""
    return ImageOps.fit(image, (width, height), RESAMPLING)


def to_tensor(image: Image.Image) -> torch.Tensor:
    """Return a picture of mode RGB as (3, height, width), float32 in [0, 1]."""
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).float().div(255).contiguous()


def _existing(source: str, typed: str) -> Path:
    """Return the path of a file, or say what could have been meant."""
    if "://" in source:
        raise LabsError(f"{typed}: an address; download the picture and type the path of the file.")
    try:
        path = Path(source).expanduser()
        is_folder, is_file = source != "" and path.is_dir(), path.is_file()
        dangling = path.is_symlink() and not path.exists()
    except (OSError, RuntimeError) as error:  # a folder that may not be entered, a home that does not exist
        raise LabsError(f"{typed}: cannot be opened ({error}); type the path of a picture you may read.") from error
    if is_folder:
        raise LabsError(f"{typed}: a folder; type the path of one picture, such as {typed.rstrip('/')}/picture.jpg.")
    if dangling:
        raise LabsError(f"{typed}: a link to a file that is not there.")
    if not is_file:
        close = difflib.get_close_matches(source.lower(), PHOTOGRAPHS, n=1)
        hint = f" (did you mean {close[0]}?)" if close else ""
        raise LabsError(
            f"{typed}: there is no such file, and no embedded picture of this name{hint}. "
            f"Embedded pictures: {', '.join(PHOTOGRAPHS)}."
        )
    return path

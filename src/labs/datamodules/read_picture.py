"""Read and resize one picture: a user's file or an embedded photograph."""

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
from labs.datamodules.image_files import TOO_LARGE, UnreadableImageError, read_rgb
from labs.storage.files import cut, portable

SHEET = "sheet"  # `images/sheet.png` of a run
RESAMPLING = Image.Resampling.LANCZOS  # antialiased; keeps the fine brush strokes of a style


def read_picture(source: str, *, key: str) -> tuple[Image.Image, list[str]]:
    """Decode a picture with `labs.datamodules.image_files.read_rgb`, without resizing it.

    Args:
        source: A file, or the name of an embedded photograph; for a file with the same name, type `./name`.
        key: The config key for error messages, such as `datamodule.style`.

    Returns:
        The picture (mode RGB), and a list of the conversions of a user's file.

    Raises:
        LabsError: The file is missing, not a readable picture, or smaller than 8 pixels.
    """
    typed = f"{key}={source}"
    path = PHOTOGRAPHS[source].path if source in PHOTOGRAPHS else _existing(source, typed)
    try:
        picture, words = read_rgb(path)
    except UnreadableImageError as error:
        how = "smaller" if error.reason == TOO_LARGE else "again as JPEG or PNG"
        raise LabsError(f"{typed}: {error.why}; save it {how}, or type another picture.") from error
    return picture, [] if source in PHOTOGRAPHS else words


def identity(source: str) -> str:
    """Return a key that is equal for all ways to type the same picture: its name, or its absolute path."""
    return source if source in PHOTOGRAPHS else str(Path(source).absolute())


def file_name(source: str) -> str:
    """Return a picture's stem with only letters, digits, `.`, `-` and `_`, for names of output files.

    Examples:
        >>> file_name("holiday/My cat (2).jpeg")
        'My-cat-2'
    """
    return portable(cut(re.sub(r"[^\w.-]+", "-", Path(source).stem).strip("-.")[:60], 90)) or "picture"


def unique_names(pairs: Sequence[tuple[str, str]]) -> list[str]:
    """Name each pair `<content>_<style>`, with a number if the name is taken."""
    return numbered(["_".join(map(file_name, pair)) for pair in pairs])


def numbered(wanted: Sequence[str]) -> list[str]:
    """Return names with a number if one is taken, also on disks that ignore capitalization.

    `sheet` is always taken, because a run draws all its images there.

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
    """Resize the shorter side to `shorter` pixels; round the longer side down, like torchvision's Resize."""
    lengths = [int(shorter * length / min(image.size)) for length in image.size]
    return image.resize((lengths[0], lengths[1]), RESAMPLING)


def cover(image: Image.Image, height: int, width: int) -> Image.Image:
    """Resize a picture to cover a size in pixels, and center-crop it."""
    return ImageOps.fit(image, (width, height), RESAMPLING)


def to_tensor(image: Image.Image) -> torch.Tensor:
    """Return a picture of mode RGB as (3, height, width), float32 in [0, 1]."""
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).float().div(255).contiguous()


def _existing(source: str, typed: str) -> Path:
    """Return the path of a file, or raise an error that suggests a picture."""
    if "://" in source:
        raise LabsError(f"{typed}: this is an address; download the picture and type the path of the file.")
    try:
        path = Path(source).expanduser()
        is_folder, is_file = source != "" and path.is_dir(), path.is_file()
        dangling = path.is_symlink() and not path.exists()
    except (OSError, RuntimeError) as error:  # no permission, or an unknown home directory
        raise LabsError(f"{typed}: cannot be opened ({error}); type a picture that you can read.") from error
    if is_folder:
        raise LabsError(f"{typed}: this is a folder; type one picture, such as {typed.rstrip('/')}/picture.jpg.")
    if dangling:
        raise LabsError(f"{typed}: this is a broken link; type another picture.")
    if not is_file:
        close = difflib.get_close_matches(source.lower(), PHOTOGRAPHS, n=1)
        hint = f" (did you mean {close[0]}?)" if close else ""
        raise LabsError(
            f"{typed}: no such file, and no embedded picture with this name{hint}. "
            f"Embedded pictures: {', '.join(PHOTOGRAPHS)}."
        )
    return path

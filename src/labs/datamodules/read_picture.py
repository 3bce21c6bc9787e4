"""Read one picture, a file of the user or an embedded photograph, as RGB of 8 bits, and bring it to a size."""

import difflib
import itertools
import re
import struct
import warnings
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError

from labs import LabsError
from labs.datamodules.embedded.photographs import PHOTOGRAPHS
from labs.storage.files import cut

LEAST_PIXELS = 8  # of height and width
RESAMPLING = Image.Resampling.LANCZOS  # antialiased; keeps the fine strokes that a style is made of
# What Pillow raises for a file that begins like a picture and does not go on like one.
BROKEN = (OSError, ValueError, SyntaxError, TypeError, EOFError, IndexError, KeyError, struct.error, zlib.error)


def read_picture(source: str, *, key: str) -> Image.Image:
    """Decode a picture upright, on white where it is transparent.

    The first frame of an animation or page of a file is read, and colour profiles are ignored. 16-bit grey is divided
    by 257. Float and 32-bit grey within [0, 1], or [0, 65535] for whole numbers, keeps its brightness; beyond that it
    is stretched from the smallest value to the largest.

    Args:
        source: A file, or the name of an embedded photograph; of a file with such a name, type `./name`.
        key: Of the recipe, such as `datamodule.style`; error messages name it.

    Returns:
        Mode RGB, 8 bits a channel, at the size it is stored at.

    Raises:
        LabsError: There is no such file, no picture can be decoded from it, or one of less than 8 pixels either way.
    """
    typed = f"{key}={source}"
    path = PHOTOGRAPHS[source].path if source in PHOTOGRAPHS else _existing(source, typed)
    try:
        with warnings.catch_warnings():
            # Between one and two times Pillow's limit it only warns; a photograph of 100 million pixels is welcome.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                image.load()
                picture = _rgb(ImageOps.exif_transpose(image))
    except Image.DecompressionBombError:
        limit = 2 * (Image.MAX_IMAGE_PIXELS or 0) / 1e6
        raise LabsError(f"{typed}: more than {limit:.0f} million pixels; type the path of a smaller copy.") from None
    except UnidentifiedImageError:
        raise LabsError(
            f"{typed}: not a picture that Pillow can read; save it as JPEG or PNG and type that path."
        ) from None
    except BROKEN as error:
        raise LabsError(
            f"{typed}: the picture cannot be decoded ({' '.join(str(error).split()) or type(error).__name__}); "
            "is the file complete? Save it anew as JPEG or PNG and type that path."
        ) from error
    if min(picture.size) < LEAST_PIXELS:
        raise LabsError(
            f"{typed}: {picture.height}x{picture.width} pixels (height x width); "
            f"type a picture of at least {LEAST_PIXELS}x{LEAST_PIXELS}."
        )
    return picture


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
    """Name each pair `<content>_<style>`, with a number where that is taken, on disks that know no capitals too."""
    names: list[str] = []
    for pair in pairs:
        name = first = "_".join(map(file_name, pair))
        numbers = itertools.count(2)
        while name.casefold() in map(str.casefold, names):
            name = f"{first}_{next(numbers)}"
        names.append(name)
    return names


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
    except (OSError, RuntimeError) as error:  # a folder that may not be entered, a home that does not exist
        raise LabsError(f"{typed}: cannot be opened ({error}); type the path of a picture you may read.") from error
    if is_folder:
        raise LabsError(f"{typed}: a folder; type the path of one picture, such as {typed.rstrip('/')}/picture.jpg.")
    if not is_file:
        close = difflib.get_close_matches(source.lower(), PHOTOGRAPHS, n=1)
        hint = f" (did you mean {close[0]}?)" if close else ""
        raise LabsError(
            f"{typed}: there is no such file, and no embedded picture of this name{hint}. "
            f"Embedded pictures: {', '.join(PHOTOGRAPHS)}."
        )
    return path


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":  # Pillow's own conversion would cut off above 255
        return Image.fromarray(_eight_bits(np.asarray(image))).convert("RGB")
    if image.mode in ("LA", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        upper = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", upper.size, "white"), upper).convert("RGB")
    return image.convert("RGB")


def _eight_bits(grey: np.ndarray) -> np.ndarray:
    """Scale grey levels (height, width) of 16 or 32 bits to uint8."""
    values = grey.astype(np.float64)
    if not np.isfinite(values).all():
        raise ValueError("it holds values that are not finite numbers")  # becomes a LabsError above
    lowest, highest = 0.0, 1.0 if grey.dtype.kind == "f" else 65535.0
    if values.min() < lowest or values.max() > highest:
        lowest, highest = values.min(), values.max()
    return np.round((values - lowest) * (255 / ((highest - lowest) or 1))).astype(np.uint8)

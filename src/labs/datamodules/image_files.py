"""Find image files, and read them as 8-bit RGB: the only place where files are decoded."""

import threading
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, ImageFile, UnidentifiedImageError

from labs import LabsError

READER = 2  # version, part of the names of stores; raised when the same files give different pixels
LEAST_PIXELS = 8  # minimum height and width
_ORIENTATION = 0x0112  # EXIF's tag
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_WORDS = {"1": "black and white", "L": "gray", "LA": "gray", "La": "gray", "P": "palette", "PA": "palette", "F": "gray"}
_QUIET = threading.Lock()  # warning filters hold for the whole process, and images are read in threads


class UnreadableImageError(LabsError):
    """A file is not a usable image.

    Attributes:
        reason: The kind of problem in a few words, such as `zero bytes` or `truncated`.
        why: The reason, with Pillow's message.
    """

    def __init__(self, path: Path, reason: str, detail: str = "") -> None:
        self.reason, self.why = reason, f"{reason} ({detail})" if detail else reason
        super().__init__(f"{path}: {self.why}")


def read_rgb(path: Path, *, least: int = LEAST_PIXELS, upright: bool = True) -> tuple[Image.Image, list[str]]:
    """Decode an image to upright 8-bit RGB, transparency on white; of an animation, use the first frame.

    With 16 bits per channel, gray is divided by 257 and colors keep their upper byte. 32-bit gray keeps its brightness
    if the values fit into [0, 255] or [0, 65535] (floats: also [0, 1]); otherwise it is scaled from its minimum to its
    maximum. Color profiles are ignored.

    Args:
        path: The file; its suffix does not matter.
        least: Minimum height and width in pixels.
        upright: Whether to rotate it by its EXIF tag; set to False if positions refer to the pixels of the file.

    Returns:
        The image (mode RGB), and a list of the conversions, which is empty for an ordinary JPEG.

    Raises:
        UnreadableImageError: The file is missing, not an image, damaged, too small or too large.
    """
    _check(path)
    words: list[str] = []
    try:
        with _quiet():
            image = Image.open(path)
            orientation = _tag(image, _ORIENTATION)  # Pillow rotates a TIFF itself and drops the tag
        with image:
            if image.format == "EPS":  # Pillow would run it in Ghostscript without a time limit
                raise UnreadableImageError(path, "EPS, which is a program")  # noqa: TRY301
            depth = _depth(image)
            image.load()
            picture = _rgb(image, depth, words)
            with _quiet():
                left = _exif_orientation(image) if upright else None
            if left in _UPRIGHT:
                picture = picture.transpose(_UPRIGHT[left])
            words += ["rotated by EXIF"] if {left, orientation} & set(_UPRIGHT) else []
            words += _first_frame(image)  # last, because it moves to another frame
    except (UnreadableImageError, MemoryError):
        raise
    except Image.DecompressionBombError:
        limit = 2 * (Image.MAX_IMAGE_PIXELS or 0) / 1e6
        raise UnreadableImageError(path, f"more than {limit:.0f} million pixels") from None
    except UnidentifiedImageError:
        raise UnreadableImageError(path, _kind(path)) from None
    except Exception as error:  # Pillow's readers fail in many ways on damaged files
        if isinstance(error, OSError) and error.errno is not None:  # from the system, not from Pillow
            raise UnreadableImageError(path, "cannot be opened", error.strerror or "") from error
        detail = " ".join(str(error).split()) or type(error).__name__
        cut = isinstance(error, EOFError) or "truncated" in detail.lower() or "only got" in detail
        raise UnreadableImageError(path, "truncated" if cut else "damaged", detail) from error
    if min(picture.size) < least:
        found = f"{picture.height}x{picture.width}, height x width"
        raise UnreadableImageError(path, f"smaller than {least} pixels", found)
    return picture, words


@contextmanager
def truncated_too() -> Iterator[None]:
    """Let `read_rgb` read truncated files inside the block; missing parts become gray or black.

    This is a setting of Pillow and holds for all threads.
    """
    before, ImageFile.LOAD_TRUNCATED_IMAGES = ImageFile.LOAD_TRUNCATED_IMAGES, True
    try:
        yield
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = before


def fault_of(path: Path) -> str:
    """Return why a file cannot be used as an image, or an empty string if it can."""
    try:
        read_rgb(path)
    except UnreadableImageError as error:
        return error.why
    return ""


def image_files(folder: Path) -> tuple[list[Path], Counter[str]]:
    """List the images in a folder by their suffixes, sorted, and count the other files by description."""
    images, others = [], Counter[str]()
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.name in ("Thumbs.db", "desktop.ini"):
            others["hidden"] += 1
        elif path.is_dir():
            others["folder"] += 1
        elif path.suffix.lower() in suffixes():
            images.append(path)
        else:
            others[path.suffix.lower() or "without suffix"] += 1
    return images, others


def images_below(folder: Path) -> tuple[list[Path], Counter[str]]:
    """List the images in a folder and its subfolders, sorted, except hidden ones, and count the other files."""
    images, others = [], Counter[str]()
    below = sorted(part for part in folder.rglob("*") if part.is_dir())
    hidden = [part for part in below if any(name[0] == "." for name in part.relative_to(folder).parts)]
    for place in (folder, *(part for part in below if part not in hidden)):
        inside, beside = image_files(place)
        images += inside
        others.update({what: number for what, number in beside.items() if what != "folder"})
    return images, others


@cache
def suffixes() -> frozenset[str]:
    """Return the suffixes of the formats that Pillow reads, in lowercase, such as `.jpg`."""
    return frozenset(suffix for suffix, name in Image.registered_extensions().items() if name in Image.OPEN)


def counted(numbers: Mapping[str, int]) -> str:
    """Return counts as text, largest first.

    Examples:
        >>> counted({"CMYK": 1, "gray": 12})
        '12 gray, 1 CMYK'
    """
    largest_first = sorted(numbers.items(), key=lambda item: -item[1])
    return ", ".join(f"{number} {what}" for what, number in largest_first if number)


def _check(path: Path) -> None:
    """Raise an error unless the path is a regular file, because reading a pipe might never end."""
    try:
        if path.is_file():
            if path.stat().st_size == 0:
                raise UnreadableImageError(path, "zero bytes")
            return
        if path.is_dir():
            raise UnreadableImageError(path, "a folder")
        dangling = path.is_symlink()
    except OSError as error:
        raise UnreadableImageError(path, "cannot be opened", error.strerror or "") from error
    raise UnreadableImageError(path, "a broken link" if dangling else "no such file")


@contextmanager
def _quiet() -> Iterator[None]:
    """Ignore warnings about images with 100 million pixels, which are allowed, and about broken EXIF data."""
    with _QUIET, warnings.catch_warnings(action="ignore"):
        yield


def _kind(path: Path) -> str:
    """Describe a file that Pillow cannot identify."""
    with path.open("rb") as file:
        begin = file.read(512)
    text = begin.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype html", b"<html", b"<head")):
        return "an HTML page"
    if begin[4:12] in (b"ftypheic", b"ftypheix", b"ftyphevc", b"ftypmif1", b"ftypmsf1"):
        return "HEIC, which Pillow cannot read"
    return "not an image that Pillow can read"


def _tag(image: Image.Image, number: int) -> int | None:
    """Return the value of a TIFF tag, if it is a number."""
    value = getattr(image, "tag_v2", {}).get(number)
    return value if isinstance(value, int) else None


def _depth(image: Image.Image) -> int:
    """Return the bits per channel in the file, as far as Pillow knows before decoding."""
    tiles = getattr(image, "tile", None)
    arguments = tiles[0].args if tiles else ""
    raw, *rest = (arguments,) if isinstance(arguments, str) else arguments or ("",)
    if image.format == "PPM" and rest and isinstance(rest[0], int):
        return 16 if rest[0] > 255 else 8  # the maximum value, which Pillow scales to that of the bits
    digits = "".join(c for c in str(raw).partition(";")[2] if c.isdigit())  # such as RGB;16B
    return int(digits) if digits else {"1": 1, "I;16": 16, "I": 32, "F": 32}.get(image.mode, 8)


def _exif_orientation(image: Image.Image) -> int | None:
    try:
        value = image.getexif().get(_ORIENTATION)
    except Exception:  # broken EXIF data does not make an image unreadable
        return None
    return value if isinstance(value, int) else None


def _first_frame(image: Image.Image) -> list[str]:
    try:
        frames = int(getattr(image, "n_frames", 1))
    except Exception:  # a later frame is damaged
        return ["first frame"]
    return [f"first frame of {frames}"] if frames > 1 else []


def _rgb(image: Image.Image, depth: int, words: list[str]) -> Image.Image:
    """Convert to RGB, and add the conversions to `words`."""
    transparent = image.info.get("transparency")
    if image.mode.startswith("I") or image.mode == "F":  # Pillow's own conversion would clip at 255
        words += ["gray", "floats to 8 bits" if image.mode == "F" else f"{depth} bits to 8"]
        values = np.asarray(image)
        gray = _eight_bits(values, depth, inverted=_tag(image, 262) == 0)
        if isinstance(transparent, int) and (values == transparent).any():
            gray = np.where(values == transparent, np.uint8(255), gray)
            words.append("transparent on white")
        return Image.fromarray(gray).convert("RGB")
    words += [_WORDS.get(image.mode, image.mode)] if image.mode not in ("RGB", "RGBA", "RGBa", "RGBX") else []
    words += [f"{depth} bits to 8"] if depth > 8 else []
    if image.mode == "LAB":
        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        return ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB") or image
    if image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or transparent is not None:
        if isinstance(transparent, tuple) and depth == 16:
            image.info["transparency"] = tuple(level >> 8 for level in transparent)  # like the pixels
        elif isinstance(transparent, int) and image.mode == "L" and depth in (2, 4):
            image.info["transparency"] = transparent * 255 // (2**depth - 1)
        upper = image.convert("RGBA")
        if upper.getchannel("A").getextrema() != (255, 255):
            words.append("transparent on white")
            upper = Image.alpha_composite(Image.new("RGBA", upper.size, "white"), upper)
        return upper.convert("RGB")
    return image.convert("RGB")


def _eight_bits(values: np.ndarray, depth: int, *, inverted: bool) -> np.ndarray:
    """Scale gray levels (height, width) of more than 8 bits to uint8."""
    levels = values.astype(np.float64)
    if not np.isfinite(levels).all():
        raise ValueError("some values are not finite")
    lowest = 0.0
    if depth <= 16 and levels.min() >= 0:
        highest = 2.0**depth - 1
    else:
        ranges = (1.0, 255.0, 65535.0) if values.dtype.kind == "f" else (255.0, 65535.0)
        fitting = (top for top in ranges if levels.min() >= 0 and levels.max() <= top)
        highest = next(fitting, 0.0)
        if not highest:
            lowest, highest = levels.min(), levels.max()
    scaled = (levels - lowest) * (255 / ((highest - lowest) or 1))
    return np.round(255 - scaled if inverted else scaled).astype(np.uint8)

"""Find image files, and read any of them as RGB of 8 bits: the one place where files are decoded."""

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

READER = 2  # version: other pixels from the same files are another one, and stores are named after it
LEAST_PIXELS = 8  # of height and width: below, nothing can be seen
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
_WORDS = {"1": "black and white", "L": "grey", "LA": "grey", "La": "grey", "P": "palette", "PA": "palette", "F": "grey"}
_QUIET = threading.Lock()  # the filters of warnings belong to the whole process, and images are read in threads


class UnreadableImageError(LabsError):
    """A file is no image that can be used.

    Attributes:
        reason: A few words, equal for files of one fault, such as `zero bytes` or `truncated`.
        why: The reason, with what Pillow said.
    """

    def __init__(self, path: Path, reason: str, detail: str = "") -> None:
        self.reason, self.why = reason, f"{reason} ({detail})" if detail else reason
        super().__init__(f"{path}: {self.why}")


def read_rgb(path: Path, *, least: int = LEAST_PIXELS, upright: bool = True) -> tuple[Image.Image, list[str]]:
    """Decode an image upright, in 8 bits, on white where it is transparent; of an animation, the first frame.

    Of 16 bits a channel, grey is divided by 257 and colors keep their upper byte. Grey of 32 bits keeps its brightness
    where its values fit into [0, 255] or [0, 65535] (floats: also [0, 1]); otherwise it is stretched from its smallest
    value to its largest. Color profiles are ignored.

    Args:
        path: The file; its suffix does not matter.
        least: Pixels that its height and width must have.
        upright: Whether to turn it as its EXIF tag says; not where places in it are given in pixels of the file.

    Returns:
        The image (mode RGB), and what was converted, in words: none for an ordinary JPEG.

    Raises:
        UnreadableImageError: There is no such file, it is no image, is damaged, too small or too large.
    """
    _check(path)
    words: list[str] = []
    try:
        with _quiet():
            image = Image.open(path)
            orientation = _tag(image, _ORIENTATION)  # Pillow turns a TIFF by itself, and then forgets it
        with image:
            if image.format == "EPS":  # Pillow would have Ghostscript run it, however long that takes
                raise UnreadableImageError(path, "EPS, which is a program")  # noqa: TRY301
            depth = _depth(image)
            image.load()
            picture = _rgb(image, depth, words)
            with _quiet():
                left = _exif_orientation(image) if upright else None
            if left in _UPRIGHT:
                picture = picture.transpose(_UPRIGHT[left])
            words += ["rotated by EXIF"] if {left, orientation} & set(_UPRIGHT) else []
            words += _first_frame(image)  # last: it moves on in the file
    except (UnreadableImageError, MemoryError):
        raise
    except Image.DecompressionBombError:
        limit = 2 * (Image.MAX_IMAGE_PIXELS or 0) / 1e6
        raise UnreadableImageError(path, f"more than {limit:.0f} million pixels") from None
    except UnidentifiedImageError:
        raise UnreadableImageError(path, _kind(path)) from None
    except Exception as error:  # Pillow's readers fail in many ways at what begins like an image
        if isinstance(error, OSError) and error.errno is not None:  # of the system, not of Pillow
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
    """Let `read_rgb` read files that end too early, for as long as this lasts: what is missing is grey or black.

    The switch is Pillow's, and holds for all threads.
    """
    before, ImageFile.LOAD_TRUNCATED_IMAGES = ImageFile.LOAD_TRUNCATED_IMAGES, True
    try:
        yield
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = before


def fault_of(path: Path) -> str:
    """Say why a file cannot be used as an image; nothing if it can."""
    try:
        read_rgb(path)
    except UnreadableImageError as error:
        return error.why
    return ""


def image_files(folder: Path) -> tuple[list[Path], Counter[str]]:
    """List the images in a folder, by their suffixes, sorted; and count what else is there, in words."""
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
    """List the images in a folder and its subfolders, sorted; hidden folders apart; and count what else is there."""
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
    """Return the suffixes of the formats that Pillow reads, in small letters, such as `.jpg`."""
    return frozenset(suffix for suffix, name in Image.registered_extensions().items() if name in Image.OPEN)


def counted(numbers: Mapping[str, int]) -> str:
    """Write counts as a list, the largest first.

    Examples:
        >>> counted({"CMYK": 1, "grey": 12})
        '12 grey, 1 CMYK'
    """
    largest_first = sorted(numbers.items(), key=lambda item: -item[1])
    return ", ".join(f"{number} {what}" for what, number in largest_first if number)


def _check(path: Path) -> None:
    """Refuse what is no file, before Pillow opens it: reading a pipe might never end."""
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
    raise UnreadableImageError(path, "a link to a file that is not there" if dangling else "there is no such file")


@contextmanager
def _quiet() -> Iterator[None]:
    """Ignore warnings: a photograph of 100 million pixels is welcome, and broken EXIF is no EXIF."""
    with _QUIET, warnings.catch_warnings(action="ignore"):
        yield


def _kind(path: Path) -> str:
    """Say what a file is that Pillow does not know."""
    with path.open("rb") as file:
        begin = file.read(512)
    text = begin.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype html", b"<html", b"<head")):
        return "an HTML page"
    if begin[4:12] in (b"ftypheic", b"ftypheix", b"ftyphevc", b"ftypmif1", b"ftypmsf1"):
        return "HEIC, which Pillow cannot read"
    return "not an image that Pillow can read"


def _tag(image: Image.Image, number: int) -> int | None:
    """Return a tag of a TIFF."""
    value = getattr(image, "tag_v2", {}).get(number)
    return value if isinstance(value, int) else None


def _depth(image: Image.Image) -> int:
    """Return how many bits a channel has in the file, as far as Pillow says so before it decodes."""
    tiles = getattr(image, "tile", None)
    arguments = tiles[0].args if tiles else ""
    raw, *rest = (arguments,) if isinstance(arguments, str) else arguments or ("",)
    if image.format == "PPM" and rest and isinstance(rest[0], int):
        return 16 if rest[0] > 255 else 8  # its largest value; Pillow stretches it to that of the bits
    digits = "".join(c for c in str(raw).partition(";")[2] if c.isdigit())  # such as RGB;16B
    return int(digits) if digits else {"1": 1, "I;16": 16, "I": 32, "F": 32}.get(image.mode, 8)


def _exif_orientation(image: Image.Image) -> int | None:
    try:
        value = image.getexif().get(_ORIENTATION)
    except Exception:  # a picture with broken EXIF is a picture
        return None
    return value if isinstance(value, int) else None


def _first_frame(image: Image.Image) -> list[str]:
    try:
        frames = int(getattr(image, "n_frames", 1))
    except Exception:  # a later frame is damaged
        return ["first frame"]
    return [f"first frame of {frames}"] if frames > 1 else []


def _rgb(image: Image.Image, depth: int, words: list[str]) -> Image.Image:
    """Convert to RGB, and write into `words` how."""
    transparent = image.info.get("transparency")
    if image.mode.startswith("I") or image.mode == "F":  # Pillow's own conversion would cut off above 255
        words += ["grey", "floats to 8 bits" if image.mode == "F" else f"{depth} bits to 8"]
        values = np.asarray(image)
        grey = _eight_bits(values, depth, inverted=_tag(image, 262) == 0)
        if isinstance(transparent, int) and (values == transparent).any():
            grey = np.where(values == transparent, np.uint8(255), grey)
            words.append("transparent on white")
        return Image.fromarray(grey).convert("RGB")
    words += [_WORDS.get(image.mode, image.mode)] if image.mode not in ("RGB", "RGBA", "RGBa", "RGBX") else []
    words += [f"{depth} bits to 8"] if depth > 8 else []
    if image.mode == "LAB":
        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        return ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB") or image
    if image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or transparent is not None:
        if isinstance(transparent, tuple) and depth == 16:
            image.info["transparency"] = tuple(level >> 8 for level in transparent)  # as the pixels
        elif isinstance(transparent, int) and image.mode == "L" and depth in (2, 4):
            image.info["transparency"] = transparent * 255 // (2**depth - 1)
        upper = image.convert("RGBA")
        if upper.getchannel("A").getextrema() != (255, 255):
            words.append("transparent on white")
            upper = Image.alpha_composite(Image.new("RGBA", upper.size, "white"), upper)
        return upper.convert("RGB")
    return image.convert("RGB")


def _eight_bits(values: np.ndarray, depth: int, *, inverted: bool) -> np.ndarray:
    """Scale grey levels (height, width) of more than 8 bits to uint8."""
    levels = values.astype(np.float64)
    if not np.isfinite(levels).all():
        raise ValueError("it holds values that are not finite numbers")
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

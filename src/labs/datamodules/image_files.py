"""Find image files, and read them as 8-bit RGB: the only place where files are decoded."""

import threading
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from functools import cache
from pathlib import Path

from PIL import Image, ImageFile, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile

from labs import LabsError
from labs.datamodules.to_rgb import depth_of, tag, to_rgb

READER = 2  # version, part of the names of stores; raised when the same files give different pixels
LEAST_PIXELS = 8  # minimum height and width
MOST_BYTES = 1_000_000_000  # memory to decode one image
_LARGE_BYTES = 100_000_000  # images that need more are decoded one at a time
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
_LARGE = threading.Lock()
_QUIET = threading.Lock()  # warning filters hold for the whole process, and images are read in threads


TOO_LARGE = "too many pixels"


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
    maximum. Color profiles are ignored. An image that needs more than `MOST_BYTES` of memory is refused before it is
    decoded; an upright JPEG is decoded at half its height and width instead.

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
            orientation = tag(image, _ORIENTATION)  # Pillow rotates a TIFF itself and drops the tag
        with image:
            if image.format == "EPS":  # Pillow would run it in Ghostscript without a time limit
                raise UnreadableImageError(path, "EPS, which is a program")  # noqa: TRY301
            depth = depth_of(image)
            words += _bounded(path, image, halve=upright)
            with _LARGE if _bytes(image) > _LARGE_BYTES else nullcontext():
                image.load()
                picture = to_rgb(image, depth, words)
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
        raise UnreadableImageError(path, TOO_LARGE, f"more than {limit:.0f} million") from None
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


def _bytes(image: Image.Image) -> int:
    """Return about how many bytes it takes to decode an image, convert it and turn it."""
    deep = image.mode.startswith(("I", "F"))  # computed in float64
    clear = "transparency" in image.info or image.mode in ("LA", "La", "PA", "RGBA", "RGBa")  # laid on white
    return image.width * image.height * (28 if deep else 16 if clear else 8)


def _bounded(path: Path, image: Image.Image, *, halve: bool) -> list[str]:
    """Refuse an image that needs too much memory, or halve it; return what was done."""
    if _bytes(image) <= MOST_BYTES:
        return []
    width, height = image.size
    most = MOST_BYTES * width * height / _bytes(image) / 1e6
    if halve and isinstance(image, JpegImageFile) and not image.info.get("progressive"):  # which keeps all its pixels
        image.draft(None, (width // 2, height // 2))
    if _bytes(image) > MOST_BYTES:
        found = f"{height}x{width}, height x width; at most {most:.0f} million pixels of this kind"
        raise UnreadableImageError(path, TOO_LARGE, found)
    return ["half size"]


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

"""Files of every kind that the reader of images meets, each with what has to come out of it."""

import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tifffile
from PIL import Image, ImageCms

from labs.datamodules.embedded.photographs import PHOTOGRAPHS

PICTURE = Image.open(PHOTOGRAPHS["flower"].path).resize((64, 48))
RGB = np.asarray(PICTURE)
GRAY = np.asarray(PICTURE.convert("L"))
ALPHA = np.tile(np.arange(0, 256, 4, dtype=np.uint8)[:64], (48, 1))  # from transparent on the left to nearly opaque
HOLE = np.where(np.arange(64) < 20, 0, 255).astype(np.uint8)[None].repeat(48, axis=0)
ON_WHITE = RGB * (ALPHA[..., None] / 255) + 255 - ALPHA[..., None]
WITH_HOLE = np.where(HOLE[..., None] == 0, 255, RGB)


class Kind(NamedTuple):
    """One kind of file."""

    name: str  # in the table of docs/images.md
    suffix: str
    write: Callable[[Path], object]
    found: str  # the words of what was converted, or the reason of a refusal
    pixels: np.ndarray | None = RGB  # (height, width[, 3]); none where the file is refused
    within: float = 0.0  # mean difference that is allowed, in levels of 255


def png(values: np.ndarray, color: int, depth: int, transparent: tuple[int, ...] = ()) -> Callable[[Path], object]:
    """Write a PNG of kinds that Pillow writes none of: `values` (height, width[, channels]) at `depth` bits."""
    rows = [np.unpackbits(row.astype(f">u{max(depth // 8, 1)}").view(np.uint8)) for row in values]
    if depth < 8:
        rows = [row.reshape(-1, 8)[:, -depth:].reshape(-1) for row in rows]
    body = b"".join(b"\0" + np.packbits(row).tobytes() for row in rows)
    header = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], depth, color, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(body)), (b"IEND", b"")]
    if transparent:
        chunks.insert(1, (b"tRNS", struct.pack(f">{len(transparent)}H", *transparent)))
    packed = (struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in chunks)
    content = b"\x89PNG\r\n\x1a\n" + b"".join(packed)
    return lambda path: path.write_bytes(content)


def tiff(values: np.ndarray, **options: object) -> Callable[[Path], object]:
    return lambda path: tifffile.imwrite(path, values, **options)


def saved(image: Image.Image, **options: object) -> Callable[[Path], object]:
    return lambda path: image.save(path, **options)


def halved(image: Image.Image) -> Callable[[Path], object]:
    """Write half a file."""

    def write(path: Path) -> None:
        image.save(path)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    return write


def animated(**options: object) -> Callable[[Path], object]:
    others = [Image.new("RGB", PICTURE.size, color) for color in ("red", "blue")]
    return saved(PICTURE, save_all=True, append_images=others, **options)


def turned(orientation: int) -> Callable[[Path], object]:
    """Write the picture as a camera stores it that was turned: upright only by its EXIF tag."""
    stored, exif = PICTURE, Image.Exif()
    back = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # Transpose that stores it so
    if orientation in back:
        stored = PICTURE.transpose(Image.Transpose(back[orientation]))

    def write(path: Path) -> None:
        exif[0x0112] = orientation  # anew: Pillow takes it out when it writes AVIF
        best = {".avif": {"quality": 100, "subsampling": "4:4:4"}, ".webp": {"lossless": True}}
        stored.save(path, exif=exif, **best.get(path.suffix, {"quality": 100, "subsampling": 0}))

    return write


def with_alpha(alpha: np.ndarray, hidden: int | None = None) -> Image.Image:
    """Return the picture with an alpha channel, and another color where nothing of it is seen."""
    colors = RGB if hidden is None else np.where(alpha[..., None] == 0, np.uint8(hidden), RGB)
    return Image.fromarray(np.concatenate([colors, alpha[..., None]], axis=2))


def lab() -> Image.Image:
    profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    image = ImageCms.profileToProfile(PICTURE, *profiles, outputMode="LAB")
    assert image is not None
    return image


def palette() -> Image.Image:
    """Return 16 columns of four colors in a palette, the first of them free to be transparent."""
    image = Image.fromarray(np.tile(np.arange(64, dtype=np.uint8) // 16, (48, 1)))
    image.putpalette([10, 20, 30, 200, 30, 60, 0, 90, 0, 9, 9, 250])
    return image


FOUR_COLORS = np.asarray(palette().convert("RGB"))
FOUR_LEVELS = np.tile(np.arange(64, dtype=np.uint8) // 16, (48, 1))
CUT = np.where(np.arange(64)[:, None] < 16, np.uint8(255), FOUR_COLORS)
CUT_GRAY = np.where(FOUR_LEVELS == 1, np.uint8(255), FOUR_LEVELS * np.uint8(85))
DEEP = RGB.astype(np.uint16) * 257
DEEP_GRAY = GRAY.astype(np.uint16) * 257
CUT_DEEP = np.where(GRAY[0, 0] == GRAY, np.uint8(255), GRAY)
BITS = GRAY > 99
DITHERED = np.asarray(PICTURE.convert("1").convert("L"))
CUT_RGB = np.where((RGB[0, 0] == RGB).all(2, keepdims=True), np.uint8(255), RGB)
HOLE_GRAY = np.where(HOLE, GRAY, np.uint8(255))
DEEP_RGBA = np.concatenate([DEEP, HOLE[..., None] * np.uint16(257)], axis=2)
DEEP_LA = np.stack([DEEP_GRAY, HOLE * np.uint16(257)], axis=2)
CORNER = tuple((DEEP[0, 0] + 3).tolist())
SLOPE = np.linspace(0, 255, 48 * 64).reshape(48, 64)
WHITE = "transparent on white"

KINDS = (
    Kind("JPEG, suffix .JPG", ".JPG", saved(PICTURE, format="JPEG", quality=100, subsampling=0), "", within=1),
    Kind("PNG", ".png", saved(PICTURE), ""),
    Kind("BMP", ".bmp", saved(PICTURE), ""),
    Kind("TIFF", ".tif", saved(PICTURE), ""),
    Kind("WebP", ".webp", saved(PICTURE, lossless=True), ""),
    Kind("AVIF", ".avif", saved(PICTURE, quality=100, subsampling="4:4:4"), "", within=1),
    Kind("JPEG 2000", ".jp2", saved(PICTURE), ""),
    Kind("PPM", ".ppm", saved(PICTURE), ""),
    Kind("gray JPEG", ".jpg", saved(PICTURE.convert("L"), quality=100), "gray", GRAY, within=1),
    Kind("gray PNG, 2 bits", ".png", png(FOUR_LEVELS, 0, 2), "gray", FOUR_LEVELS * 85),
    Kind("black and white PNG", ".png", saved(Image.fromarray(DITHERED).convert("1")), "black and white", DITHERED),
    Kind("black and white TIFF", ".tif", saved(Image.fromarray(BITS)), "black and white", BITS * 255),
    Kind("palette PNG", ".png", saved(palette()), "palette", FOUR_COLORS),
    Kind("GIF", ".gif", saved(palette()), "palette", FOUR_COLORS),
    Kind(
        "palette PNG, one color transparent",
        ".png",
        saved(palette(), transparency=0),
        "palette, transparent on white",
        CUT,
    ),
    Kind("GIF, one color transparent", ".gif", saved(palette(), transparency=0), "palette, transparent on white", CUT),
    Kind(
        "palette PNG, an alpha for each color",
        ".png",
        saved(palette(), transparency=b"\0\xff\xff\xff"),
        "palette, transparent on white",
        CUT,
    ),
    Kind("CMYK JPEG (Adobe's, inverted)", ".jpg", saved(PICTURE.convert("CMYK"), quality=100), "CMYK", within=1.5),
    Kind("CMYK TIFF", ".tif", saved(PICTURE.convert("CMYK")), "CMYK", within=1),
    Kind("YCbCr TIFF", ".tif", saved(PICTURE.convert("YCbCr")), "YCbCr", within=2),
    Kind("L*a*b* TIFF", ".tif", saved(lab()), "LAB", within=2),
    Kind("RGBA PNG, opaque", ".png", saved(with_alpha(np.full_like(ALPHA, 255))), ""),
    Kind("RGBA PNG", ".png", saved(with_alpha(ALPHA)), WHITE, ON_WHITE, within=1),
    Kind("RGBA PNG, other colors where nothing is seen", ".png", saved(with_alpha(HOLE, 7)), WHITE, WITH_HOLE),
    Kind("RGBA WebP", ".webp", saved(with_alpha(HOLE), lossless=True), WHITE, WITH_HOLE),
    Kind(
        "gray PNG with alpha",
        ".png",
        saved(Image.merge("LA", [PICTURE.convert("L"), Image.fromarray(HOLE)])),
        "gray, transparent on white",
        HOLE_GRAY,
    ),
    Kind(
        "gray PNG, 2 bits, one level transparent",
        ".png",
        png(FOUR_LEVELS, 0, 2, (1,)),
        "gray, transparent on white",
        CUT_GRAY,
    ),
    Kind(
        "RGB PNG, one color transparent", ".png", saved(PICTURE, transparency=tuple(RGB[0, 0].tolist())), WHITE, CUT_RGB
    ),
    Kind("16-bit gray PNG", ".png", saved(Image.fromarray(DEEP_GRAY)), "gray, 16 bits to 8", GRAY),
    Kind(
        "16-bit gray PNG, one level transparent",
        ".png",
        png(DEEP_GRAY, 0, 16, (int(DEEP_GRAY[0, 0]),)),
        "gray, 16 bits to 8, transparent on white",
        CUT_DEEP,
    ),
    Kind("16-bit gray PNG with alpha", ".png", png(DEEP_LA, 4, 16), "16 bits to 8, transparent on white", HOLE_GRAY),
    Kind("16-bit RGB PNG", ".png", png(DEEP, 2, 16), "16 bits to 8"),
    Kind(
        "16-bit RGB PNG, one color transparent",
        ".png",
        png(DEEP + np.uint16(3), 2, 16, CORNER),
        "16 bits to 8, transparent on white",
        CUT_RGB,
    ),
    Kind("16-bit RGBA PNG", ".png", png(DEEP_RGBA, 6, 16), "16 bits to 8, transparent on white", WITH_HOLE),
    Kind("16-bit gray PGM", ".pgm", saved(Image.fromarray(DEEP_GRAY)), "gray, 16 bits to 8", GRAY),
    Kind("16-bit gray TIFF", ".tif", tiff(DEEP_GRAY), "gray, 16 bits to 8", GRAY),
    Kind("16-bit gray TIFF, the other byte order", ".tif", tiff(DEEP_GRAY, byteorder=">"), "gray, 16 bits to 8", GRAY),
    Kind(
        "16-bit gray TIFF where 0 is white",
        ".tif",
        tiff(65535 - DEEP_GRAY, photometric="miniswhite"),
        "gray, 16 bits to 8",
        GRAY,
    ),
    Kind("16-bit RGB TIFF", ".tif", tiff(DEEP, photometric="rgb"), "16 bits to 8"),
    Kind(
        "16-bit RGBA TIFF",
        ".tif",
        tiff(DEEP_RGBA, photometric="rgb", extrasamples=["unassalpha"]),
        "16 bits to 8, transparent on white",
        WITH_HOLE,
    ),
    Kind("32-bit gray TIFF, 0 to 65535", ".tif", tiff(DEEP_GRAY.astype(np.uint32)), "gray, 32 bits to 8", GRAY),
    Kind("float gray TIFF, 0 to 1", ".tif", tiff(GRAY.astype(np.float32) / 255), "gray, floats to 8 bits", GRAY),
    Kind("float gray TIFF, 0 to 255", ".tif", tiff(GRAY.astype(np.float32)), "gray, floats to 8 bits", GRAY),
    Kind(
        "float gray TIFF, other values",
        ".tif",
        tiff(5 * SLOPE.astype(np.float32) - 9),
        "gray, floats to 8 bits",
        SLOPE,
        within=0.5,
    ),
    *(
        Kind(f"{suffix[1:].upper()} with EXIF orientation 6", suffix, turned(6), "rotated by EXIF", within=within)
        for suffix, within in ((".jpg", 2), (".png", 0), (".tiff", 0), (".webp", 0), (".avif", 1))
    ),
    Kind(
        "MPO of two pictures",
        ".mpo",
        saved(PICTURE, save_all=True, append_images=[PICTURE.rotate(180)], quality=100, subsampling=0),
        "first frame of 2",
        within=1,
    ),
    Kind("animated PNG", ".png", animated(), "first frame of 3"),
    Kind(
        "animated GIF",
        ".gif",
        saved(palette(), save_all=True, append_images=[palette().rotate(180)]),
        "palette, first frame of 2",
        FOUR_COLORS,
    ),
    Kind("animated WebP", ".webp", animated(lossless=True), "first frame of 3"),
    Kind("animated AVIF", ".avif", animated(quality=100, subsampling="4:4:4"), "first frame of 3", within=1),
    Kind("TIFF of several pages", ".tiff", animated(), "first frame of 3"),
)

REFUSED = (
    Kind("an empty file", ".jpg", Path.touch, "zero bytes", None),
    Kind(
        "a web page saved as .jpg",
        ".jpg",
        lambda path: path.write_text("\n<!DOCTYPE html>Not found"),
        "an HTML page",
        None,
    ),
    Kind("a text", ".png", lambda path: path.write_text("a shopping list"), "not an image that Pillow can read", None),
    Kind(
        "HEIC, as some telephones save it",
        ".jpg",
        lambda path: path.write_bytes(b"\0\0\0\x18ftypheic" + bytes(99)),
        "HEIC, which Pillow cannot read",
        None,
    ),
    Kind(
        "EPS, which only Ghostscript could draw",
        ".jpg",
        lambda path: path.write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n{} loop\n"),
        "EPS, which is a program",
        None,
    ),
    Kind("half a JPEG", ".jpg", halved(PICTURE), "truncated", None),
    Kind("half a PNG", ".png", halved(PICTURE), "truncated", None),
    Kind("half a WebP", ".webp", halved(PICTURE), "damaged", None),
    Kind(
        "float RGB TIFF",
        ".tif",
        tiff(RGB.astype(np.float32), photometric="rgb"),
        "not an image that Pillow can read",
        None,
    ),
    Kind("float TIFF of 64 bits", ".tif", tiff(GRAY.astype(np.float64)), "not an image that Pillow can read", None),
    Kind(
        "float TIFF with a value that is no number", ".tif", tiff(np.full((9, 9), np.nan, np.float32)), "damaged", None
    ),
    Kind("7 pixels wide", ".png", saved(Image.new("RGB", (7, 99))), "smaller than 8 pixels", None),
    Kind(
        "a link to a file that was deleted",
        ".png",
        lambda path: path.symlink_to("gone.png"),
        "a broken link",
        None,
    ),
    Kind("a folder called like an image", ".png", Path.mkdir, "a folder", None),
)

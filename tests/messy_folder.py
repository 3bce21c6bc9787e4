"""A folder of images as users have them: every fault and every odd name that the reader must cope with."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import numpy as np
from PIL import Image

NFC, NFD = (unicodedata.normalize(form, "été") for form in ("NFC", "NFD"))
CAT, ODD = "cat", "Ours brun, a=b (1)"


def picture(seed: int, size: int = 48, channels: int = 3) -> Image.Image:
    """Draw blobs: smooth, so that copies of another size or quality look the same, and unlike those of another seed."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, channels), dtype=np.uint8)
    image = Image.fromarray(coarse if channels > 1 else coarse[..., 0])
    return image.resize((size, size), Image.Resampling.BICUBIC)


def fill(folder: Path, seed: int, count: int, suffix: str = ".png") -> None:
    """Write `count` pictures into a folder, all different."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        picture(1000 * seed + number).save(folder / f"{number}{suffix}")


def make_messy(root: Path) -> None:
    """Write the folder: classes `cat`, `Ours brun, a=b (1)` and `été`, the last in two folders."""
    cat = root / CAT
    for number, name in enumerate((CAT, ODD, NFC, NFD), start=1):
        fill(root / name, number, 8, ".JPG" if name == NFC else ".png")
    # formats and modes
    picture(50).convert("CMYK").save(cat / "cmyk.Jpeg")
    picture(51).convert("L").save(cat / "grey.PNG")
    picture(52).convert("P").save(cat / "palette.gif")
    Image.fromarray(np.asarray(picture(53, channels=1)).astype(np.uint16) * 257).save(cat / "sixteen.tiff")
    transparent = picture(54).convert("RGBA")
    transparent.putalpha(picture(55, channels=1))
    transparent.save(cat / "transparent.webp", lossless=True)
    exif = Image.Exif()
    exif[0x0112] = 6
    picture(56).save(cat / "rotated.jpg", exif=exif)
    picture(57).save(cat / "animated.gif", save_all=True, append_images=[picture(58)])
    # what is passed over
    for name in ("._0.png", ".DS_Store", "Thumbs.db"):
        (cat / name).write_bytes(b"\x00\x05\x16\x07")
    fill(root / "__MACOSX" / "cat", 90, 2)
    fill(cat / ".ipynb_checkpoints", 91, 2)
    (cat / "zero.png").touch()
    (cat / "page.jpg").write_text("<!DOCTYPE html><html><body>404</body></html>")
    (cat / "notes.txt").write_text("two whiskers")
    whole = (cat / "rotated.jpg").read_bytes()
    (cat / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    picture(59, size=4).save(cat / "tiny.png")
    picture(60).save(root / "loose.png")
    (root / "empty class").mkdir()
    # links
    (cat / "dangling.png").symlink_to("nowhere.png")
    (cat / "loop").symlink_to("..")
    # copies: exact ones in one class, in another format, and in two classes; near ones
    (cat / "a link.png").symlink_to("0.png")
    picture(1001).save(cat / "1 again.bmp")
    picture(1002).save(root / ODD / "of the cat.png")
    picture(1003, size=30).save(cat / "3 smaller.jpg", quality=60)

"""BSDS500, 500 outdoor photographs (Arbelaez et al. 2011): the backgrounds of MNIST-M."""

from pathlib import Path

import numpy as np
from filelock import FileLock

from labs import LabsError
from labs.datamodules.image_files import UnreadableImageError, image_files, read_rgb
from labs.datamodules.small_images import fetch_or_suggest_embedded
from labs.storage.fetch import Archive
from labs.storage.unpack import unpack

_FOLDER = "/Research/Projects/CS/vision/grouping/BSR/BSR_bsds500.tgz"
ARCHIVE = Archive(
    name="BSR_bsds500.tgz",
    urls=(f"https://www.eecs.berkeley.edu{_FOLDER}", f"http://www2.eecs.berkeley.edu{_FOLDER}"),
    size=70_763_455,
    md5="0b17383ff0b21fe43d2f28e624203169",
)
COUNTS = {"train": 200, "val": 100, "test": 200}  # pictures of 481x321 or 321x481 pixels
_IMAGES = "BSR/BSDS500/data/images"


def list_pictures(folder: Path, split: str) -> list[Path]:
    """Return the image files of a split (`train`, `val` or `test`), sorted; download and unpack them the first time.

    Args:
        folder: folder of all datasets; this one uses `<folder>/BSDS500/`.
        split: one of `COUNTS`.

    Raises:
        LabsError: the archive cannot be downloaded or is not the expected one, or pictures were removed.
    """
    unpacked = folder / "BSDS500" / ARCHIVE.name.partition(".")[0]
    unpacked.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{unpacked}.lock"):
        if not unpacked.exists():
            unpack(fetch_or_suggest_embedded(ARCHIVE, unpacked.parent), unpacked, expected=_IMAGES)
    pictures, _ = image_files(unpacked / _IMAGES / split)  # the folder also has a Thumbs.db
    if len(pictures) != COUNTS[split]:
        raise LabsError(
            f"{unpacked / _IMAGES / split}: found {len(pictures)} pictures, expected {COUNTS[split]}; "
            f"delete {unpacked.absolute()} and run again to unpack it again."
        )
    return pictures


def read_picture(file: Path) -> np.ndarray:
    """Decode a picture, (height, width, 3) uint8.

    Raises:
        LabsError: it cannot be decoded.
    """
    try:
        return np.asarray(read_rgb(file)[0])
    except UnreadableImageError as error:
        raise LabsError(f"{error}; delete {file.parents[5]} and run again to unpack it again.") from error

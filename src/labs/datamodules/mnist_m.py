"""MNIST-M, handwritten digits blended into photographs (Ganin and Lempitsky 2015; JMLR 2016, section 5.2.4).

A pixel is |patch - digit| in each channel. The patches come from BSDS500, the digits from MNIST; offline, digits of
scikit-learn on other photographs stand in for both.
"""

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from rich.progress import track

from labs.datamodules import bsds500, mnist
from labs.datamodules.embedded.digits_on_photographs import CREDITS, digits_on_photographs
from labs.datamodules.mnist_m_copies import KEY, SPLITS, read_copy, refuse_pickle
from labs.datamodules.small_images import resize
from labs.datamodules.sources import LabeledImages
from labs.errors import LabsError

VERSION = 1  # of `blend`: other pixels from the same sources and seed are another version
SIZE = 28  # pixels, height and width of MNIST's digits and of the patches
STROKE = 4.0  # steepness that makes the embedded digits nearly black and white, as those of MNIST-M are


class MNISTM:
    """Build MNIST-M from MNIST and BSDS500, or read a ready-made copy; or take scikit-learn's digits on photographs.

    The generator that most code uses (pumpikano/tf-dann) draws x and y of its patches from an unseeded stream, and lays
    training and test digits on the same photographs. Here one seeded stream draws picture, x and y, and test digits lie
    on test pictures, so that no background was seen in training.

    Args:
        embedded: take `labs.datamodules.embedded.digits_on_photographs` instead.
        folder: of all datasets; this one takes `<folder>/MNIST-M/`, `<folder>/MNIST/` and `<folder>/BSDS500/`.
        copy: a folder with MNIST-M as others made it, taken as it is: Ganin's own (`mnist_m_train/`,
            `mnist_m_train_labels.txt`, and the same for test), or `mnist_m_train.pt` and `mnist_m_test.pt`.
        seed: of the choice of patches; without effect on a copy.
        pieces: images of each embedded training digit, on different patches.

    Raises:
        LabsError: a copy together with embedded data, a pickle for a copy, or a negative seed.
    """

    channels = 3

    def __init__(self, *, embedded: bool, folder: str, copy: str | None = None, seed: int = 0, pieces: int = 4) -> None:
        if seed < 0:
            raise LabsError(f"datamodule.target.seed={seed}: expected 0 or more.")
        if embedded and copy is not None:
            raise LabsError(f"{KEY}={copy}: embedded data has no copy; leave out {KEY}, or data=embedded.")
        if copy is not None:
            refuse_pickle(copy, copy)
        self.embedded, self.copy, self.seed, self.pieces = embedded, copy, seed, pieces
        made = "MNIST-M" if copy is None else f"MNIST-M ({copy})"
        self.name = "handwritten digits on photographs" if embedded else made
        self.credits = list(CREDITS) if embedded else []  # for what shows the photographs
        self.folder = Path(folder)
        self.cache = self.folder / "cache"

    def load(self, size: int) -> LabeledImages:
        """Return the images at `size` pixels, three channels; MNIST-M stays as it is at 28 pixels.

        Raises:
            LabsError: an archive is missing and cannot be downloaded, or is not the expected one; there is no copy
                where one was named, or it cannot be read; or the disk is full.
        """
        if self.embedded:
            return digits_on_photographs(size, self.seed, pieces=self.pieces, stroke=STROKE)
        return self._built(size) if self.copy is None else read_copy(self.copy, size, self.cache / "pixels")

    def _built(self, size: int) -> LabeledImages:
        digits = mnist.MNIST(embedded=False, folder=str(self.folder)).load(SIZE)
        made_from = (mnist.TRAIN[0], mnist.TEST[0], bsds500.ARCHIVE)
        recipe = {
            "version": VERSION,
            "seed": self.seed,
            "counts": {"train": int((~digits.is_test).sum()), "test": int(digits.is_test.sum())},
            "sources": {archive.name: f"{archive.algorithm} {archive.digest}" for archive in made_from},
        }
        key = hashlib.sha256(json.dumps(recipe).encode()).hexdigest()[:16]
        store = self.folder / "MNIST-M" / f"seed{self.seed}-{key}.npy"
        try:
            store.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(f"{store}.lock"):
                pixels = _read(store)
                if pixels is None:
                    pixels = self._blend(digits)
                    _write(store, pixels, recipe)
        except OSError as error:
            raise LabsError(f"cannot write {store.absolute()}: {error}") from error
        return digits._replace(pixels=resize(pixels, size))

    def _blend(self, digits: LabeledImages) -> np.ndarray:
        """Lay training digits on patches of BSDS500's training pictures, and test digits on its test pictures."""
        pixels = np.empty((len(digits.pixels), 3, SIZE, SIZE), dtype=np.uint8)
        places = np.random.default_rng(self.seed).random((len(pixels), 3))  # picture, x, y
        for split, rows in zip(SPLITS, (~digits.is_test, digits.is_test)):
            pictures = bsds500.list_pictures(self.folder, split)
            pixels[rows] = blend(digits.pixels[rows], places[rows], pictures)
        return pixels


def blend(digits: np.ndarray, places: np.ndarray, pictures: Sequence[Path]) -> np.ndarray:
    """Return |patch - digit| in each channel, the digit made black and white: all that is not 0 becomes 255.

    Args:
        digits: (images, 1, 28, 28) uint8.
        places: (images, 3) in [0, 1): which picture, and where its patch begins, as shares of the free way along x, y.
        pictures: image files.

    Returns:
        Pixels (images, 3, 28, 28) uint8.
    """
    blended = np.empty((len(digits), 3, SIZE, SIZE), dtype=np.uint8)
    which = (places[:, 0] * len(pictures)).astype(int)
    for number, file in enumerate(track(pictures, description="blending digits into photographs", transient=True)):
        rows = np.flatnonzero(which == number)
        picture = bsds500.read_picture(file)
        windows = np.lib.stride_tricks.sliding_window_view(picture, (SIZE, SIZE), axis=(0, 1))
        height, width = windows.shape[:2]  # places where a patch may begin
        top, left = (places[rows, 2] * height).astype(int), (places[rows, 1] * width).astype(int)
        patches = windows[top, left].astype(np.int16)  # (rows, 3, 28, 28)
        blended[rows] = np.abs(patches - np.where(digits[rows] > 0, 255, 0))
    return blended


def _read(store: Path) -> np.ndarray | None:
    """Open pixels that are whole, memory-mapped; anything else counts as missing and is built anew."""
    try:
        facts = json.loads(store.with_suffix(".json").read_text(encoding="utf-8"))
        pixels: np.ndarray = np.load(store, mmap_mode="r")
        whole = hashlib.sha256(np.ascontiguousarray(pixels)).hexdigest() == facts["sha256"]
        return pixels if whole and pixels.shape == (sum(facts["counts"].values()), 3, SIZE, SIZE) else None
    except (OSError, ValueError, EOFError, LookupError, TypeError, AttributeError):
        return None


def _write(store: Path, pixels: np.ndarray, recipe: dict[str, Any]) -> None:
    """Write pixels, and beside them what they are; each under a temporary name and moved in place."""
    facts = {"sha256": hashlib.sha256(pixels).hexdigest(), **recipe}
    for left in store.parent.glob(f".{store.stem}.*.part"):
        left.unlink()  # of a process that was killed: the lock is ours
    temporary = store.with_name(f".{store.stem}.{os.getpid()}.part")
    try:
        temporary.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
        temporary.replace(store.with_suffix(".json"))
        with temporary.open("wb") as file:
            np.save(file, pixels)
        temporary.replace(store)
    finally:
        temporary.unlink(missing_ok=True)

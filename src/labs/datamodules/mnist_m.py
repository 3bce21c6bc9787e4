"""MNIST-M, handwritten digits blended into photographs (Ganin and Lempitsky 2015; JMLR 2016, section 5.2.4).

A pixel is |patch - digit| in each channel. The digits come from MNIST and the patches from BSDS500. Offline, 5,000
MNIST digits and six photographs from scikit-image and scikit-learn are used instead.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from labs import LabsError
from labs.datamodules import bsds500, mnist
from labs.datamodules.embedded.photographs import PHOTOGRAPHS
from labs.datamodules.image_files import READER
from labs.datamodules.mnist_m_copies import KEY, SPLITS, read_copy, refuse_pickle
from labs.datamodules.small_images import digests, resize, sized_pixels
from labs.datamodules.sources import LabeledImages
from labs.storage.bars import image_bar
from labs.storage.stores import stored_or_held

VERSION = 1  # of `blend`; raised when the same sources and seed give different pixels
SIZE = 28  # height and width of MNIST's digits and of the patches, in pixels
# Embedded: natural color photographs. Test digits use different ones, so that training has not seen any of them.
PHOTOGRAPHS_OF = {"train": ("astronaut", "china", "coffee", "rocket"), "test": ("chelsea", "flower")}


class MNISTM:
    """Build MNIST-M from MNIST and BSDS500, or read an existing copy; offline, build it from embedded data.

    The generator that most code uses (pumpikano/tf-dann) draws the positions of its patches without a seed, and puts
    training and test digits on the same photographs. Here one seeded generator draws the picture, x and y, and test
    digits are on test pictures, so that training has not seen their backgrounds.

    Args:
        embedded: use 5,000 MNIST digits, and the photographs of `PHOTOGRAPHS_OF`.
        folder: folder of all datasets; this one uses `<folder>/MNIST-M/`, `<folder>/MNIST/` and `<folder>/BSDS500/`.
        copy: folder with an existing MNIST-M, which is used unchanged: Ganin's own (`mnist_m_train/`,
            `mnist_m_train_labels.txt`, and the same for test), or `mnist_m_train.pt` and `mnist_m_test.pt`.
        seed: random seed of the patches; without effect on a copy.

    Raises:
        LabsError: a copy is combined with embedded data or is a pickle, or the seed is negative.
    """

    channels = 3

    def __init__(self, *, embedded: bool, folder: str, copy: str | None = None, seed: int = 0) -> None:
        if seed < 0:
            raise LabsError(f"datamodule.target.seed={seed}: expected 0 or more.")
        if embedded and copy is not None:
            raise LabsError(f"{KEY}={copy}: a copy cannot be combined with data=embedded; remove one of the two.")
        if copy is not None:
            refuse_pickle(copy, copy)
        self.embedded, self.copy, self.seed = embedded, copy, seed
        made = "MNIST-M" if copy is None else f"MNIST-M ({copy})"
        self.name = "5,000 digits of MNIST on photographs" if embedded else made
        shown = [name for names in PHOTOGRAPHS_OF.values() for name in names] if embedded else []
        self.credits = [PHOTOGRAPHS[name].credit_line for name in shown]
        self.folder = Path(folder)
        self.cache = self.folder / "cache"

    def load(self, size: int) -> LabeledImages:
        """Return the images at `size` pixels with three channels; at 28 pixels MNIST-M is not resized.

        Raises:
            LabsError: an archive cannot be downloaded or is not the expected one, or the copy is missing or cannot
                be read.
        """
        if self.copy is not None:
            return read_copy(self.copy, size, self.cache / "pixels")
        return self._embedded(size) if self.embedded else self._built(size)

    def _embedded(self, size: int) -> LabeledImages:
        digits = mnist.MNIST(embedded=True, folder=str(self.folder)).load(SIZE)
        pixels = np.empty((len(digits.pixels), 3, SIZE, SIZE), dtype=np.uint8)
        pictures = {split: [PHOTOGRAPHS[name].path for name in names] for split, names in PHOTOGRAPHS_OF.items()}
        self._blend(digits, pixels, pictures.__getitem__)
        return digits._replace(pixels=resize(pixels, size))

    def _built(self, size: int) -> LabeledImages:
        digits = mnist.MNIST(embedded=False, folder=str(self.folder)).load(SIZE)
        recipe = {
            "version": VERSION,
            "reader": READER,
            "seed": self.seed,
            "counts": {"train": int((~digits.is_test).sum()), "test": int(digits.is_test.sum())},
            "sources": digests(mnist.TRAIN[0], mnist.TEST[0], bsds500.ARCHIVE),
        }
        if size == SIZE:
            return digits._replace(pixels=self._blended(digits, recipe))
        shape = (len(digits.pixels), 3, size, size)
        pixels, _ = sized_pixels(recipe, shape, self.cache, lambda: (self._blended(digits, recipe), {}))
        return digits._replace(pixels=pixels)

    def _blended(self, digits: LabeledImages, recipe: dict[str, Any]) -> np.ndarray:
        """Return the images at 28 pixels from the store of their recipe."""
        key = hashlib.sha256(json.dumps(recipe).encode()).hexdigest()[:16]
        store = self.folder / "MNIST-M" / f"seed{self.seed}-{key}.npy"

        def fill(pixels: np.ndarray) -> dict[str, Any]:
            self._blend(digits, pixels, lambda split: bsds500.list_pictures(self.folder, split))
            return recipe

        return stored_or_held(store, (len(digits.pixels), 3, SIZE, SIZE), np.uint8, fill)[0]

    def _blend(self, digits: LabeledImages, pixels: np.ndarray, pictures: Callable[[str], Sequence[Path]]) -> None:
        """Blend training digits with patches of training pictures, and test digits with patches of test pictures."""
        places = np.random.default_rng(self.seed).random((len(pixels), 3))  # picture, x, y
        for split, rows in zip(SPLITS, (~digits.is_test, digits.is_test)):
            pixels[rows] = blend(digits.pixels[rows], places[rows], pictures(split))


def blend(digits: np.ndarray, places: np.ndarray, pictures: Sequence[Path]) -> np.ndarray:
    """Return |patch - digit| in each channel, after making the digit binary: every nonzero pixel becomes 255.

    Args:
        digits: (images, 1, 28, 28) uint8.
        places: (images, 3) in [0, 1): the picture, and the x and y of its patch, as fractions of the possible range.
        pictures: image files.

    Returns:
        Pixels (images, 3, 28, 28) uint8.
    """
    blended = np.empty((len(digits), 3, SIZE, SIZE), dtype=np.uint8)
    which = (places[:, 0] * len(pictures)).astype(int)
    with image_bar() as bar:
        for number, file in enumerate(bar.track(pictures, description="blending digits into photographs")):
            rows = np.flatnonzero(which == number)
            picture = bsds500.read_picture(file)
            windows = np.lib.stride_tricks.sliding_window_view(picture, (SIZE, SIZE), axis=(0, 1))
            height, width = windows.shape[:2]  # possible positions of a patch
            top, left = (places[rows, 2] * height).astype(int), (places[rows, 1] * width).astype(int)
            patches = windows[top, left].astype(np.int16)  # (rows, 3, 28, 28)
            blended[rows] = np.abs(patches - np.where(digits[rows] > 0, 255, 0))
    return blended

"""The handwritten digits in scikit-learn: 1,797 real images of 8x8 pixels (Alpaydin and Kaynak 1998)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

from labs import LabsError
from labs.datamodules.sources import LabeledImages


class Digits:
    """Read some of the ten digits; the first images of each are for training, the rest for testing.

    Args:
        digits: the digits to read, in the order of their labels.
        train_per_class: training images per digit.
        embedded: must be true, because there is nothing to download.
        folder: folder for what is computed from the images.
    """

    def __init__(self, *, digits: Sequence[int], train_per_class: int, embedded: bool, folder: str) -> None:
        if not embedded:
            raise LabsError("these digits come with scikit-learn and are not downloaded; type data=embedded.")
        if len(digits) < 2 or len(set(digits)) < len(digits) or not set(digits) <= set(range(10)):
            raise LabsError(
                f"datamodule.source.digits={list(digits)}: expected at least two different digits from 0 to 9."
            )
        if not 2 <= train_per_class <= 150:
            raise LabsError(
                f"datamodule.source.train_per_class={train_per_class}: expected 2 to 150 (a digit has about 180)."
            )
        self.digits, self.train_per_class = list(digits), train_per_class
        self.name = f"handwritten digits {','.join(map(str, digits))}"
        self.cache = Path(folder) / "cache"

    def load(self, size: int) -> LabeledImages:
        """Return the digits at `size` pixels, with three equal channels."""
        sized, labels = read_digits(size)
        order = [np.flatnonzero(labels == digit) for digit in self.digits]
        rows = np.concatenate(order)
        return LabeledImages(
            pixels=np.repeat(sized[rows, None], 3, axis=1),
            labels=np.repeat(np.arange(len(order), dtype=np.int64), [len(o) for o in order]),
            names=[f"digit_{row:04d}" for row in rows],
            classes=[str(digit) for digit in self.digits],
            is_test=np.concatenate([np.arange(len(o)) >= self.train_per_class for o in order]),
        )


def read_digits(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return all digits, (1797, size, size) uint8 in [0, 255], resized bilinearly, and their labels, int64."""
    data = load_digits()
    gray = np.round(data.images * 255 / 16).astype(np.uint8)
    sized = np.stack(
        [np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.BILINEAR)) for image in gray]
    )
    return sized, data.target.astype(np.int64)

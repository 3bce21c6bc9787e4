"""Random pictures as a source of the datamodule: as many and as large as wanted, without a dataset."""

from pathlib import Path

import numpy as np

from labs.datamodules.sources import LabeledImages
from labs.storage.stores import stored


class RandomImages:
    """Draw noise once, kept as a store on disk, as decoded photographs are.

    Args:
        folder: where the store is kept.
        train: training images.
        test: test images.
        classes: labels that go round.
    """

    channels = 3
    name = "random pixels"

    def __init__(self, *, folder: str, train: int, test: int, classes: int) -> None:
        self.cache, self.train, self.test, self.classes = Path(folder), train, test, classes

    def load(self, size: int) -> LabeledImages:
        """Return the images at `size` pixels."""
        count = self.train + self.test
        labels = np.arange(count) % self.classes
        names, classes = [f"{row:06d}" for row in range(count)], [f"class {label}" for label in range(self.classes)]
        return LabeledImages(self.pixels(size), labels, names, classes, np.arange(count) >= self.train)

    def pixels(self, size: int) -> np.ndarray:
        """Return the pixels alone: (train + test, 3, size, size) uint8, memory-mapped."""
        count = self.train + self.test

        def fill(pixels: np.ndarray) -> dict[str, int]:
            draw = np.random.default_rng(0)
            for start in range(0, count, 500):
                pixels[start : start + 500] = draw.integers(0, 256, pixels[start : start + 500].shape, dtype=np.uint8)
            return {"seed": 0}

        return stored(self.cache / f"random-{count}-{size}.npy", (count, 3, size, size), np.uint8, fill).array

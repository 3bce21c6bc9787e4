"""CIFAR-10, 60,000 images of ten classes (Krizhevsky 2009), or digits on photographs as an offline substitute."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torchvision

from labs.datamodules.mnist_m import MNISTM
from labs.datamodules.small_images import digests, fetch_or_suggest_embedded, labeled, sized_pixels
from labs.datamodules.sources import LabeledImages
from labs.storage.fetch import Archive

ARCHIVE = Archive(
    name="cifar-10-python.tar.gz",
    urls=("https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",),
    sha256="6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
    size=170_498_071,
)
COUNT = 60_000  # images


class CIFAR10:
    """Read the original archive of CIFAR-10, 50,000 training and 10,000 test images; or MNIST digits on photographs.

    Args:
        embedded: use MNIST digits on photographs (`labs.datamodules.mnist_m`), which also have ten classes and three
            channels, but are not the same task.
        folder: folder of all datasets; the archive is in it, where torchvision puts it.
    """

    channels = 3

    def __init__(self, *, embedded: bool, folder: str) -> None:
        self.stand_in = MNISTM(embedded=True, folder=folder) if embedded else None
        self.name = self.stand_in.name if self.stand_in else "CIFAR-10"
        self.credits = self.stand_in.credits if self.stand_in else []
        self.folder = Path(folder)
        self.cache = self.folder / "cache"

    def load(self, size: int) -> LabeledImages:
        """Return the images at `size` pixels with three channels; at 32 pixels, CIFAR-10 is not resized.

        Raises:
            LabsError: the archive cannot be downloaded, or is not the expected one.
        """
        return self.stand_in.load(size) if self.stand_in else self._online(size)

    def _online(self, size: int) -> LabeledImages:
        fetch_or_suggest_embedded(ARCHIVE, self.folder)
        pixels, facts = sized_pixels(digests(ARCHIVE), (COUNT, 3, size, size), self.cache, self._unpack)
        return labeled(pixels, facts["labels"], facts["classes"])

    def _unpack(self) -> tuple[np.ndarray, dict[str, Any]]:
        """Return all images at 32 pixels, with the labels of each split and the class names."""
        with warnings.catch_warnings():
            # NumPy 2.4 may warn about arrays pickled by Python 2: https://github.com/pytorch/vision/issues/9340
            warnings.filterwarnings("ignore", message=r"dtype\(\): align should be passed")
            # "download" finds the verified archive and unpacks it without using the network
            parts = [torchvision.datasets.CIFAR10(self.folder, train=train, download=True) for train in (True, False)]
        pixels = np.concatenate([part.data for part in parts]).transpose(0, 3, 1, 2)
        return pixels, {"labels": [part.targets for part in parts], "classes": parts[0].classes}

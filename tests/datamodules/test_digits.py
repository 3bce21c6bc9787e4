from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from labs import LabsError
from labs.datamodules.digits import Digits


def test_every_digit_of_scikit_learn_is_there_once(tmp_path: Path) -> None:
    data = load_digits()
    images = Digits(digits=range(10), train_per_class=100, embedded=True, folder=str(tmp_path)).load(8)
    rows = [int(name.removeprefix("digit_")) for name in images.names]
    assert sorted(rows) == list(range(1797))
    assert images.classes == [str(digit) for digit in range(10)]
    assert np.array_equal(images.labels, data.target[rows])
    assert images.labels.dtype == np.int64
    # Inks from 0 to 16 become gray levels from 0 to 255; at 8 pixels nothing is resized.
    assert images.pixels.dtype == np.uint8
    for channel in range(3):
        assert np.abs(images.pixels[:, channel] - data.images[rows] * 255 / 16).max() <= 0.5


def test_chosen_digits_are_labeled_in_the_order_typed(tmp_path: Path) -> None:
    data = load_digits()
    images = Digits(digits=[7, 2], train_per_class=20, embedded=True, folder=str(tmp_path)).load(16)
    rows = [int(name.removeprefix("digit_")) for name in images.names]
    assert images.classes == ["7", "2"]
    assert [images.classes[label] for label in images.labels] == [str(digit) for digit in data.target[rows]]
    assert len(rows) == np.isin(data.target, [7, 2]).sum()
    assert images.pixels.shape == (len(rows), 3, 16, 16)


def test_the_first_images_of_each_digit_are_for_training(tmp_path: Path) -> None:
    images = Digits(digits=[3, 9, 0], train_per_class=25, embedded=True, folder=str(tmp_path)).load(8)
    names = np.array(images.names)
    for label in range(3):
        train, test = (names[(images.labels == label) & (images.is_test == side)] for side in (False, True))
        assert len(train) == 25
        assert max(train) < min(test)


def test_two_loads_are_equal(tmp_path: Path) -> None:
    first, second = (
        Digits(digits=[1, 4], train_per_class=9, embedded=True, folder=str(tmp_path)).load(12) for _ in range(2)
    )
    assert np.array_equal(first.pixels, second.pixels)
    assert first.names == second.names


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"embedded": False}, "type data=embedded"),
        ({"digits": [3]}, "at least two different digits"),
        ({"digits": [3, 3]}, "at least two different digits"),
        ({"digits": [3, 10]}, "at least two different digits"),
        ({"train_per_class": 1}, "expected 2 to 150"),
        ({"train_per_class": 151}, "expected 2 to 150"),
    ],
)
def test_mistakes(tmp_path: Path, options: dict[str, object], message: str) -> None:
    arguments = {"digits": [0, 1], "train_per_class": 10, "embedded": True, "folder": str(tmp_path)} | options
    with pytest.raises(LabsError, match=message):
        Digits(**arguments)

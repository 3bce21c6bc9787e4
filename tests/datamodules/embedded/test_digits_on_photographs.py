from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from labs.datamodules.digits import read_digits
from labs.datamodules.embedded import digits_on_photographs as module
from labs.datamodules.embedded.digits_on_photographs import (
    CREDITS,
    CROP,
    TEST_PHOTOGRAPHS,
    TRAIN_PHOTOGRAPHS,
    digits_on_photographs,
)
from labs.datamodules.embedded.photographs import PHOTOGRAPHS


@pytest.mark.parametrize("size", [28, 32, 64])
def test_every_digit_is_there_once_at_every_size(size: int) -> None:
    images = digits_on_photographs(size)
    assert images.pixels.shape == (1797, 3, size, size)
    assert images.pixels.dtype == np.uint8
    assert np.array_equal(images.labels, load_digits().target)
    assert images.labels.dtype == np.int64
    assert len(set(images.names)) == 1797
    assert images.classes == list("0123456789")


def test_a_third_of_each_digit_is_for_testing() -> None:
    images = digits_on_photographs(8)
    for digit in range(10):
        rows = np.flatnonzero(images.labels == digit)
        assert np.flatnonzero(images.is_test[rows]).tolist() == list(range(2, len(rows), 3))


def test_digits_invert_real_photographs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Recompute the blend at one pixel of photograph a pixel, where nothing is resized but the digit."""
    images = digits_on_photographs(CROP, seed=3)
    digits, _ = read_digits(CROP)
    blank = np.zeros_like(digits)
    monkeypatch.setattr(module, "read_digits", lambda size, stroke=1.0: (blank, images.labels))
    photographs = digits_on_photographs(CROP, seed=3).pixels
    expected = np.abs(photographs.astype(int) - digits[:, None].astype(int))
    assert np.array_equal(images.pixels, expected)


def test_backgrounds_are_pieces_of_the_photographs_of_their_split(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not set(TRAIN_PHOTOGRAPHS) & set(TEST_PHOTOGRAPHS)
    digits, labels = read_digits(CROP)
    monkeypatch.setattr(module, "read_digits", lambda size, stroke=1.0: (np.zeros_like(digits), labels))
    images = digits_on_photographs(CROP)
    for names, rows in ((TRAIN_PHOTOGRAPHS, ~images.is_test), (TEST_PHOTOGRAPHS, images.is_test)):
        pieces = {piece.tobytes() for piece in images.pixels[rows][:30]}
        found = set().union(*(pieces & _all_pieces(name, pieces) for name in names))
        assert found == pieces


def _all_pieces(name: str, wanted: set[bytes]) -> set[bytes]:
    """Return which of the wanted pieces the photograph has anywhere."""
    picture = np.asarray(Image.open(PHOTOGRAPHS[name].path).convert("RGB"))
    views = np.lib.stride_tricks.sliding_window_view(picture, (CROP, CROP), axis=(0, 1))
    found = set()
    for piece in wanted:
        pixels = np.frombuffer(piece, np.uint8).reshape(3, CROP, CROP)
        # Few places have the piece's first and last pixels; only these are compared whole.
        same = (picture[: len(views), : views.shape[1]] == pixels[:, 0, 0]).all(-1)
        same &= (picture[CROP - 1 :, CROP - 1 :] == pixels[:, -1, -1]).all(-1)
        if any(np.array_equal(views[y, x], pixels) for y, x in np.argwhere(same)):
            found.add(piece)
    return found


def test_a_pure_function_of_size_and_seed() -> None:
    first, second, other = (digits_on_photographs(16, seed=seed) for seed in (0, 0, 1))
    assert np.array_equal(first.pixels, second.pixels)
    assert not np.array_equal(first.pixels, other.pixels)
    assert np.array_equal(first.is_test, other.is_test)


def test_the_same_scene_at_every_size() -> None:
    small, large = (digits_on_photographs(size).pixels for size in (32, 64))
    reduced = large.reshape(1797, 3, 32, 2, 32, 2).mean((3, 5))
    assert np.abs(reduced - small).mean() < 8  # of 255
    assert np.abs(reduced[1:] - small[:-1]).mean() > 50


def test_who_took_the_photographs_is_said() -> None:
    for name in ("china", "flower"):  # CC BY: whoever shows them must say so
        assert any(PHOTOGRAPHS[name].credit in line for line in CREDITS)
    assert all(isinstance(PHOTOGRAPHS[name].path, Path) for name in TRAIN_PHOTOGRAPHS + TEST_PHOTOGRAPHS)


def test_a_training_digit_lies_on_several_pieces_and_a_test_digit_on_one() -> None:
    once, thrice = digits_on_photographs(16), digits_on_photographs(16, pieces=3)
    assert thrice.groups is not None
    shown = np.bincount(thrice.groups)
    assert set(shown[~once.is_test]) == {3}
    assert set(shown[once.is_test]) == {1}
    assert np.array_equal(thrice.pixels[:1797], once.pixels), "the first pieces are those of one piece each"
    assert np.array_equal(thrice.labels, once.labels[thrice.groups])
    assert len(set(thrice.names)) == len(thrice.pixels) == len({pixels.tobytes() for pixels in thrice.pixels})

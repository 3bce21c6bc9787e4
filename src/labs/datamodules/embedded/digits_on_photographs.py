"""Handwritten digits blended into photographs as in MNIST-M (Ganin and Lempitsky 2015), from scikit-learn's digits."""

import numpy as np
from PIL import Image

from labs import LabsError
from labs.datamodules.digits import every_third, read_digits
from labs.datamodules.embedded.photographs import PHOTOGRAPHS
from labs.datamodules.sources import LabeledImages

# Natural photographs in colour. Those behind the test images are others: no background was seen in training.
TRAIN_PHOTOGRAPHS = ("astronaut", "china", "coffee", "rocket")
TEST_PHOTOGRAPHS = ("chelsea", "flower")
CREDITS = tuple(PHOTOGRAPHS[name].credit_line for name in TRAIN_PHOTOGRAPHS + TEST_PHOTOGRAPHS)
CROP = 32  # pixels of the photograph behind a digit, whatever the size it is shown at


def digits_on_photographs(size: int, seed: int = 0, *, pieces: int = 1, stroke: float = 1.0) -> LabeledImages:
    """Return the 1,797 digits of scikit-learn, each on random pieces of a photograph.

    A pixel is |photograph - digit| in each channel: where the digit is black the photograph stays, where it is white
    the photograph is inverted. Digits are grey unless `stroke` makes them nearly black and white: at 8 pixels their
    outline is in their greys.
    Every third of each digit is for testing. The same digits lie on the same pieces at every size.

    Args:
        size: pixels, height and width.
        seed: of the choice of pieces.
        pieces: how many images a training digit gives, each on another piece; a test digit gives one.
        stroke: steepness of the strokes' edges (`labs.datamodules.digits.read_digits`).

    Returns:
        Images with pixels (training digits x pieces + test digits, 3, size, size), a pure function of the arguments;
        `groups` says which digit each shows.

    Raises:
        LabsError: no pieces.
    """
    if pieces < 1:
        raise LabsError(f"datamodule.target.pieces={pieces}: expected 1 or more.")
    digits, labels = read_digits(size, stroke)
    held_out = every_third(labels)
    shown = np.concatenate([np.arange(len(labels)), np.tile(np.flatnonzero(~held_out), pieces - 1)])
    is_test = held_out[shown]
    backgrounds = np.empty((len(shown), 3, size, size), dtype=np.uint8)
    draws = np.random.default_rng(seed).random((len(shown), 3))
    for photographs, rows in ((TRAIN_PHOTOGRAPHS, ~is_test), (TEST_PHOTOGRAPHS, is_test)):
        pictures = [Image.open(PHOTOGRAPHS[name].path).convert("RGB") for name in photographs]
        for row in np.flatnonzero(rows):
            which, x, y = draws[row]
            backgrounds[row] = _piece(pictures[int(which * len(pictures))], x, y, size)
    blended = np.abs(backgrounds.astype(np.int16) - digits[shown, None]).astype(np.uint8)
    names = [f"digit_{row:04d}" for row in range(len(labels))]
    names += [f"{names[row]}_{place // (~held_out).sum() + 1}" for place, row in enumerate(shown[len(labels) :])]
    classes = [str(digit) for digit in range(10)]
    return LabeledImages(blended, labels[shown], names, classes, is_test, groups=shown)


def _piece(picture: Image.Image, x: float, y: float, size: int) -> np.ndarray:
    """Cut a square of CROP pixels at (x, y), shares in [0, 1) of the free way; return (3, size, size) uint8."""
    left, top = int(x * (picture.width - CROP + 1)), int(y * (picture.height - CROP + 1))
    box = (left, top, left + CROP, top + CROP)
    return np.asarray(picture.resize((size, size), Image.Resampling.BILINEAR, box=box)).transpose(2, 0, 1)

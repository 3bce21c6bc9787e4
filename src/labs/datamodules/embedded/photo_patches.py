"""The embedded stand-in for 15-Scene: gray patches of photographs and textures, in the layout of the real archive.

Each class is a picture. Training patches are cut from one half of it and test patches from the other, so that the two
have no pixel in common; their sizes and their light vary.
"""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from labs.datamodules.embedded.photographs import PHOTOGRAPHS
from labs.storage.files import whole_folder

PATCHES_VERSION = 1  # raised whenever the images change
CLASSES = tuple(PHOTOGRAPHS)
SIDES = (0.12, 0.4)  # of a patch, relative to the shorter side of its picture, smallest and largest
GAIN = (0.6, 1.4)  # darkest and brightest light
GAMMA = (0.7, 1.4)
NOISE = 6.0  # standard deviation, in steps of brightness
SMALLEST = 32  # pixels of a patch


def write_patches(root: Path, *, train: int, test: int, seed: int = 0) -> None:
    """Write `root/15SceneData/{train,test}/<picture>/image_<number>.jpg`; the folder is complete or not there at all.

    Args:
        root: the folder to make; its parent is there.
        train: patches of each picture to learn from.
        test: patches of each picture to test on.
        seed: of the halves, of the patches, and of their light.
    """
    with whole_folder(root) as partial:
        for number, name in enumerate(CLASSES):
            draw = np.random.default_rng([seed, number])
            with Image.open(PHOTOGRAPHS[name].path) as photograph:
                gray = np.asarray(photograph.convert("L"))
            middle = gray.shape[1] // 2
            halves = [gray[:, :middle], gray[:, middle:]]
            if draw.random() < 0.5:
                halves.reverse()
            for split, half, count in zip(("train", "test"), halves, (train, test), strict=True):
                folder = partial / "15SceneData" / split / name
                folder.mkdir(parents=True)
                for index in range(1, count + 1):
                    (folder / f"image_{index:04d}.jpg").write_bytes(_patch(half, draw))


def _patch(half: np.ndarray, draw: np.random.Generator) -> bytes:
    """Cut a square out of half a picture (height, width), in another light and with noise; return it as JPEG."""
    shorter = min(half.shape)
    side = min(max(round(draw.uniform(*SIDES) * shorter), SMALLEST), shorter)
    top, left = (int(draw.integers(0, length - side + 1)) for length in half.shape)
    pixels = half[top : top + side, left : left + side] / 255
    lit = 255 * draw.uniform(*GAIN) * pixels ** draw.uniform(*GAMMA)
    noisy = np.clip(lit + draw.normal(0, NOISE, lit.shape), 0, 255).round().astype(np.uint8)
    content = io.BytesIO()
    Image.fromarray(noisy).save(content, "JPEG", quality=90)
    return content.getvalue()

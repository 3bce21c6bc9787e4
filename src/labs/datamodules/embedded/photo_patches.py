"""The embedded substitute for 15-Scene: gray patches of photographs and textures, in the layout of the real archive.

Each class is one picture. Training patches are cut from one half of it and test patches from the other, so that they
have no pixel in common. Size and light of the patches vary.
"""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from labs.datamodules.embedded.photographs import PHOTOGRAPHS
from labs.storage.whole_folder import whole_folder

PATCHES_VERSION = 1  # raised whenever the images change
CLASSES = tuple(PHOTOGRAPHS)
SIDES = (0.12, 0.4)  # minimum and maximum side of a patch, relative to the shorter side of its picture
GAIN = (0.6, 1.4)  # minimum and maximum brightness
GAMMA = (0.7, 1.4)
NOISE = 6.0  # standard deviation, in steps of brightness
SMALLEST = 32  # minimum side of a patch, in pixels


def write_patches(root: Path, *, train: int, test: int, seed: int = 0) -> None:
    """Write `root/15SceneData/{train,test}/<picture>/image_<number>.jpg`; the folder is complete or missing.

    Args:
        root: the folder to create; its parent exists.
        train: training patches per picture.
        test: test patches per picture.
        seed: random seed of the halves, the patches and their light.
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
    """Cut a square from half a picture (height, width), change its light and add noise; return it as JPEG."""
    shorter = min(half.shape)
    side = min(max(round(draw.uniform(*SIDES) * shorter), SMALLEST), shorter)
    top, left = (int(draw.integers(0, length - side + 1)) for length in half.shape)
    pixels = half[top : top + side, left : left + side] / 255
    lit = 255 * draw.uniform(*GAIN) * pixels ** draw.uniform(*GAMMA)
    noisy = np.clip(lit + draw.normal(0, NOISE, lit.shape), 0, 255).round().astype(np.uint8)
    content = io.BytesIO()
    Image.fromarray(noisy).save(content, "JPEG", quality=90)
    return content.getvalue()

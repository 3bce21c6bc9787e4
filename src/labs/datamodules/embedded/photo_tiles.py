"""The embedded folder of images: pieces of ten photographs that come with the project, none overlapping another.

Each class is a photograph, and each of its images one cell of a grid over it, in another light and with a little noise.
No two images have a pixel in common, so that however they are cut into splits, nothing of the test has been trained on.
"""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from labs.datamodules.embedded.photographs import PHOTOGRAPHS
from labs.storage.files import whole_folder

TILES_VERSION = 1  # raised whenever the images change
LEFT_OUT = ("hubble", "retina", "rocket")  # mostly dark: their pieces are alike
CLASSES = tuple(name for name in PHOTOGRAPHS if name not in LEFT_OUT)
CELLS = 5  # of the grid, along the shorter side


def write_tiles(root: Path, *, per_class: int = 20, seed: int = 0) -> None:
    """Write `root/<photograph>/<number>.png` or `.jpg`; the folder appears complete or not at all.

    Args:
        root: the folder to make; its parent is there.
        per_class: images of each class, 25 at most.
        seed: of which cells are taken, and how they look.
    """
    with whole_folder(root) as partial:
        for number, name in enumerate(CLASSES):
            draw = np.random.default_rng([seed, number])
            (partial / name).mkdir()
            with Image.open(PHOTOGRAPHS[name].path) as photograph:
                pixels = np.asarray(photograph)
            side = min(pixels.shape[:2]) // CELLS
            corners = [
                (top, left)
                for top in range(0, pixels.shape[0] - side + 1, side)
                for left in range(0, pixels.shape[1] - side + 1, side)
            ]
            for index, chosen in enumerate(draw.permutation(len(corners))[:per_class]):
                top, left = corners[chosen]
                lit = pixels[top : top + side, left : left + side] * draw.uniform(0.8, 1.2)
                noisy = np.clip(lit + draw.normal(0, 3, lit.shape), 0, 255).round().astype(np.uint8)
                _write(partial / name / f"{index:02d}", Image.fromarray(noisy))


def _write(path: Path, image: Image.Image) -> None:
    """Write grey pieces as PNG and colored ones as JPEG, as photographs come."""
    content = io.BytesIO()
    image.save(content, "PNG" if image.mode == "L" else "JPEG", **({} if image.mode == "L" else {"quality": 92}))
    path.with_suffix(".png" if image.mode == "L" else ".jpg").write_bytes(content.getvalue())

"""The embedded folder of images: nonoverlapping tiles of ten photographs that come with the project.

Each class is a photograph, and each of its images is one cell of a grid over it, with changed light and some noise. No
two images have a pixel in common, so that no split has test pixels in the training images.
"""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from labs.datamodules.embedded.photographs import PHOTOGRAPHS
from labs.storage.whole_folder import whole_folder

TILES_VERSION = 1  # raised whenever the images change
LEFT_OUT = ("hubble", "retina", "rocket")  # mostly dark: their tiles look alike
CLASSES = tuple(name for name in PHOTOGRAPHS if name not in LEFT_OUT)
CELLS = 5  # cells of the grid along the shorter side


def write_tiles(root: Path, *, per_class: int = 20, seed: int = 0) -> None:
    """Write `root/<photograph>/<number>.png` or `.jpg`; the folder is complete or missing.

    Args:
        root: the folder to create; its parent exists.
        per_class: images per class, at most 25.
        seed: random seed of the cells and their light and noise.
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
    """Write gray tiles as PNG and color tiles as JPEG."""
    content = io.BytesIO()
    image.save(content, "PNG" if image.mode == "L" else "JPEG", **({} if image.mode == "L" else {"quality": 92}))
    path.with_suffix(".png" if image.mode == "L" else ".jpg").write_bytes(content.getvalue())

"""The embedded substitute for the eleven artists: paintings drawn by the project, in eleven styles.

A hand is a palette, a brush and a preference for scenes. None of them is certain: each picture deviates from the
palette, the varnish makes it darker or browner, and some pictures show scenes that other hands prefer.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from labs.datamodules.embedded.brush_strokes import Brush, paint_over
from labs.datamodules.embedded.painting_scenes import SCENES, draw_scene
from labs.datamodules.embedded.painting_shapes import Color, mixed
from labs.storage.bars import image_bar
from labs.storage.whole_folder import whole_folder

PAINTERS_VERSION = 1  # raised whenever the pictures or the layout change; part of the folder's name
SIDE = 100  # height and width in pixels, padded to a square
PALETTE = ("sky", "glow", "far", "mid", "near", "water", "light", "dark", "skin", "accent")
STRAY = 0.45  # maximum weight of another hand's palette
OTHER = 0.25  # fraction of pictures with any scene


@dataclass(frozen=True)
class Hand:
    """The style of one painter: ten colors, a brush, and the frequency of each scene."""

    name: str
    paintings: int
    colors: str  # in the order of `PALETTE`
    brush: Brush
    motifs: Mapping[str, float]
    upright: float = 0.2  # fraction of pictures in portrait format

    @property
    def palette(self) -> dict[str, Color]:
        """Return the colors by name."""
        parts = (tuple(bytes.fromhex(color)) for color in self.colors.split())
        return {name: (red, green, blue) for name, (red, green, blue) in zip(PALETTE, parts, strict=True)}


# fmt: off
HANDS = (
    Hand("Canaletto", 20, "6e96be cdcdb9 96968c b99b73 78644b 5f8282 e8dcbe 2d2823 cda07d a5553c",
         Brush(0.05, 0.012, angle=0, spread=4, cover=1.5, stray=4, blur=0.0),
         {"canal": 0.85, "sea": 0.15}, 0.05),
    Hand("Claude Monet", 54, "96b4d7 e1cdcd 8c9bbe 82a578 5f875f 7396be f0e1e1 3c4169 e1b9a5 d77378",
         Brush(0.07, 0.03, spread=45, cover=3, stray=16, blur=0.02),
         {"garden": 0.45, "sea": 0.25, "landscape": 0.3}, 0.25),
    Hand("George Romney", 63, "828282 b9a58c 73695a 785f46 554132 5f6469 ebdccd 3c2d26 e1aa8c a53c37",
         Brush(0.09, 0.03, spread=25, cover=1.5, stray=4, blur=0.012),
         {"portrait": 0.95, "figures": 0.05}, 0.9),
    Hand("J. M. W. Turner", 70, "a5a5a5 f0cd82 bea582 c8a05f 825f3c af966e faebb9 4b372d d2a578 cd6e37",
         Brush(0.11, 0.03, angle=20, spread=50, cover=1.1, stray=8, blur=0.025),
         {"sea": 0.6, "landscape": 0.25, "mountain": 0.15}, 0.15),
    Hand("John Robert Cozens", 40, "a5afb4 cdcdbe 8c9ba5 738282 505f5a 87969b dcd7c8 3c4141 b4a087 87735a",
         Brush(0.04, 0.03, spread=80, cover=0.5, stray=3, blur=0.025, grain=6),
         {"mountain": 0.75, "landscape": 0.25}, 0.15),
    Hand("Paul Cezanne", 40, "7da0c3 b9c3be 788ca5 a09b5f 55784b 648296 e6dcbe 323c4b d79b69 c86937",
         Brush(0.08, 0.05, angle=55, spread=12, cover=2.5, stray=11, blur=0.01),
         {"table": 0.4, "mountain": 0.3, "landscape": 0.3}, 0.2),
    Hand("Paul Gauguin", 37, "7382af f0b950 695582 be8c3c 466e41 3c6987 f0d282 2d2337 a5643c d74632",
         Brush(0.1, 0.03, spread=15, cover=1.0, stray=5, blur=0.0),
         {"figures": 0.6, "landscape": 0.25, "table": 0.15}, 0.5),
    Hand("Paul Sandby", 36, "9bb4c8 e1d7be a0a596 919669 646e46 8ca0a5 e6dec8 464132 cdaa8c 965f4b",
         Brush(0.04, 0.015, spread=60, cover=1.0, stray=7, blur=0.012, grain=5),
         {"landscape": 0.65, "canal": 0.15, "figures": 0.2}, 0.15),
    Hand("Peter Paul Rubens", 28, "7d8796 d7af78 826e50 8c643c 5f462d 6e6e69 f0d7b4 32231c e6a582 b42d28",
         Brush(0.1, 0.025, spread=40, cover=2.5, stray=9, blur=0.008),
         {"figures": 0.6, "portrait": 0.4}, 0.55),
    Hand("Rembrandt", 40, "554632 966e3c 4b3c2a 503a24 37281c 463c30 e1be82 1c140f cd9664 783723",
         Brush(0.05, 0.03, spread=35, cover=2, stray=7, blur=0.01),
         {"portrait": 0.8, "figures": 0.2}, 0.8),
    Hand("Richard Wilson", 23, "8ca0b4 ebd296 a5a087 968250 554b2d a0a596 f0e1b4 322a1e cda078 9b5f3c",
         Brush(0.06, 0.02, angle=0, spread=20, cover=1.2, stray=4, blur=0.015),
         {"landscape": 0.8, "mountain": 0.2}, 0.1),
)
# fmt: on


def paint(hand: Hand, rng: np.random.Generator) -> Image.Image:
    """Return one painting of a hand, padded with black to a square of `SIDE` pixels."""
    other = HANDS[rng.integers(len(HANDS))]
    stray = rng.uniform(0, STRAY)
    palette = {name: mixed(color, other.palette[name], stray) for name, color in hand.palette.items()}
    names = list(SCENES)
    scene = names[rng.integers(len(names))]
    if rng.random() > OTHER:
        scene = rng.choice(list(hand.motifs), p=list(hand.motifs.values()))
    long, short = SIDE, round(SIDE * rng.uniform(0.66, 1.0))
    size = (short, long) if rng.random() < hand.upright else (long, short)
    picture = draw_scene(scene, size, palette, rng)
    if rng.random() < 0.5:
        picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    picture = _varnished(paint_over(picture, hand.brush, rng), rng)
    square = Image.new("RGB", (SIDE, SIDE))
    square.paste(picture, ((SIDE - size[0]) // 2, (SIDE - size[1]) // 2))
    return square


def _varnished(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Return a picture changed by age and photography: darker or lighter, browner or bluer."""
    tint = np.array([1.0, 1.0 - rng.uniform(-0.02, 0.06), 1.0 - rng.uniform(-0.06, 0.16)]) * rng.uniform(0.78, 1.12)
    gamma = rng.uniform(0.85, 1.2)
    pixels = 255 * (np.asarray(picture, dtype=np.float32) / 255) ** gamma * tint
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def write_artists(root: Path, *, seed: int = 0, progress: bool = True) -> None:
    """Write the whole dataset as `<artist>/<number>.png` to a new folder, which is complete or missing.

    One file is truncated, and one is not a picture, as in the real dataset.
    """
    root.parent.mkdir(parents=True, exist_ok=True)
    with whole_folder(root) as partial:
        with image_bar(progress) as bar:
            task = bar.add_task("drawing paintings", total=sum(hand.paintings for hand in HANDS))
            for index, hand in enumerate(HANDS):
                folder = partial / hand.name
                folder.mkdir()
                for number in range(hand.paintings):
                    picture = paint(hand, np.random.default_rng([seed, index, number]))
                    picture.save(folder / f"{number + 1:03d}.png")
                    bar.advance(task)
        (partial / ".DS_Store").write_bytes(b"\x00\x00\x00\x01Bud1")
        cut = partial / HANDS[-1].name / "001.png"
        content = cut.read_bytes()
        cut.write_bytes(content[: round(len(content) * 0.8)])

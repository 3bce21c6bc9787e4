"""The invented people of the embedded substitute for FaceScrub, and the traits that distinguish them.

Skin and hair come from short palettes that several people share, so that color alone identifies nobody: a classifier
must look at the shape of the face and the positions of eyes, brows, nose and mouth. The names belong to no real person.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np

Color = tuple[int, int, int]

_SKINS: tuple[Color, ...] = ((238, 200, 172), (222, 176, 140), (188, 136, 98), (132, 88, 62))
_HAIRS: tuple[Color, ...] = ((38, 30, 28), (88, 58, 38), (150, 104, 60), (206, 172, 110), (128, 124, 122))
_IRISES: tuple[Color, ...] = ((70, 48, 32), (70, 104, 140), (88, 112, 70))
STYLES = ("short", "fringe", "long", "bald", "bun", "parted")
BEARDS = ("none", "stubble", "full", "mustache")
# Ranges in face units: half the height of a face is one, x to the right, y down.
_RANGES = {
    "width": (0.66, 0.88),  # half the width of the face
    "taper": (0.05, 0.42),  # how much narrower the jaw is
    "eye_gap": (0.27, 0.40),
    "eye_size": (0.10, 0.15),
    "eye_height": (-0.22, -0.06),
    "brow_gap": (0.15, 0.25),
    "brow_slant": (-0.35, 0.35),  # radians
    "brow_width": (0.03, 0.085),
    "nose_length": (0.26, 0.46),
    "nose_width": (0.10, 0.20),
    "mouth_height": (0.50, 0.66),
    "mouth_width": (0.22, 0.38),
    "lips": (0.035, 0.085),
    "hairline": (-0.82, -0.55),
}
_TRIES = 40
_FIRST = ("Ada", "Bram", "Cleo", "Dov", "Edda", "Finn", "Gita", "Hugo", "Isla", "Joss")
_LAST = ("Quillmoor", "Tarnfeld", "Oakenshaw", "Brindlewick", "Marrowby", "Sallowden", "Fernhollow", "Pikestone")


@dataclass(frozen=True)
class Person:
    """The traits of one invented person; `forms` has a value for each name in `_RANGES`."""

    name: str
    woman: bool  # determines the list that has the name
    skin: Color
    hair: Color
    iris: Color
    style: str
    beard: str
    glasses: float  # fraction of photographs with glasses
    forms: dict[str, float]


@cache
def person(index: int) -> Person:
    """Return one of the people; numbers 2 n and 2 n + 1 are relatives, who share skin, hair and style."""
    if index >= len(_FIRST) * len(_LAST):
        raise ValueError(f"person {index} does not exist: there are names for {len(_FIRST) * len(_LAST)} people")
    family, own = np.random.default_rng([19, index // 2]), np.random.default_rng([20, index])
    before = [person(other).forms for other in range(index)]
    tries = [{name: float(own.uniform(*ends)) for name, ends in _RANGES.items()} for _ in range(_TRIES)]
    forms = max(tries, key=lambda some: min((_distance(some, other) for other in before), default=0.0))
    woman = index // 2 % 2 == 0
    style = STYLES[int(family.integers(len(STYLES)))]
    return Person(
        name=f"{_FIRST[index % len(_FIRST)]} {_LAST[(index * 3 + index // len(_FIRST)) % len(_LAST)]}",
        woman=woman,
        skin=_SKINS[(3 * (index // 2) + 1) % len(_SKINS)],
        hair=_HAIRS[int(family.integers(len(_HAIRS)))],
        iris=_IRISES[int(own.integers(len(_IRISES)))],
        style="long" if woman and style == "bald" else style,
        beard="none" if woman else BEARDS[int(own.integers(len(BEARDS)))],
        glasses=float(own.choice([0.0, 0.1, 0.3])),
        forms=forms,
    )


def _distance(one: dict[str, float], other: dict[str, float]) -> float:
    """Return the distance between two people's forms, relative to the ranges."""
    return sum(abs(one[name] - other[name]) / (high - low) for name, (low, high) in _RANGES.items())

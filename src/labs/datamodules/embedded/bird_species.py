"""The invented species of the embedded substitute for CUB-200, and the traits that distinguish them.

Species come in families of four that share the back, the beak and most other traits, like finches or wrens.
Within a family they differ in only a few parts (cap, throat, breast, wing bars, ...), so that a classifier must
look at several parts at once. Names are made from the species' traits and belong to no real bird.
"""

import operator
from dataclasses import astuple, dataclass, fields
from functools import cache
from itertools import permutations

import numpy as np

from labs import LabsError

GROUPS = ("upstream", "downstream")
SPECIES_PER_GROUP = 200
_FAMILY_SIZE = 4
_CHANGES = 5  # traits drawn again for each member of a family
_MIN_DIFFERENCES = 3  # minimum number of traits in which two species of a group differ

COLORS: dict[str, tuple[int, int, int]] = {
    "ink": (34, 34, 42),
    "pewter": (124, 132, 142),
    "umber": (104, 72, 48),
    "brick": (166, 76, 46),
    "moss": (112, 120, 58),
    "mustard": (222, 186, 58),
    "chalk": (234, 230, 218),
    "ember": (192, 44, 38),
    "cobalt": (52, 88, 164),
    "amber": (226, 134, 42),
    "lagoon": (56, 132, 134),
    "biscuit": (208, 178, 134),
}


@dataclass(frozen=True)
class Species:
    """The traits of one species; colors are keys of `COLORS`."""

    name: str
    back: str
    breast: str
    belly: str
    cap: str
    throat: str
    beak: str
    beak_color: str
    crest: bool
    wing_bars: int
    bar_color: str
    eye_ring: str  # "none" or a color
    tail_length: str
    tail_shape: str
    leg_color: str
    markings: str

    @property
    def traits(self) -> tuple[str | int, ...]:
        """Return all traits, without the name."""
        return astuple(self)[1:]


_FAMILY_CHOICES: dict[str, tuple[str | int, ...]] = {
    "back": ("ink", "pewter", "umber", "moss", "cobalt", "brick", "lagoon", "biscuit"),
    "beak": ("cone", "thin", "hooked", "curved"),
}
_MEMBER_CHOICES: dict[str, tuple[str | int, ...]] = {
    "breast": ("chalk", "mustard", "amber", "brick", "pewter", "biscuit", "ember", "moss"),
    "belly": ("chalk", "biscuit", "mustard", "pewter", "umber"),
    "cap": ("ink", "chalk", "ember", "umber", "mustard", "cobalt", "pewter", "brick", "moss"),
    "throat": ("chalk", "ink", "ember", "mustard", "amber", "cobalt", "pewter"),
    "beak_color": ("ink", "mustard", "ember", "pewter", "amber"),
    "crest": (False, True),
    "wing_bars": (0, 1, 2),
    "bar_color": ("chalk", "mustard", "brick"),
    "eye_ring": ("none", "chalk", "mustard", "ember"),
    "tail_length": ("short", "medium", "long"),
    "tail_shape": ("square", "forked", "round", "pointed"),
    "leg_color": ("ink", "biscuit", "mustard", "ember"),
    "markings": ("none", "streaks", "spots"),
}
_CHOICES = _FAMILY_CHOICES | _MEMBER_CHOICES
_TRAITS = [field.name for field in fields(Species)][1:]
_NOUNS = {
    "upstream": {"cone": "Pipfinch", "thin": "Pinwren", "hooked": "Clawjay", "curved": "Bowbill"},
    "downstream": {"cone": "Nutfinch", "thin": "Needlewren", "hooked": "Hookjay", "curved": "Moonbill"},
}


def species(group: str, index: int) -> Species:
    """Return one species of a group.

    Args:
        group: "downstream" (the practical's classes) or "upstream" (for pretraining). No species is in both.
        index: From 0 to 199; the class directory of index 0 starts with "001.".

    Raises:
        LabsError: If the group or the index does not exist.
    """
    if group not in GROUPS:
        raise LabsError(f"Expected a group of birds in {', '.join(GROUPS)}, found {group!r}.")
    if not 0 <= index < SPECIES_PER_GROUP:
        raise LabsError(f"Expected a species index from 0 to {SPECIES_PER_GROUP - 1}, found {index}.")
    return _catalog(group)[index]


def _draw(rng: np.random.Generator, names: list[str]) -> dict[str, str | int]:
    return {name: _CHOICES[name][rng.integers(len(_CHOICES[name]))] for name in names}


def _parity(traits: dict[str, str | int]) -> int:
    """Return the parity of the traits' positions; it determines the group, so that no combination is in both."""
    return sum(choices.index(traits[name]) for name, choices in _CHOICES.items()) % 2


@cache
def _catalog(group: str) -> tuple[Species, ...]:
    side = GROUPS.index(group)
    rng = np.random.default_rng([2010, side])
    chosen: dict[str, tuple[str | int, ...]] = {}  # traits by name
    while len(chosen) < SPECIES_PER_GROUP:
        family, member = divmod(len(chosen), _FAMILY_SIZE)
        if member == 0:
            base = _draw(rng, list(_CHOICES))
            base["beak"] = _CHOICES["beak"][family % len(_CHOICES["beak"])]
        traits = base | _draw(rng, rng.choice(list(_MEMBER_CHOICES), size=_CHANGES, replace=False).tolist())
        if traits["wing_bars"] == 0:
            traits["bar_color"] = _CHOICES["bar_color"][0]  # without a bar its color does not count
        values = tuple(traits[name] for name in _TRAITS)
        alike = any(sum(map(operator.ne, values, other)) < _MIN_DIFFERENCES for other in chosen.values())
        if _parity(traits) == side and not alike:
            chosen[next(name for name in _names(traits, group) if name not in chosen)] = values
    return tuple(Species(name, *values) for name, values in chosen.items())  # type: ignore[arg-type]


def _names(traits: dict[str, str | int], group: str) -> list[str]:
    """List names that describe the bird, shortest first."""
    head = "crested" if traits["crest"] else "capped"
    parts = {"cap": head, "throat": "throated", "breast": "breasted", "back": "backed", "belly": "bellied"}
    parts |= {"leg_color": "legged", "tail_length": "tailed", "beak_color": "billed"}
    words = [f"{traits[trait]}_{part}" for trait, part in parts.items()]
    words += {"none": [], "streaks": ["streaked"], "spots": ["spotted"]}[str(traits["markings"])]
    pairs = [f"{first}_{second}" for first, second in permutations(words, 2)]
    return [f"{word.capitalize()}_{_NOUNS[group][str(traits['beak'])]}" for word in words + pairs]

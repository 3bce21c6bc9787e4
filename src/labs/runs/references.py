"""How far the references of a recipe lead, before anything follows them.

Somebody else may have written the recipe. `${a}${a}` in ten lines, each of which names the one before, would fill the
memory, and `${oc.env:SECRET}` reads this computer's settings. A recipe that `train.py` has recorded holds plain
references; older ones also compute with the resolvers of `labs.runs.computed`.
"""

import re
from collections.abc import Sequence
from typing import Any

from labs.runs.computed import ARITHMETIC

MOST = 200_000  # letters and settings that a section stands for, once every reference is followed
_PLAIN = re.compile(r"\$\{(\.*[\w-]+(?:\.[\w-]+|\[\d+\])*)\}")
_COMPUTED = re.compile(rf"\$\{{(?:{'|'.join(ARITHMETIC)}):[\w.,+ -]*\}}")

Place = tuple[str | int, ...]


def check_references(recipe: Any, *sections: str) -> None:
    """Refuse references that call something, lead in a circle, or stand for more than any recipe holds.

    Args:
        recipe: plain containers, not resolved.
        sections: that are going to be resolved, such as `module`.

    Raises:
        ValueError: says which reference it is.
        RecursionError: they are nested too deeply.

    Examples:
        >>> check_references({"module": {"lr": "${epochs}"}, "epochs": 3}, "module")
        >>> check_references({"module": "${oc.env:HOME}"}, "module")
        Traceback (most recent call last):
        ...
        ValueError: module calls something: ${oc.env:HOME}
    """
    sizes: dict[Place, int | None] = {}
    for section in sections:
        _size(recipe, tuple(section.split(".")), sizes)


def _size(recipe: Any, place: Place, sizes: dict[Place, int | None]) -> int:
    """Return how many letters and settings a place stands for."""
    if place in sizes:
        known = sizes[place]
        if known is None:
            raise ValueError(f"{_name(place)} refers to itself")
        return known
    sizes[place] = None  # on the way
    node = _at(recipe, place)
    size = 1
    if isinstance(node, dict):
        size += sum(_size(recipe, (*place, key), sizes) for key in node)
    elif isinstance(node, list):
        size += sum(_size(recipe, (*place, index), sizes) for index in range(len(node)))
    elif isinstance(node, str):
        size += len(node) + sum(_size(recipe, target, sizes) for target in _targets(node, place))
    if size > MOST:
        raise ValueError(f"{_name(place)} stands for more than {MOST:,} letters")
    sizes[place] = size
    return size


def _targets(text: str, place: Place) -> list[Place]:
    """Return the places that a text refers to."""
    found = [_target(reference, place) for reference in _PLAIN.findall(text)]
    if "${" in _COMPUTED.sub("", _PLAIN.sub("0", text)):
        raise ValueError(f"{_name(place)} calls something: {text[:80]}")
    return found


def _target(reference: str, place: Place) -> Place:
    """Return the place that a reference names; leading dots count from the place where it stands."""
    name = reference.lstrip(".")
    dots = len(reference) - len(name)
    return (*(place[: len(place) - dots] if dots else ()), *re.findall(r"[\w-]+", name))


def _at(recipe: Any, place: Sequence[str | int]) -> Any:
    """Return what stands at a place; None if there is nothing, which whoever resolves it reports."""
    node = recipe
    for key in place:
        if isinstance(node, str) and "${" in node:
            raise ValueError(f"{_name(place)} goes through another reference")
        if isinstance(node, list):
            node = node[int(key)] if str(key).isdecimal() and int(key) < len(node) else None
        elif isinstance(node, dict):
            node = node[key] if key in node else _of_number(node, str(key))
        else:
            return None
    return node


def _of_number(node: dict[Any, Any], key: str) -> Any:
    return node.get(int(key)) if key.isdecimal() else None


def _name(place: Sequence[str | int]) -> str:
    return ".".join(map(str, place))

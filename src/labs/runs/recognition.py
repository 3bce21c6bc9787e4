"""What a record says of a recipe: whether it is the same, and whether its results may be replaced.

It is the same by its key, or by the words of a format that knew no recipe in normal form.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from labs import LabsError
from labs.runs.directory import read_facts
from labs.runs.recipe import Recipe, limits, typed_settings

WHOLE = ("running", "interrupted", "finished")  # how a run stands whose results a try-out would replace


def is_same_in_words(before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Say whether a run of format 1, which has no recipe in normal form, was typed as another is."""
    names = ("experiment", "practical", "data", "seed")
    typed = [typed_settings(facts.get("command", ""), facts.get("choices", {})) for facts in (before, now)]
    pairs = [(before.get(group, {}), now[group]) for group in ("choices", "settings")]
    return (
        all(before.get(name) == now[name] for name in names)
        and typed[0] == typed[1]
        and all(one[name] == other[name] for one, other in pairs for name in one.keys() & other.keys())
    )


def is_of(facts: Mapping[str, Any], recipe: Recipe) -> bool:
    """Say whether a record is of this very recipe: by its key, or by its words if it was made before there was one."""
    return facts.get("key") == recipe.key or (facts.get("format") == 1 and is_same_in_words(facts, recipe.facts))


def is_finished(run_dir: Path, recipe: Recipe) -> bool:
    """Say whether a directory holds the finished run of this very recipe."""
    facts = read_facts(run_dir)
    return is_of(facts, recipe) and facts.get("status") == "finished"


def refuse_try_out(run_dir: Path, recipe: Recipe) -> None:
    """Refuse to put the numbers of a few batches in the place of those of a whole run.

    Raises:
        LabsError: says what leaves something out.
    """
    now = limits(recipe.text)
    if not now or read_facts(run_dir).get("status") not in WHOLE:
        return
    try:
        before = limits((run_dir / ".hydra" / "recipe.yaml").read_text(encoding="utf-8"))
    except (OSError, ValueError):  # of an earlier labs
        before = []
    if not before:
        raise LabsError(
            f"{run_dir} holds a run over all images and epochs, and {' '.join(now)} would replace its results by those "
            "of a part; leave that out, or type another directory: hydra.run.dir=<new folder>."
        )

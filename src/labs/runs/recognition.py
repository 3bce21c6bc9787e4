"""What a directory says of a run: whether it is of a recipe, and whether what lies there may be replaced.

A record is of a recipe by its key, or by the words of a format that knew no recipe in normal form.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from labs import LabsError
from labs.practicals import sheet_of
from labs.runs.directory import read_facts
from labs.runs.recipe import Recipe, limits, read_recipe_text, typed_settings

# What a run may leave beside the files that its sheet names. A file of that name which no run wrote is never touched.
COMMON_FILES = (
    *("metrics.json", "log.tsv", "test_log.tsv", "predictions.csv", "result.png", "result.gif", "traceback.txt"),
    *("data.txt", "data.tsv", "stacks.*.txt"),
    *("environment.json", "freeze.txt", "net.txt", ".hydra/config.yaml", ".hydra/overrides.yaml", ".hydra/recipe.yaml"),
    ".hydra/pulse.*.json",
    *("checkpoints/*.ckpt", "images/*.png", "images/*.gif"),
)
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
        before = limits(read_recipe_text(run_dir / ".hydra" / "recipe.yaml"))
    except (OSError, ValueError):  # of an earlier labs
        before = []
    if not before:
        raise LabsError(
            f"{run_dir} holds a run over all images and epochs, and {' '.join(now)} would replace its results by those "
            "of a part; leave that out, or type another directory: hydra.run.dir=<new folder>."
        )


def files_of(practical: str) -> tuple[str, ...]:
    """Return what a run of a practical may leave, as patterns in its directory."""
    return (*COMMON_FILES, *sheet_of(practical).files)


def refuse_what_no_run_wrote(run_dir: Path, practical: str) -> None:
    """Refuse a directory in which something lies under the name of a result that no run has written.

    Raises:
        LabsError: names it.
    """
    if read_facts(run_dir).get("format") or (run_dir / ".hydra" / "recipe.yaml").is_file():
        return
    if run_dir.resolve() == Path.cwd():
        raise LabsError("hydra.run.dir: the working directory is no run directory; type the name of a new folder.")
    found = [path for pattern in files_of(practical) for path in sorted(run_dir.glob(pattern))]
    if found:
        names = ", ".join(path.relative_to(run_dir).as_posix() for path in found[:3])
        raise LabsError(
            f"{run_dir} holds files that no run of labs wrote, and a run would replace them ({names}). "
            "Type another directory: hydra.run.dir=<new folder>, or hydra.sweep.dir=<new folder> for a grid."
        )

"""What a run's command changed beyond its named choices, so that two recipes are never taken for one."""

import shlex
from collections.abc import Collection

# Words that say where or how often a run is made, or that the record holds itself: not part of the recipe.
NOT_RECIPE = (
    "seed",
    "experiment",
    "grid",
    "data",
    "logger",
    "paths",
    "hydra",
    "run",
    "resume",
    "rerun",
    "tags",
)
NOT_RECIPE_UNDER = ("hydra", "paths", "logger", "sweep")
NOT_RECIPE_KEYS = (
    "draw_architecture",
    "trainer.accelerator",
    "trainer.enable_progress_bar",
    "datamodule.num_workers",
    "datamodule.root",
)


def recipe_facts(command: str, choices: Collection[str]) -> dict[str, str]:
    """Return the overrides of a command that belong to the recipe, by name, except the named choices."""
    facts = {}
    for override in _overrides(command):
        name, _, value = override.partition("=")
        name = name.lstrip("+")
        known = name in NOT_RECIPE or name in NOT_RECIPE_KEYS or name in choices
        known = known or (name, value) == ("trainer.devices", "1")  # more devices are a larger batch
        if not known and name.replace("/", ".").split(".")[0] not in NOT_RECIPE_UNDER:
            facts[name] = value
    return facts


def _overrides(command: str) -> list[str]:
    try:
        words = shlex.split(command)
    except ValueError:  # a quote that is never closed: a command edited by hand
        words = command.split()
    return [word for word in words if ("=" in word and not word.startswith("-")) or word.startswith("~")]

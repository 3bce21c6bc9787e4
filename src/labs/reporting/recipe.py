"""What a run's command changed beyond its named choices, so that two recipes are never taken for one."""

import shlex
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

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

# Hyper-parameters that footnotes compare with the hand-out's: our name, where the resolved config keeps it.
SETTINGS = {
    "batch_size": ("datamodule.batch_size",),
    "lr": ("module.optimizer.lr", "optimizer.lr"),
    "momentum": ("module.optimizer.momentum", "optimizer.momentum"),
    "weight_decay": ("module.optimizer.weight_decay", "optimizer.weight_decay"),
}


def recipe_facts(directory: Path, command: str, choices: Collection[str]) -> dict[str, str]:
    """Return the overrides that belong to the recipe, by name, except the named choices.

    They come from the job's own `.hydra/overrides.yaml` where it was saved, otherwise from the command.
    """
    facts = {}
    for override in _overrides(directory, command):
        name, _, value = override.partition("=")
        name = name.lstrip("+")
        known = name in NOT_RECIPE or name in NOT_RECIPE_KEYS or name in choices
        known = known or (name, value) == ("trainer.devices", "1")  # more devices are a larger batch
        if not known and name.replace("/", ".").split(".")[0] not in NOT_RECIPE_UNDER:
            facts[name] = value
    return facts


def read_settings(directory: Path, record: Mapping[str, Any]) -> dict[str, float]:
    """Read the hyper-parameters that a hand-out states from the resolved config, else from metrics.json."""
    config = _load(directory / ".hydra" / "config.yaml")
    settings = {}
    for name, keys in SETTINGS.items():
        values = [*(_select(config, key) for key in keys), record.get(name)]
        number = next((value for value in values if isinstance(value, (int, float))), None)
        if number is not None:
            settings[name] = float(number)
    return settings


def _overrides(directory: Path, command: str) -> list[str]:
    saved = _load(directory / ".hydra" / "overrides.yaml")
    if OmegaConf.is_list(saved):
        return [str(item) for item in saved]
    try:
        words = shlex.split(command)
    except ValueError:  # a quote that is never closed: a command edited by hand
        words = command.split()
    return [word for word in words if ("=" in word and not word.startswith("-")) or word.startswith("~")]


def _load(path: Path) -> Any:
    """Read a YAML file; one that is missing or damaged is as good as none, since it only adds detail."""
    try:
        return OmegaConf.load(path)
    except Exception:
        return None


def _select(config: Any, key: str) -> Any:
    try:
        return OmegaConf.select(config, key)
    except Exception:  # an interpolation that needs Hydra's resolvers
        return None

"""What a run is, in plain words."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from labs.cli.again import recipe_key
from labs.cli.overrides import ABOUT_THE_CALL
from labs.practicals import sheet_of
from labs.runs.directory import read_facts


def describe(cfg: DictConfig, choices: Mapping[str, str], overrides: list[str]) -> dict[str, Any]:
    """Say in plain words what a run is: part of its `metrics.json`, and what reports group by."""
    apart = ("experiment", "grid", "hydra", "paths", "data", "debug", "feature_cache")
    typed = [o for o in overrides if o.partition("=")[0] not in ABOUT_THE_CALL]
    chosen = {name: choice for name, choice in choices.items() if str(choice) != "None"}
    axes = {name: choice for name, choice in chosen.items() if "/" not in name and "@" not in name}
    return {
        "key": recipe_key(cfg, choices["experiment"]),
        "experiment": choices["experiment"],
        "practical": cfg.practical,
        "data": choices["data"],
        "seed": cfg.seed,
        "command": shlex.join(["python", "train.py", *typed]),
        "choices": {name: choice for name, choice in axes.items() if name not in apart},
        "settings": _settings(cfg, typed, axes),
    }


def _settings(cfg: DictConfig, typed: list[str], axes: Mapping[str, str]) -> dict[str, Any]:
    """Return what was typed beyond the axes, and what is always told, by its full name."""
    names = [*sheet_of(cfg.practical).settings, *sorted(override.partition("=")[0].lstrip("+") for override in typed)]
    apart = ("~", "hydra.", "paths.")
    found = {n: OmegaConf.select(cfg, n) for n in names if n not in axes and n != "seed" and not n.startswith(apart)}
    told = {n: OmegaConf.to_container(v) if OmegaConf.is_config(v) else v for n, v in found.items() if v is not None}
    weights = read_facts(Path(str(told.get("module.net.weights", ""))))
    if weights:  # the run's directory is another for each seed; `command` has it
        told["module.net.weights"] = f"a run of {weights.get('experiment')}"
    return told

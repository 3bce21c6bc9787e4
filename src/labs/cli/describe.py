"""What a run is, in plain words."""

import shlex
from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig


def describe(cfg: DictConfig, choices: Mapping[str, str], overrides: list[str]) -> dict[str, Any]:
    """Say in plain words what a run is: part of its `metrics.json`, and what reports group by."""
    apart = ("experiment", "grid", "hydra", "paths", "data", "debug")
    typed = [o for o in overrides if not o.startswith(("grid=", "resume=", "hydra.run.dir="))]
    return {
        "experiment": choices["experiment"],
        "practical": cfg.practical,
        "data": choices["data"],
        "seed": cfg.seed,
        "command": shlex.join(["python", "train.py", *typed]),
        "choices": {k: v for k, v in choices.items() if "/" not in k and "@" not in k and k not in apart},
    }

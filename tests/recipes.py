"""The recipe of a command, as the command line finds it."""

from __future__ import annotations

from pathlib import Path

from hydra import compose, initialize_config_dir
from project import ROOT

from labs.cli.describe import describe
from labs.cli.overrides import expand
from labs.cli.resolvers import register_resolvers
from labs.runs.recipe import Recipe


def described(*arguments: str, conf: Path = ROOT / "conf") -> Recipe:
    """Return the recipe of `python train.py <arguments>`."""
    register_resolvers()
    typed = expand(list(arguments))
    with initialize_config_dir(str(conf), version_base="1.3"):
        composed = compose("train", [*typed, "paths.run_dir=/nowhere"], return_hydra_config=True)
        choices = {str(name): str(choice) for name, choice in composed.hydra.runtime.choices.items()}
        return describe(composed, choices, typed)

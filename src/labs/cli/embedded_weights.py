"""Weights for a machine without a network: made once, by an ordinary run on the embedded upstream images."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from filelock import FileLock
from omegaconf import DictConfig
from rich.console import Console

from labs import LabsError
from labs.cli.describe import upstream
from labs.runs.life import Run


def embedded_weights(cfg: DictConfig, net: str, train: Callable[[DictConfig, Run], Any]) -> Path:
    """Return the run directory whose best checkpoint holds the embedded weights of `net`; train it on the first call.

    The run is `experiment=<cfg.upstream.experiment>` with the net and the image size of `cfg`. Its directory is named
    by its recipe, so a change of the recipe makes new weights; one that was stopped goes on, and processes that need
    the same weights wait for the first.

    Args:
        cfg: the configuration that asks.
        net: its choice of net, such as `resnet18`.
        train: trains a run in its directory.

    Raises:
        LabsError: the dataset has no embedded weights.
    """
    if cfg.upstream.experiment is None:
        raise LabsError(
            "weights=embedded: these images have no embedded weights; "
            "add data=embedded, or type weights=imagenet or weights=random."
        )
    config, recipe = upstream(cfg, net)
    folder = Path(cfg.paths.data) / "embedded" / "weights" / f"{cfg.upstream.experiment}-{net}-{recipe.key}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    config.paths.run_dir = str(folder)
    with FileLock(f"{folder}.lock"), Run(folder, recipe, {}) as run:
        if run.is_needed:
            what = f"{cfg.upstream.experiment} with {net}, made once, kept in {folder}"
            Console().print(f"[bold]embedded weights[/]: {what}", highlight=False, soft_wrap=True)
            train(config, run)
    (folder / "checkpoints" / "last.ckpt").unlink(missing_ok=True)
    return folder

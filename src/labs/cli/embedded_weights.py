"""Weights for a machine without a network: made once, by an ordinary run on the embedded upstream images."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from filelock import FileLock
from hydra import compose
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from labs import LabsError
from labs.cli.again import digest
from labs.cli.describe import describe
from labs.cli.overrides import expand, quote
from labs.runs.directory import read_facts


def embedded_weights(cfg: DictConfig, net: str, train: Callable[[DictConfig, dict[str, Any]], Any]) -> Path:
    """Return the run directory whose best checkpoint holds the embedded weights of `net`; train it on the first call.

    The run is `experiment=<cfg.upstream.experiment>` with the net and the image size of `cfg`. Its directory is
    keyed by its recipe, so a change of the recipe makes new weights; processes that need the same weights wait for
    the first.

    Args:
        cfg: the recipe that asks.
        net: its choice of net, such as `resnet18`.
        train: trains a recipe in its run directory.

    Raises:
        LabsError: the dataset has no embedded weights.
    """
    if cfg.upstream.experiment is None:
        raise LabsError(
            "weights=embedded: these images have no embedded weights; "
            "add data=embedded, or type weights=imagenet or weights=random."
        )
    upstream, choices = _upstream_recipe(cfg, net)
    key = _key(upstream)
    folder = Path(cfg.paths.data) / "embedded" / "weights" / f"{cfg.upstream.experiment}-{net}-{key}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if read_facts(folder).get("status") == "finished":
            return folder
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        Console().print(
            f"[bold]embedded weights[/]: {cfg.upstream.experiment} with {net}, made once, kept in {folder}",
            highlight=False,
            soft_wrap=True,
        )
        upstream.paths.run_dir = str(folder)
        train(upstream, describe(upstream, choices, [f"experiment={cfg.upstream.experiment}", f"net={net}"]))
        (folder / "checkpoints" / "last.ckpt").unlink(missing_ok=True)
    return folder


def _upstream_recipe(cfg: DictConfig, net: str) -> tuple[DictConfig, dict[str, str]]:
    composed = compose(
        "train",
        overrides=[
            f"experiment={cfg.upstream.experiment}",
            f"net={net}",
            f"datamodule.image_size={cfg.datamodule.image_size}",
            f"trainer.accelerator={cfg.trainer.accelerator}",
            f"paths.data={quote(cfg.paths.data)}",
            *expand(list(cfg.upstream.overrides)),
        ],
        return_hydra_config=True,
    )
    choices = {str(k): str(v) for k, v in composed.hydra.runtime.choices.items()}
    upstream = OmegaConf.masked_copy(composed, [str(key) for key in composed if key != "hydra"])
    upstream.paths.run_dir = ""
    return upstream, choices


def _key(upstream: DictConfig) -> str:
    """Hash what the weights depend on: not where they are kept, nor what the run prints or draws."""
    resolved: Any = OmegaConf.to_container(upstream, resolve=True)
    resolved["datamodule"]["source"].pop("folder", None)
    schedule = {k: v for k, v in resolved["trainer"].items() if k.startswith(("max_", "limit_", "precision"))}
    chosen_by = [resolved["callbacks"]["best"][k] for k in ("monitor", "mode")]
    parts = [resolved["seed"], resolved["datamodule"], resolved["module"], schedule, chosen_by]
    return digest(parts)

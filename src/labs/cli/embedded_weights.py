"""Weights for a machine without a network: made once, by an ordinary run on the embedded upstream images."""

import copy
import io
from collections.abc import Callable
from contextlib import redirect_stdout, suppress
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from filelock import FileLock
from lightning.pytorch.utilities.model_helpers import is_overridden
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.text import Text

from labs import LabsError
from labs.cli.check import build
from labs.cli.describe import upstream
from labs.runs.life import Run


def embedded_weights(cfg: DictConfig, net: str, train: Callable[[DictConfig, Run], Any]) -> Path:
    """Return the run directory whose best checkpoint holds the embedded weights of `net`; train it on the first call.

    The run is `experiment=<cfg.upstream.experiment>` with the net and the image size of `cfg`. Its directory is named
    by its recipe, so a change of the recipe makes new weights; one that was stopped goes on, and processes that need
    the same weights wait for the first. Before that training, the run that needs the weights is rehearsed: if it
    would be refused, nothing is trained.

    Args:
        cfg: the configuration of the run that needs the weights.
        net: its choice of net, such as `resnet18`.
        train: trains a run in its directory.

    Raises:
        LabsError: the dataset has no embedded weights, or the run that needs them would be refused.
    """
    if cfg.upstream.experiment is None:
        raise LabsError(
            "weights=embedded: there are no embedded weights for these images; type weights=imagenet or weights=random"
            + ("." if OmegaConf.select(cfg, "datamodule.embedded") else ", or add data=embedded.")
        )
    config, recipe = upstream(cfg, net)
    folder = Path(cfg.paths.data) / "embedded" / "weights" / f"{cfg.upstream.experiment}-{net}-{recipe.key}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    config.paths.run_dir = str(folder)
    with FileLock(f"{folder}.lock"), Run(folder, recipe, {}) as run:
        if run.is_needed:
            rehearse(cfg)
            epochs = config.trainer.max_epochs
            what = f"{cfg.upstream.experiment} with {net}, {epochs} epochs, made once, kept in {folder}"
            Console(emoji=False).print(Text.assemble(("embedded weights", "bold"), f": {what}"), soft_wrap=True)
            train(config, run)
    (folder / "checkpoints" / "last.ckpt").unlink(missing_ok=True)
    return folder


class _ReadyError(Exception):
    """Everything is set up, and the first step would come now."""


class _Stop(pl.Callback):
    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        raise _ReadyError


def rehearse(cfg: DictConfig) -> None:
    """Build a run with random weights and set it up on one device, as far as its first step: nothing is written.

    Raises:
        LabsError: a mistake that only the data, the net or the optimizer can find.
    """
    cfg = copy.deepcopy(cfg)
    cfg.module.net.weights = "random"
    build(cfg.trainer, "trainer", logger=False)  # as it was typed, before it is brought to one device
    cfg.trainer.update({"devices": 1, "num_nodes": 1, "strategy": "auto"})
    pl.seed_everything(cfg.seed, workers=True, verbose=False)
    datamodule, module = build(cfg.datamodule, "datamodule"), build(cfg.module, "module")
    callbacks = [build(node, f"callbacks.{name}") for name, node in cfg.callbacks.items() if node]
    trainer = build(cfg.trainer, "trainer", callbacks=[_Stop(), *filter(None, callbacks)], logger=False)
    if is_overridden("training_step", module):
        with suppress(_ReadyError), redirect_stdout(io.StringIO()):  # the run says the same once more
            trainer.fit(module, datamodule)

"""A tiny net that is asked for classes, and the method's run in Lightning's trainer."""

from functools import partial
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import nn

from labs.datamodules.canvases import Canvases
from labs.functional.normalization import IMAGENET, Normalizer
from labs.modules.class_visualization import ClassVisualization
from labs.runs.trained_net import TrainedNet

SIZE = 16  # pixels
ASCENT = partial(torch.optim.SGD, lr=2.0)  # optimizer=ascent


def tiny(name: str = "tiny", seed: int = 0, classes: tuple[str, ...] = ("cat", "dog", "old dog")) -> TrainedNet:
    """A net of a few random filters, with dropout that a run must not switch on."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = nn.Sequential(
            nn.Conv2d(3, 6, 5, stride=2), nn.ReLU(), nn.Dropout(), nn.AdaptiveAvgPool2d(2), nn.Flatten(),
            nn.Linear(24, len(classes)),
        )  # fmt: skip
        for part in net:
            if isinstance(part, (nn.Conv2d, nn.Linear)):
                part.weight.data *= 3
    return TrainedNet(
        name,
        net.eval().requires_grad_(False),
        list(classes),
        Normalizer(IMAGENET),
        SIZE,
        None,
        ["random weights"],
        None,
    )


def module(kind: type[ClassVisualization] = ClassVisualization, **options: Any) -> Any:
    """A method with a tiny net."""
    arguments: dict[str, Any] = {
        "net": tiny(),
        "optimizer": ASCENT,
        "classes": ["cat", 1],
        "judge": tiny("other", 1),
        "steps": 6,
        "every": 2,
    }
    return kind(**(arguments | options))


def data(images: str | list[str] | None = None) -> Canvases:
    return Canvases(images=images, count=16, embedded=True, folder="data")


def fit(one: Any, folder: Path, images: str | list[str] | None = None, **options: Any) -> Any:
    """Run a method, as many epochs as its steps take unless `epochs` says otherwise, and test it."""
    epochs, resumed = options.pop("epochs", -(-one.steps // one.every)), options.pop("resumed", None)
    trainer = pl.Trainer(
        max_epochs=epochs, accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False,
        default_root_dir=folder,
        callbacks=[ModelCheckpoint(folder, "last", save_on_train_epoch_end=True, enable_version_counter=False)],
        **options,
    )  # fmt: skip
    served = data(images)
    trainer.fit(one, served, ckpt_path=resumed, weights_only=True)
    trainer.test(one, served, verbose=False)
    return one

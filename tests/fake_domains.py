"""Two tiny domains of four classes, drawn from a seed, and what trains on them in a second."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch

from labs.callbacks.reseed import Reseed
from labs.datamodules.domains import Domains
from labs.datamodules.sources import LabeledImages
from labs.nets.dann_mnist import DANNMNIST, dann_mnist

CLASSES, SIZE = 4, 16
SGD = partial(torch.optim.SGD, lr=0.02, momentum=0.9)


class Drawn:
    """A source of noise with a square in the corner of its class; those of a `bright` one are faint."""

    def __init__(
        self,
        name: str,
        folder: Path,
        *,
        train: int = 48,
        test: int = 20,
        classes: int = CLASSES,
        bright: bool = False,
        seed: int = 0,
        channels: int = 3,
        groups: int | None = None,
    ) -> None:
        self.name, self.cache, self.train, self.test, self.classes = name, folder, train, test, classes
        self.bright, self.seed, self.channels, self.groups = bright, seed, channels, groups

    def load(self, size: int) -> LabeledImages:
        draw, count, half = np.random.default_rng(self.seed), self.train + self.test, size // 2
        pixels = draw.integers(0, 60, (count, self.channels, size, size), dtype=np.uint8)
        labels = np.arange(count, dtype=np.int64) % self.classes
        for image, label in zip(pixels, labels, strict=True):
            top, left = half * (label // 2 % 2), half * (label % 2)
            image[:, top : top + half, left : left + half] += 150
        return LabeledImages(
            pixels=pixels // 4 + draw.integers(0, 200, pixels.shape, dtype=np.uint8) if self.bright else pixels,
            labels=labels,
            names=[f"{self.name} {row}" for row in range(count)],
            classes=[f"corner {label}" for label in range(self.classes)],
            is_test=np.arange(count) >= self.train,
            groups=None if self.groups is None else np.arange(count) % self.groups,
        )


def domains(folder: Path, **options: Any) -> Domains:
    """Serve 48 training images of the source and 80 of the target, 20 and 28 test images."""
    given: dict[str, Any] = {
        "source": Drawn("dark", folder),
        "target": Drawn("bright", folder, train=80, test=28, bright=True, seed=1),
        "num_classes": CLASSES,
        "image_size": SIZE,
        "batch_size": 8,
        "normalization": "dataset",
        "embedded": True,
        "validation_fraction": 0.25,
    }
    return Domains(**given | options)


def small_net(seed: int = 0, **options: Any) -> DANNMNIST:
    torch.manual_seed(seed)
    return dann_mnist(num_classes=CLASSES, image_size=SIZE, **options)


def small_trainer(folder: Path, *, epochs: int = 1, callbacks: Any = (), **options: Any) -> pl.Trainer:
    quiet: dict[str, Any] = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "use_distributed_sampler": False,
        "num_sanity_val_steps": 0,
    }
    seeded = [Reseed(0), *callbacks]
    given: dict[str, Any] = {
        "accelerator": "cpu",
        "max_epochs": epochs,
        "default_root_dir": folder,
        "callbacks": seeded,
    }
    return pl.Trainer(**given | quiet | options)

"""A perceptron on a few drawn faces, trained in the test's own process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch

from labs.datamodules.facescrub import FaceScrub
from labs.datamodules.image_classification import ImageClassification
from labs.modules.classifier import Classifier
from labs.nets.mlp import MLP

PEOPLE = 3
SIZE = 16


def faces(folder: Path) -> ImageClassification:
    source = FaceScrub(
        folder=str(folder), num_classes=PEOPLE, people="all", train_per_person=16, rest_per_person=6, embedded=True,
        drawn_per_person=30,
    )  # fmt: skip
    return ImageClassification(
        source=source,
        num_classes=PEOPLE,
        image_size=SIZE,
        batch_size=16,
        normalization="dataset",
        augment={},
        embedded=True,
    )


def trained(
    folder: Path, run_dir: Path, callbacks: list[pl.Callback], *, weight_decay: float = 0.0, epochs: int = 2
) -> tuple[MLP, list[float], pl.Trainer]:
    pl.seed_everything(0, verbose=False)
    net = MLP(num_classes=PEOPLE, image_size=SIZE, hidden_units=20)
    optimizer: Callable[..., Any] = lambda groups: torch.optim.Adam(groups, lr=1e-3, weight_decay=weight_decay)  # noqa: E731
    module = Classifier(net=net, num_classes=PEOPLE, optimizer=optimizer)
    trainer = pl.Trainer(
        max_epochs=epochs, accelerator="cpu", callbacks=callbacks, default_root_dir=str(run_dir), logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    data = faces(folder)
    trainer.fit(module, data)
    trainer.test(module, data, verbose=False)
    return net, [float(p.detach().sum()) for p in net.parameters()], trainer

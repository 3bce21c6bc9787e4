"""A GAN of four filters and a few dozen images whose class is how bright they are, for the tests of its callbacks."""

from functools import partial
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from torch import Tensor, nn

from labs.datamodules.image_generation import ImageGeneration
from labs.datamodules.sources import LabeledImages
from labs.modules.gan import GAN
from labs.nets.dcgan import DCGAN

CLASSES, TRAIN, TEST = 3, 24, 18
BATCH = 8  # three iterations an epoch


class TinyImages:
    """Grey images of three brightnesses, with coarse noise."""

    name, channels = "brightness", 1
    credits: list[str] = []  # noqa: RUF012

    def load(self, size: int) -> LabeledImages:
        count = TRAIN + TEST
        labels = np.arange(count) % CLASSES
        noise = np.random.default_rng(0).integers(-30, 31, (count, 1, 8, 8))
        coarse = 43 + 85 * labels[:, None, None, None] + noise
        pixels = coarse.repeat(size // 8, 2).repeat(size // 8, 3).astype(np.uint8)
        is_test = np.arange(count) >= TRAIN
        names = [f"image_{row:02d}" for row in range(count)]
        return LabeledImages(pixels, labels.astype(np.int64), names, ["dark", "grey", "bright"], is_test)


class KnowsBrightness(nn.Module):
    """Stand in for the judge: features are the means of four quarters, the class is the brightness."""

    accuracy, hash = 0.75, "0123456789ab"

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(4, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        assert images.dtype == torch.uint8
        return nn.functional.adaptive_avg_pool2d(images.float() / 255, 2).flatten(1)

    def classify(self, features: Tensor) -> Tensor:
        return (features.mean(1) * CLASSES).long().clamp(max=CLASSES - 1)


def data() -> ImageGeneration:
    return ImageGeneration(
        source=TinyImages(),  # type: ignore[arg-type]
        num_classes=CLASSES,
        image_size=32,
        channels=1,
        batch_size=BATCH,
        embedded=True,
    )


def gan(kind: type[GAN] = GAN, *, conditional: bool = False, **options: Any) -> Any:
    """Make the same module at every call, with weights that make images differ before they have learned anything."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = DCGAN(image_size=32, channels=1, nz=5, ngf=4, ndf=4, num_classes=CLASSES if conditional else None)
        for parameter in net.generator.parameters():
            if parameter.ndim > 1:
                nn.init.normal_(parameter, std=0.3)
    return kind(net=net, optimizer=partial(torch.optim.Adam, lr=2e-3, betas=(0.5, 0.999)), **options)


def trainer(folder: Path, *callbacks: pl.Callback, epochs: int = 1) -> pl.Trainer:
    return pl.Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        default_root_dir=folder,
        callbacks=list(callbacks),
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        use_distributed_sampler=False,
        num_sanity_val_steps=0,
    )

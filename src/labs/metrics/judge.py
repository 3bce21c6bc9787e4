"""The judge of generated images: a small classifier, trained once on the same dataset, frozen, identified by a hash.

Metrics based on Inception, which was trained on color photographs, say little about digits. The metrics here are based
on a classifier of the same digits. Compare their values with each other, never with published Inception values.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from filelock import FileLock
from torch import Tensor, nn

from labs import LabsError
from labs.datamodules.orders import EpochBatches
from labs.datamodules.sources import LabeledImages
from labs.storage.bars import image_bar
from labs.storage.checkpoint_files import read_checkpoint
from labs.storage.files import replacing
from labs.storage.stores import content

SIZE = 32  # pixels; larger images are averaged down to this size
FEATURES = 64
STEPS, EPOCHS = 1000, 5  # train for at least this many optimizer steps and epochs
BATCH = 64
VERSION = 2  # change it when anything but the images changes the weights


class Judge(nn.Module):
    """Classify images of 32 x 32 pixels; the features are the input of the last layer.

    Args:
        channels: channels of the images.
        num_classes: number of classes.
    """

    unit: Tensor

    def __init__(self, channels: int, num_classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after in ((channels, 16), (16, 32), (32, 64)):
            layers += [nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU(), nn.MaxPool2d(2)]
        self.body = nn.Sequential(*layers, nn.Flatten(), nn.Linear(64 * (SIZE // 8) ** 2, FEATURES), nn.ReLU())
        self.head = nn.Linear(FEATURES, num_classes)
        self.register_buffer("unit", torch.ones(()))  # root mean square of the features of the training images
        self.accuracy = 0.0  # on the held-out images, in [0, 1]

    def forward(self, images: Tensor) -> Tensor:
        """Return features (batch, 64) of uint8 images (batch, channels, size, size), size a multiple of 32.

        Their mean square over the training images is 1, so that distances under two judges are of the same order.
        """
        pixels = images.float().div(127.5).sub(1)
        return self.body(F.avg_pool2d(pixels, pixels.shape[-1] // SIZE)) / self.unit

    def logits(self, features: Tensor) -> Tensor:
        """Return logits (batch, classes) of features (batch, 64)."""
        return self.head(features * self.unit)

    def classify(self, features: Tensor) -> Tensor:
        """Return the predicted label of each row of features, on the CPU."""
        return self.logits(features.to(self.head.weight.device)).argmax(1).cpu()

    @property
    def hash(self) -> str:
        """Return a hash of the weights, 12 hex digits."""
        hashed = hashlib.sha256()
        for name, value in sorted(self.state_dict().items()):
            hashed.update(name.encode())
            hashed.update(value.cpu().contiguous().numpy().tobytes())
        return hashed.hexdigest()[:12]


def trained_judge(images: LabeledImages, folder: Path) -> Judge:
    """Return the judge of a dataset: train it on the training split on the first call, read it from `folder` later.

    Args:
        images: the dataset at 32 pixels.
        folder: folder of the judges; the file name depends on the images.

    Returns:
        A frozen net in evaluation mode, on the CPU.
    """
    named = hashlib.sha256(f"{VERSION} {STEPS} {EPOCHS} {content(images.pixels)}".encode())
    named.update(np.ascontiguousarray(images.labels).tobytes() + np.ascontiguousarray(images.is_test).tobytes())
    file = folder / f"judge-{named.hexdigest()[:16]}.pt"
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{file}.lock"), torch.random.fork_rng(devices=[]):
        judge = Judge(images.pixels.shape[1], len(images.classes))
        try:
            judge.load_state_dict(read_checkpoint(file))
        except (LabsError, RuntimeError, TypeError):  # missing, damaged or with other shapes: train
            torch.manual_seed(0)
            judge = Judge(images.pixels.shape[1], len(images.classes))
            _train(judge, images)
            with replacing(file) as staged:
                torch.save(judge.state_dict(), staged)
    judge.eval().requires_grad_(False)
    test = torch.from_numpy(images.pixels[images.is_test])
    preds = torch.cat([judge.classify(judge(some)) for some in test.split(1000)]).numpy()
    judge.accuracy = float((preds == images.labels[images.is_test]).mean())
    return judge


def _endless(batches: EpochBatches) -> Iterator[list[int]]:
    while True:
        yield from batches
        batches.set_epoch(batches.epoch + 1)


def _train(judge: Judge, images: LabeledImages) -> None:
    """Train with Adam and a cosine schedule; the augmentation is a shift by up to two pixels."""
    train = np.flatnonzero(~images.is_test)
    pixels, labels = torch.from_numpy(images.pixels[train]), torch.from_numpy(images.labels[train])
    batches = EpochBatches(len(train), BATCH, shuffle=True, seed=0)
    optimizer = torch.optim.Adam(judge.parameters(), lr=2e-3)
    steps = max(STEPS, EPOCHS * len(batches))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    with image_bar() as bar:
        numbers = bar.track(range(steps), description="training the judge of generated images (only once)")
        for _, chosen in zip(numbers, _endless(batches), strict=False):
            down, right = torch.randint(-2, 3, (2,)).tolist()
            shifted = pixels[chosen].roll((down, right), (-2, -1))
            loss = F.cross_entropy(judge.logits(judge(shifted)), labels[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    judge.eval()
    with torch.no_grad():
        squares = [judge(some).square().mean(1) for some in pixels.split(1000)]
    judge.unit.copy_(torch.cat(squares).mean().sqrt())

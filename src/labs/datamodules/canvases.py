"""Where pictures begin that a method makes by itself: in images, or in nothing but noise."""

from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from labs.datamodules.photos import Photos


class Canvases(Photos):
    """Hand over the images that pictures begin in; an epoch is one step of the method.

    Args:
        images: as in `Photos`; None: there are none, and pictures begin in noise.
        count: images at most that are taken, evenly spread, of a folder.
        embedded: whether this run is the offline one, and is labeled so.
        folder: where the datasets of runs are.
    """

    def __init__(self, *, images: str | list[str] | None, count: int, embedded: bool, folder: str) -> None:
        super().__init__(
            images=images, photographs=[], split="test", count=count, batch_size=1, embedded=embedded, folder=folder
        )

    def setup(self, stage: str) -> None:
        """Read the images, if there are any."""
        if self.sources is not None:
            super().setup(stage)

    def facts(self) -> dict[str, Any]:
        """Say what `metrics.json` tells of the data: nothing is counted, the method makes the pictures."""
        return {**super().facts(), "counts": {}}

    def train_dataloader(self) -> DataLoader[Tensor]:
        """Serve one batch, which says nothing."""
        return DataLoader([torch.zeros(())], batch_size=None)  # type: ignore[arg-type]  # a list does as a dataset

    def test_dataloader(self) -> DataLoader[Tensor]:
        """Serve one batch, which says nothing."""
        return self.train_dataloader()

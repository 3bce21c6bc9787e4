"""Starting points for methods that generate pictures: images, or noise."""

from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from labs.datamodules.photos import Photos


class Canvases(Photos):
    """Provide the images that pictures start from; an epoch is one step of the method.

    Args:
        images: as in `Photos`, or None to start from noise.
        count: maximum number of images to use from a folder, evenly spaced.
        embedded: whether to label the run as embedded data.
        folder: folder of all datasets.
    """

    def __init__(self, *, images: str | list[str] | None, count: int, embedded: bool, folder: str) -> None:
        super().__init__(
            images=images, photographs=[], split="test", count=count, batch_size=1, embedded=embedded, folder=folder
        )

    def setup(self, stage: str) -> None:
        """Read the images, if any."""
        if self.sources is not None:
            super().setup(stage)

    def facts(self) -> dict[str, Any]:
        """Return the facts about the data for `metrics.json`, without counts: the method generates the pictures."""
        return {**super().facts(), "counts": {}}

    def train_dataloader(self) -> DataLoader[Tensor]:
        """Load one empty batch."""
        return DataLoader([torch.zeros(())], batch_size=None)  # type: ignore[arg-type]  # a list works as a dataset

    def test_dataloader(self) -> DataLoader[Tensor]:
        """Load one empty batch."""
        return self.train_dataloader()

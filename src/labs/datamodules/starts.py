"""Starting points for descents on a curve: given or random."""

from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from labs import LabsError
from labs.datamodules.orders import generator

MOST = 10_000


class Starts(pl.LightningDataModule):
    """Provide starting points in one batch, (points,); there is nothing to download.

    Args:
        points: the starting points, or None for random ones.
        count: number of random points.
        low: lower end of the random points.
        high: upper end of the random points.
        seed: random seed of the points.
        embedded: whether to label the run as embedded data; the points are the same.
    """

    def __init__(
        self, *, points: list[float] | None, count: int, low: float, high: float, seed: int, embedded: bool
    ) -> None:
        super().__init__()
        if points is not None and not 1 <= len(points) <= MOST:
            raise LabsError(f"datamodule.points={points}: expected 1 to {MOST} numbers, such as [-1,0.1,2].")
        if points is None and not 1 <= count <= MOST:
            raise LabsError(f"datamodule.count={count}: expected 1 to {MOST} points.")
        if points is None and not low < high:
            raise LabsError(
                f"datamodule.low={low} datamodule.high={high}: expected a lower and a higher end, such as -1 and 2.5."
            )
        self.embedded = embedded
        typed = torch.tensor(list(dict.fromkeys(points or ())), dtype=torch.float32)
        self.starts = typed if points is not None else _at_random(count, low, high, seed)

    @property
    def labels(self) -> list[str]:
        """The labels that every number and picture of this run must show."""
        return ["embedded data"] if self.embedded else []

    def facts(self) -> dict[str, Any]:
        """Return the facts about the data for `metrics.json`."""
        return {"labels": self.labels, "counts": {}, "starts": len(self.starts)}

    def train_dataloader(self) -> DataLoader[Tensor]:
        """Load the starting points, in one batch."""
        return DataLoader([self.starts], batch_size=None)  # type: ignore[arg-type]  # a list works as a dataset

    def test_dataloader(self) -> DataLoader[Tensor]:
        """Load the starting points, in one batch."""
        return self.train_dataloader()


def _at_random(count: int, low: float, high: float, seed: int) -> Tensor:
    return low + (high - low) * torch.rand(count, generator=generator(seed))

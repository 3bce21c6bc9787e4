"""Random bits, 0 or 1, and what NOT makes of them: the smallest data set that a neuron can learn from."""

from typing import Any, NamedTuple

import lightning.pytorch as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from labs import LabsError
from labs.datamodules.batches import loader
from labs.datamodules.orders import EpochBatches, generator, share


class BitBatch(NamedTuple):
    """A batch of bits, as floats."""

    inputs: Tensor  # (batch, 1): 0 or 1
    labels: Tensor  # (batch, 1): 1 - inputs
    positions: Tensor  # (batch,) int64: where each bit stands in its split


class StoredBits(Dataset[BitBatch]):
    """A split of bits (count, 1); indexing takes a whole batch of positions."""

    def __init__(self, bits: Tensor) -> None:
        self.bits = bits

    def __len__(self) -> int:
        return len(self.bits)

    def __getitem__(self, index: list[int]) -> BitBatch:
        inputs = self.bits[index]
        return BitBatch(inputs, 1 - inputs, torch.as_tensor(index))


class Bits(pl.LightningDataModule):
    """Draw random bits and split them; there is nothing to download.

    Both splits have the same two inputs, since there are no others: a loss on held-out bits that is low says nothing
    about inputs that were never seen.

    Args:
        count: of bits in all.
        test_fraction: share of them that is held out.
        batch_size: bits in a batch.
        seed: of the bits and of their order.
        embedded: whether this run is labeled as the offline one; the bits are the same.
        shuffle: take the training bits in another order in each epoch.
    """

    def __init__(
        self, *, count: int, test_fraction: float, batch_size: int, seed: int, embedded: bool, shuffle: bool = True
    ) -> None:
        super().__init__()
        if not 0 < test_fraction < 1:
            raise LabsError(f"datamodule.test_fraction={test_fraction}: expected a share between 0 and 1, such as 0.2.")
        if batch_size < 1:
            raise LabsError(f"datamodule.batch_size={batch_size}: expected 1 bit or more.")
        held_out = round(count * test_fraction)
        if held_out < 2 or count - held_out < 2:
            raise LabsError(f"datamodule.count={count}: too few bits to learn from and to test; type 100, say.")
        self.batch_size, self.seed, self.embedded, self.shuffle = batch_size, seed, embedded, shuffle
        bits = torch.randint(2, (count, 1), generator=generator(seed)).float()
        self.splits = {"train": StoredBits(bits[held_out:]), "test": StoredBits(bits[:held_out])}

    @property
    def labels(self) -> list[str]:
        """What every number and picture of this run must carry."""
        return ["embedded data"] if self.embedded else []

    def facts(self) -> dict[str, Any]:
        """Say what `metrics.json` tells of the data."""
        return {"labels": self.labels, "counts": {split: len(bits) for split, bits in self.splits.items()}}

    def train_dataloader(self) -> DataLoader[BitBatch]:
        """Serve the training bits in an order that is a function of (seed, epoch)."""
        bits = self.splits["train"]
        order = EpochBatches(len(bits), self.batch_size, shuffle=self.shuffle, seed=self.seed, **share(self.trainer))
        return loader(bits, order)

    def val_dataloader(self) -> DataLoader[BitBatch]:
        """Serve the held-out bits, all in one batch: they are watched while the neuron learns, and choose nothing."""
        bits = self.splits["test"]
        return loader(bits, EpochBatches(len(bits), len(bits), shuffle=False))

    def test_dataloader(self) -> DataLoader[BitBatch]:
        """Serve the held-out bits, all in one batch."""
        return self.val_dataloader()

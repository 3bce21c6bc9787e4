"""Random bits, 0 or 1, with their NOT as labels: the smallest dataset that a neuron can learn from."""

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
    positions: Tensor  # (batch,) int64: index of each bit in its split


class StoredBits(Dataset[BitBatch]):
    """A split of bits (count, 1), indexed by a whole batch of positions."""

    def __init__(self, bits: Tensor) -> None:
        self.bits = bits

    def __len__(self) -> int:
        return len(self.bits)

    def __getitem__(self, index: list[int]) -> BitBatch:
        inputs = self.bits[index]
        return BitBatch(inputs, 1 - inputs, torch.as_tensor(index))


class Bits(pl.LightningDataModule):
    """Draw random bits and split them; there is nothing to download.

    Both splits contain the same two inputs, because there are no others. A low loss on held-out bits therefore says
    nothing about unseen inputs.

    Args:
        count: number of bits.
        test_fraction: fraction of bits that is held out.
        batch_size: bits per batch.
        seed: random seed of the bits and their order.
        embedded: whether to label the run as embedded data; the bits are the same.
        shuffle: whether to shuffle the training bits in each epoch.
    """

    def __init__(
        self, *, count: int, test_fraction: float, batch_size: int, seed: int, embedded: bool, shuffle: bool = True
    ) -> None:
        super().__init__()
        if not 0 < test_fraction < 1:
            raise LabsError(f"datamodule.test_fraction={test_fraction}: expected a fraction in (0, 1), such as 0.2.")
        if batch_size < 1:
            raise LabsError(f"datamodule.batch_size={batch_size}: expected 1 bit or more.")
        held_out = round(count * test_fraction)
        if held_out < 2 or count - held_out < 2:
            raise LabsError(f"datamodule.count={count}: too few bits to train and test on; type 100, for example.")
        self.batch_size, self.seed, self.embedded, self.shuffle = batch_size, seed, embedded, shuffle
        bits = torch.randint(2, (count, 1), generator=generator(seed)).float()
        self.splits = {"train": StoredBits(bits[held_out:]), "test": StoredBits(bits[:held_out])}

    @property
    def labels(self) -> list[str]:
        """The labels that every number and picture of this run must show."""
        return ["embedded data"] if self.embedded else []

    def facts(self) -> dict[str, Any]:
        """Return the facts about the data for `metrics.json`."""
        return {"labels": self.labels, "counts": {split: len(bits) for split, bits in self.splits.items()}}

    def train_dataloader(self) -> DataLoader[BitBatch]:
        """Load the training bits in an order that is a function of (seed, epoch)."""
        bits = self.splits["train"]
        order = EpochBatches(len(bits), self.batch_size, shuffle=self.shuffle, seed=self.seed, **share(self.trainer))
        return loader(bits, order)

    def val_dataloader(self) -> DataLoader[BitBatch]:
        """Load the held-out bits, all in one batch: they monitor training and select nothing."""
        bits = self.splits["test"]
        return loader(bits, EpochBatches(len(bits), len(bits), shuffle=False))

    def test_dataloader(self) -> DataLoader[BitBatch]:
        """Load the held-out bits, all in one batch."""
        return self.val_dataloader()

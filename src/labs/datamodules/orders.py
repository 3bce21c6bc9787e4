"""The images of each batch: the order is a function of (seed, epoch), and is divided among processes."""

from collections.abc import Iterator

import lightning.pytorch as pl
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Sampler

from labs import LabsError


class EpochBatches(Sampler[list[int]]):
    """Lists of positions, one per batch, shuffled as a pure function of (seed, epoch) and divided among ranks.

    If the last training batch has a single image, it is merged with the previous batch, because batch norm cannot train
    on one image. With several ranks, training repeats a few images so that all ranks take the same number of steps;
    evaluation repeats none, so that a metric covers every image exactly once. An epoch can be several passes over the
    images, each in a different order.
    """

    def __init__(
        self,
        count: int,
        batch_size: int,
        *,
        shuffle: bool,
        seed: int = 0,
        passes: int = 1,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.count, self.batch_size, self.shuffle = count, batch_size, shuffle
        self.seed, self.passes, self.rank, self.world_size = seed, passes, rank, world_size
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch of the next order; the Trainer calls this before each training epoch."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[list[int]]:
        for number in range(self.epoch * self.passes, (self.epoch + 1) * self.passes):
            yield from self._one_pass(number)

    def _one_pass(self, number: int) -> Iterator[list[int]]:
        order = torch.arange(self.count)
        if self.shuffle:
            order = order[torch.randperm(self.count, generator=generator(self.seed, number))]
            order = order[torch.arange(self.count + -self.count % self.world_size) % self.count]
        mine = order[self.rank :: self.world_size].tolist()
        starts = list(range(0, len(mine), self.batch_size))
        if self.shuffle and self.batch_size > 1 and len(starts) > 1 and len(mine) - starts[-1] == 1:
            starts.pop()
        for start, end in zip(starts, [*starts[1:], len(mine)]):
            yield mine[start:end]

    def __len__(self) -> int:
        shared_out = self.count + (-self.count % self.world_size if self.shuffle else 0)
        mine = len(range(self.rank, shared_out, self.world_size))
        batches = -(-mine // self.batch_size)
        joined = self.shuffle and batches > 1 and mine % self.batch_size == 1
        return (batches - joined) * self.passes


class PairedBatches(Sampler[tuple[list[int], list[int]]]):
    """Pairs of lists of positions in two sets of images; an epoch is one or more passes over the larger set.

    Each set is shuffled as a pure function of (seed, epoch, pass). When the smaller set is finished, it starts another
    pass in a different order. All batches are full; the few remaining images appear in other passes.

    Args:
        counts: number of images in each set.
        batch_size: images of each set per batch and rank.
        shuffle: whether to shuffle each pass.
        seed: random seed of the order.
        passes: passes over the larger set per epoch.
        rank: index of this process.
        world_size: number of processes.
    """

    def __init__(
        self,
        counts: tuple[int, int],
        batch_size: int,
        *,
        shuffle: bool = True,
        seed: int = 0,
        passes: int = 1,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.counts, self.batch_size, self.shuffle = counts, batch_size, shuffle
        self.seed, self.passes, self.rank, self.world_size = seed, passes, rank, world_size
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch of the next order; the Trainer calls this before each training epoch."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[tuple[list[int], list[int]]]:
        for number in range(self.epoch * self.passes, (self.epoch + 1) * self.passes):
            yield from self._one_pass(number)

    def _one_pass(self, number: int) -> Iterator[tuple[list[int], list[int]]]:
        first, second = (self._order(number, which, count) for which, count in enumerate(self.counts))
        step = self.batch_size * self.world_size
        for start in range(0, self._pairs() * step, step):
            mine = slice(start + self.rank * self.batch_size, start + (self.rank + 1) * self.batch_size)
            yield first[mine].tolist(), second[mine].tolist()

    def __len__(self) -> int:
        return self._pairs() * self.passes

    def _pairs(self) -> int:
        return max(self.counts) // (self.batch_size * self.world_size)

    def _order(self, number: int, which: int, count: int) -> Tensor:
        rounds = -(-max(self.counts) // count)
        if not self.shuffle:
            return torch.arange(count).repeat(rounds)
        orders = [torch.randperm(count, generator=generator(self.seed, number, which, n)) for n in range(rounds)]
        return torch.cat(orders)


def check_passes(passes: int) -> None:
    """Raise an error if an epoch has no pass over the images."""
    if passes < 1:
        raise LabsError(f"datamodule.passes={passes}: expected 1 or more passes over the images per epoch.")


def share(trainer: pl.Trainer | None) -> dict[str, int]:
    """Return this process's part of all batches: `rank` and `world_size`."""
    return {"rank": trainer.global_rank, "world_size": trainer.world_size} if trainer else {"rank": 0, "world_size": 1}


def generator(seed: int, *keys: int) -> torch.Generator:
    """Return a CPU random generator whose state is a pure function of `seed` and `keys`, such as the epoch."""
    state = np.random.SeedSequence([seed, *keys]).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state) & (2**63 - 1))

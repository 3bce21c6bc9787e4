from itertools import product

import numpy as np
import pytest
import torch

from labs import LabsError
from labs.datamodules.orders import EpochBatches, PairedBatches, check_passes, generator

COUNTS, SIZES = (1, 2, 3, 7, 8, 9, 16, 17, 31), (2, 3, 4, 8, 50)


def all_batches(
    count: int, size: int, *, shuffle: bool, epoch: int = 0, seed: int = 0, world_size: int = 1
) -> list[list[list[int]]]:
    """List each rank's batches of an epoch."""
    ranks = [
        EpochBatches(count, size, shuffle=shuffle, seed=seed, rank=rank, world_size=world_size)
        for rank in range(world_size)
    ]
    for batches in ranks:
        batches.set_epoch(epoch)
    return [list(batches) for batches in ranks]


def flat(batches: list[list[int]]) -> list[int]:
    return [position for batch in batches for position in batch]


@pytest.mark.parametrize(("count", "size"), list(product(COUNTS, (1, *SIZES))))
def test_one_rank_sees_every_image_once_an_epoch(count: int, size: int) -> None:
    (evaluation,) = all_batches(count, size, shuffle=False)
    assert flat(evaluation) == list(range(count))
    (training,) = all_batches(count, size, shuffle=True)
    assert sorted(flat(training)) == list(range(count))


@pytest.mark.parametrize(("count", "size"), list(product(COUNTS, SIZES)))
def test_a_lone_last_image_joins_the_batch_before_it(count: int, size: int) -> None:
    (training,) = all_batches(count, size, shuffle=True)
    lengths = [len(batch) for batch in training]
    assert lengths[:-1] == [size] * (len(lengths) - 1)
    assert lengths[-1] == count if len(lengths) == 1 else 2 <= lengths[-1] <= size + 1


@pytest.mark.parametrize("size", [1, *SIZES])
def test_evaluation_keeps_a_lone_last_image_apart(size: int) -> None:
    (evaluation,) = all_batches(size * 2 + 1, size, shuffle=False)
    assert max(map(len, evaluation)) == size


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_the_length_is_the_number_of_batches(shuffle: bool, world_size: int) -> None:
    for count, size, rank in product(COUNTS, SIZES, range(world_size)):
        if count < world_size:
            continue
        batches = EpochBatches(count, size, shuffle=shuffle, rank=rank, world_size=world_size)
        assert len(batches) == len(list(batches)), (count, size, rank)


@pytest.mark.parametrize("shuffle", [True, False])
def test_batches_of_one_image(shuffle: bool) -> None:
    batches = EpochBatches(5, 1, shuffle=shuffle)
    assert [len(batch) for batch in batches] == [1] * 5  # none can be spared from being alone
    assert len(batches) == 5


@pytest.mark.parametrize("world_size", [2, 3])
@pytest.mark.parametrize(("count", "size"), list(product(COUNTS, (1, *SIZES))))
def test_ranks_evaluate_every_image_exactly_once(count: int, size: int, world_size: int) -> None:
    ranks = all_batches(count, size, shuffle=False, world_size=world_size)
    assert sorted(flat([batch for batches in ranks for batch in batches])) == list(range(count))


@pytest.mark.parametrize("world_size", [2, 3])
@pytest.mark.parametrize(("count", "size"), list(product(COUNTS[2:], (1, *SIZES))))
def test_ranks_train_in_step_on_every_image(count: int, size: int, world_size: int) -> None:
    ranks = all_batches(count, size, shuffle=True, world_size=world_size)
    shapes = [[len(batch) for batch in batches] for batches in ranks]
    assert shapes == [shapes[0]] * world_size
    seen = flat([batch for batches in ranks for batch in batches])
    assert set(seen) == set(range(count))
    assert len(seen) == count + -count % world_size  # no more repeated than needed to share out evenly


@pytest.mark.parametrize(
    ("count", "world_size"),
    [(2, 3), (1, 3), (2, 5)],
)
def test_fewer_images_than_ranks(count: int, world_size: int) -> None:
    steps = [len(batches) for batches in all_batches(count, 4, shuffle=True, world_size=world_size)]
    assert steps == [1] * world_size


class TestOrder:
    def test_it_is_a_function_of_seed_and_epoch(self) -> None:
        orders = {
            (seed, epoch): flat(all_batches(50, 8, shuffle=True, seed=seed, epoch=epoch)[0])
            for seed in range(3)
            for epoch in range(3)
        }
        assert len({tuple(order) for order in orders.values()}) == 9
        torch.manual_seed(99)  # the global generator has no part in it
        for (seed, epoch), order in orders.items():
            assert flat(all_batches(50, 8, shuffle=True, seed=seed, epoch=epoch)[0]) == order

    def test_it_does_not_depend_on_the_batch_size_or_what_came_before(self) -> None:
        expected = flat(all_batches(20, 4, shuffle=True, epoch=2)[0])
        assert flat(all_batches(20, 7, shuffle=True, epoch=2)[0]) == expected
        batches = EpochBatches(20, 4, shuffle=True)
        next(iter(batches))
        list(batches)
        batches.set_epoch(2)
        assert flat(list(batches)) == expected
        assert flat(list(batches)) == expected  # iterating changes nothing

    def test_seed_and_epoch_are_not_added_up(self) -> None:
        draws = {
            tuple(torch.rand(3, generator=generator(seed, epoch)).tolist()) for seed in range(6) for epoch in range(6)
        }
        assert len(draws) == 36

    def test_drawing_leaves_the_global_generators_alone(self) -> None:
        state, numpy_state = torch.get_rng_state(), np.random.get_state(legacy=False)["state"]["key"].copy()  # noqa: NPY002
        all_batches(50, 8, shuffle=True)
        assert torch.equal(torch.get_rng_state(), state)
        assert (np.random.get_state(legacy=False)["state"]["key"] == numpy_state).all()  # noqa: NPY002

    def test_large_seeds(self) -> None:
        assert sorted(flat(all_batches(9, 2, shuffle=True, seed=2**40, epoch=10**6)[0])) == list(range(9))


def pairs(
    counts: tuple[int, int], size: int, *, epoch: int = 0, seed: int = 0, world_size: int = 1
) -> list[list[tuple[list[int], list[int]]]]:
    """List each rank's pairs of batches of an epoch."""
    ranks = [PairedBatches(counts, size, seed=seed, rank=rank, world_size=world_size) for rank in range(world_size)]
    for batches in ranks:
        batches.set_epoch(epoch)
        assert len(batches) == len(list(batches))
    return [list(batches) for batches in ranks]


class TestPairs:
    @pytest.mark.parametrize("counts", [(30, 7), (7, 30), (12, 12), (25, 24)])
    @pytest.mark.parametrize("size", [1, 3, 7])
    def test_batches_are_full_and_the_longer_set_is_passed_once(self, counts: tuple[int, int], size: int) -> None:
        (served,) = pairs(counts, size)
        assert len(served) == max(counts) // size
        assert all(len(part) == size for pair in served for part in pair)
        longer = counts.index(max(counts))
        seen = [position for pair in served for position in pair[longer]]
        assert len(set(seen)) == len(seen)
        assert set(seen) <= set(range(max(counts)))

    def test_the_shorter_set_begins_again_in_another_order(self) -> None:
        (served,) = pairs((7, 30), 3)
        seen = [position for first, _ in served for position in first]
        passes = [seen[start : start + 7] for start in range(0, 28, 7)]
        assert all(sorted(one) == list(range(7)) for one in passes)
        assert len({tuple(one) for one in passes}) == 4
        (later,) = pairs((7, 30), 3, epoch=1)
        assert [first for first, _ in later] != [first for first, _ in served]

    def test_what_is_left_over_has_its_turn_in_another_epoch(self) -> None:
        seen = [set(flat([second for _, second in pairs((4, 11), 4, epoch=epoch)[0]])) for epoch in range(20)]
        assert all(len(one) == 8 for one in seen)
        assert set.union(*seen) == set(range(11))

    def test_two_sets_of_one_size_have_orders_of_their_own(self) -> None:
        (served,) = pairs((20, 20), 20)
        assert served[0][0] != served[0][1]

    def test_they_are_a_function_of_seed_and_epoch(self) -> None:
        keys = [(seed, epoch) for seed in range(3) for epoch in range(3)]
        orders = {(s, e): pairs((9, 20), 4, seed=s, epoch=e)[0] for s, e in keys}
        assert len({str(order) for order in orders.values()}) == 9
        torch.manual_seed(99)
        state = torch.get_rng_state()
        for seed, epoch in reversed(keys):
            assert pairs((9, 20), 4, seed=seed, epoch=epoch)[0] == orders[seed, epoch]
        assert torch.equal(torch.get_rng_state(), state)

    def test_iterating_again_changes_nothing(self) -> None:
        batches = PairedBatches((9, 20), 4)
        next(iter(batches))
        assert list(batches) == list(batches) == pairs((9, 20), 4)[0]

    @pytest.mark.parametrize("counts", [(30, 12), (12, 30), (24, 24)])
    @pytest.mark.parametrize("world_size", [2, 3])
    def test_ranks_share_out_what_one_would_see(self, counts: tuple[int, int], world_size: int) -> None:
        size = 3
        ranks = pairs(counts, size, world_size=world_size)
        (alone,) = pairs(counts, size * world_size)
        assert len({len(rank) for rank in ranks}) == 1
        for step, whole in enumerate(alone):
            for which in (0, 1):
                assert [position for rank in ranks for position in rank[step][which]] == whole[which]
        longer = counts.index(max(counts))
        mine = [set(flat([pair[longer] for pair in rank])) for rank in ranks]
        assert sum(map(len, mine)) == len(set.union(*mine)), "no rank sees another's"

    def test_without_shuffling_every_pass_has_their_own_order(self) -> None:
        batches = PairedBatches((3, 8), 4, shuffle=False)
        batches.set_epoch(5)
        assert list(batches) == [([0, 1, 2, 0], [0, 1, 2, 3]), ([1, 2, 0, 1], [4, 5, 6, 7])]


@pytest.mark.parametrize("world_size", [1, 2])
def test_an_epoch_of_several_passes_is_as_many_epochs_of_one(world_size: int) -> None:
    for build in (
        lambda **options: EpochBatches(17, 4, shuffle=True, seed=3, **options),
        lambda **options: PairedBatches((17, 9), 4, seed=3, **options),
    ):
        once, thrice = (build(passes=passes, rank=world_size - 1, world_size=world_size) for passes in (1, 3))
        thrice.set_epoch(2)
        expected = []
        for epoch in (6, 7, 8):
            once.set_epoch(epoch)
            expected += list(once)
        assert list(thrice) == expected
        assert len(thrice) == len(expected) == 3 * len(once)


def test_an_epoch_has_a_pass() -> None:
    with pytest.raises(LabsError, match=r"datamodule\.passes=0: expected 1 or more passes"):
        check_passes(0)

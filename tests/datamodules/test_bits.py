from typing import Any

import pytest
import torch

from labs import LabsError
from labs.datamodules.bits import Bits


def bits(**options: Any) -> Bits:
    return Bits(**{"count": 400, "test_fraction": 0.2, "batch_size": 8, "seed": 0, "embedded": True, **options})


def test_labels_are_the_opposite_of_the_bits() -> None:
    batches = list(bits().train_dataloader())
    assert len(batches) == 40
    for batch in batches:
        assert set(batch.inputs.flatten().tolist()) <= {0.0, 1.0}
        assert torch.equal(batch.labels, 1 - batch.inputs)


def test_a_fifth_is_held_out_and_both_splits_have_both_inputs() -> None:
    data = bits()
    assert data.facts() == {"labels": ["embedded data"], "counts": {"train": 320, "test": 80}}
    (held_out,) = data.val_dataloader()
    assert len(held_out.inputs) == 80
    for split in data.splits.values():
        assert split.bits.unique().tolist() == [0, 1]


def test_bits_and_their_order_are_those_of_seed_and_epoch() -> None:
    def order(epoch: int, **options: Any) -> list[float]:
        loader = bits(**options).train_dataloader()
        loader.sampler.set_epoch(epoch)  # type: ignore[attr-defined]
        return [bit for batch in loader for bit in batch.inputs.flatten().tolist()]

    assert order(3) == order(3)
    assert order(3) != order(4)
    assert sorted(order(3)) == sorted(order(4))
    assert order(3) != order(3, seed=1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"test_fraction": 1.0}, "datamodule.test_fraction=1.0: expected a fraction in \\(0, 1\\)"),
        ({"batch_size": 0}, "datamodule.batch_size=0: expected 1 bit or more"),
        ({"count": 3}, "datamodule.count=3: too few bits"),
    ],
)
def test_mistakes_are_answered(options: dict[str, Any], message: str) -> None:
    with pytest.raises(LabsError, match=message):
        bits(**options)

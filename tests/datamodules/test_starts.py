from typing import Any

import pytest
import torch

from labs import LabsError
from labs.datamodules.starts import Starts


def starts(**options: Any) -> Starts:
    return Starts(**{"points": None, "count": 50, "low": -1.0, "high": 2.5, "seed": 0, "embedded": True, **options})


def test_typed_points_are_served_once_each_as_they_are() -> None:
    (batch,) = starts(points=[-1, 0, 0.1, 2, 0]).train_dataloader()
    torch.testing.assert_close(batch, torch.tensor([-1.0, 0.0, 0.1, 2.0]))


def test_random_points_lie_between_the_ends_and_are_the_seeds() -> None:
    one, again, other = starts().starts, starts().starts, starts(seed=1).starts
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    assert -1 <= one.min() < one.max() <= 2.5
    assert len(one) == 50


def test_its_label_is_that_of_the_data_which_was_typed() -> None:
    assert starts().facts() == {"labels": ["embedded data"], "counts": {}, "starts": 50}
    assert starts(embedded=False).labels == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"points": []}, r"datamodule.points=\[\]: expected 1 to 10000 numbers"),
        ({"count": 0}, "datamodule.count=0: expected 1 to 10000 points"),
        ({"low": 2.0, "high": -1.0}, "datamodule.low=2.0 datamodule.high=-1.0: expected a lower and a higher end"),
    ],
)
def test_mistakes_are_answered(options: dict[str, Any], message: str) -> None:
    with pytest.raises(LabsError, match=message):
        starts(**options)

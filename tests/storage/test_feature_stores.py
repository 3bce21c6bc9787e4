import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from labs import LabsError
from labs.storage.feature_stores import part_key, stored_features
from labs.storage.stores import NoRoomError, Stored

COUNT, SIZE = 10, 6


def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout())


def images() -> Iterator[Tensor]:
    yield from torch.rand(COUNT, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1)).split(4)


class Counted:
    """Images that say how often they were asked for."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self) -> Iterator[Tensor]:
        self.asked += 1
        return images()


def features(part: nn.Module, folder: Path, **options: Any) -> Stored:
    arguments: dict[str, Any] = {
        "images": images, "count": COUNT, "example": ((4, SIZE - 2, SIZE - 2), torch.float32),
        "key": {"data": "random"}, "folder": folder, "budget": 10**6,
    }  # fmt: skip
    return stored_features(part, **(arguments | options))


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.npy"))


def test_they_are_what_the_part_answers_in_eval_mode(tmp_path: Path) -> None:
    part = net().train()
    found = features(part, tmp_path)
    assert part.training
    assert part[1].num_batches_tracked == 0
    with torch.no_grad():
        expected = part.eval()(torch.cat(list(images())))
    np.testing.assert_allclose(found.array, expected.numpy(), rtol=0, atol=1e-6)
    assert found.facts["images"] == COUNT
    assert not found.array.flags.writeable


def test_they_are_computed_once(tmp_path: Path) -> None:
    asked = Counted()
    first = features(net(), tmp_path, images=asked)
    second = features(net(), tmp_path, images=asked)
    assert (first.built, second.built, asked.asked) == (True, False, 1)
    assert np.array_equal(first.array, second.array)


def change_a_weight(part: nn.Module) -> None:
    with torch.no_grad():
        part[0].weight[0, 0, 0, 0] += 1e-6  # type: ignore[index]


def change_a_statistic(part: nn.Module) -> None:
    part[1].running_mean[0] += 1e-6  # type: ignore[index, operator]


def change_a_setting(part: nn.Module) -> None:
    part[1].eps = 1e-4  # type: ignore[index, assignment]


@pytest.mark.parametrize("change", [change_a_weight, change_a_statistic, change_a_setting])
def test_another_part_has_other_features(tmp_path: Path, change: Any) -> None:
    part = net()
    before = part_key(part)
    change(part)
    assert part_key(part) != before
    assert features(net(), tmp_path).built
    assert features(part, tmp_path).built
    assert len(files(tmp_path)) == 2


def test_other_images_have_other_features(tmp_path: Path) -> None:
    for key in ({"data": "random"}, {"data": "other"}, {"data": "random", "precision": "bf16-mixed"}):
        assert features(net(), tmp_path, key=key).built
    assert len(files(tmp_path)) == 3


def test_half_precision_keeps_its_bits(tmp_path: Path) -> None:
    part = net()

    def autocast() -> torch.autocast:
        return torch.autocast("cpu", torch.bfloat16)

    part.eval()
    with autocast(), torch.no_grad():
        expected = part(torch.cat(list(images())))
    assert expected.dtype is torch.bfloat16
    found = features(part, tmp_path, example=((4, 4, 4), torch.bfloat16), precision=autocast)
    assert torch.equal(torch.from_numpy(np.array(found.array)).view(torch.bfloat16), expected)


def test_what_was_not_read_for_the_longest_time_makes_room(tmp_path: Path) -> None:
    one = COUNT * 4 * 16 * 4
    budget = 2 * one + 1000
    for name in ("first", "second"):
        features(net(), tmp_path, key={"data": name}, budget=budget)
        time.sleep(0.02)  # the clock of a file system is coarse
    features(net(), tmp_path, key={"data": "first"}, budget=budget)  # read again: the second is older now
    features(net(), tmp_path, key={"data": "third"}, budget=budget)
    assert len(files(tmp_path)) == 2
    assert not features(net(), tmp_path, key={"data": "first"}, budget=budget).built
    assert features(net(), tmp_path, key={"data": "second"}, budget=budget).built


def test_more_than_the_budget_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NoRoomError, match="budget"):
        features(net(), tmp_path, budget=1000)
    assert files(tmp_path) == []


def test_images_that_do_not_come_are_noticed(tmp_path: Path) -> None:
    with pytest.raises(LabsError, match=r"Expected 11 images .* found 10"):
        features(net(), tmp_path, count=COUNT + 1)
    assert [file for file in tmp_path.iterdir() if file.suffix != ".lock"] == []


def test_a_folder_that_may_only_be_read_serves_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = features(net(), tmp_path)

    def refused(*arguments: object, **options: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("os.utime", refused)
    monkeypatch.setattr(Path, "write_text", refused)
    again = features(net(), tmp_path)
    assert not again.built
    assert np.array_equal(again.array, first.array)

"""Descents against the known table, against the mathematics of the curve, and against the update rule by hand."""

from functools import partial
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor

from labs import LabsError
from labs.datamodules.starts import Starts
from labs.functional.quartic import quartic, slope
from labs.modules.descent import Descent

pytestmark = pytest.mark.filterwarnings("ignore:The dirpath has changed")


def fit(folder: Path, points: list[float] | None, lr: float, momentum: float = 0.0, **options: Any) -> Any:
    """Let points roll, in one epoch unless `every` says otherwise, and test."""
    steps, count = options.get("steps", 1000), options.get("count", 1)
    every = options.get("every", max(steps, 1))
    one = Descent(optimizer=partial(torch.optim.SGD, lr=lr, momentum=momentum), steps=steps, every=every)
    data = Starts(points=points, count=count, low=-1.0, high=2.5, seed=0, embedded=True)
    trainer = pl.Trainer(
        max_epochs=options.get("epochs", -(-steps // max(every, 1))), accelerator="cpu", logger=False,
        enable_progress_bar=False, enable_model_summary=False, default_root_dir=folder,
        callbacks=[ModelCheckpoint(folder, "last", save_on_train_epoch_end=True, enable_version_counter=False)],
    )  # fmt: skip
    trainer.fit(one, data, ckpt_path=options.get("resumed"), weights_only=True)
    one.measured = trainer.test(one, data, verbose=False)[0]
    return one


def path(points: list[float], lr: float, momentum: float = 0.0, steps: int = 1000) -> Tensor:
    """The update rule by hand in double precision, (steps + 1, points)."""
    x = torch.tensor(points, dtype=torch.float64)
    v, places = torch.zeros_like(x), [x]
    for _ in range(steps):
        v = momentum * v + slope(x)
        x = x - lr * v
        places.append(x)
    return torch.stack(places)


@pytest.mark.parametrize(
    ("lr", "momentum", "ends"),
    [
        (0.01, 0.0, {-1: -0.0157, 0.1: 1.5, 1: 1.5, 2: 1.5, 0: 0.0}),
        (0.001, 0.0, {0.1: 0.218, 0: 0.0}),
        (0.1, 0.0, {-1: 0.0, 0: 0.0, 1: 1.5}),
        (0.2, 0.0, {-1: 1.5, 0: 0.0}),
        (0.25, 0.0, {2: 0.0}),
        (0.01, 0.9, {-1: 1.5, 0: 0.0}),
    ],
)
def test_where_a_thousand_steps_end(lr: float, momentum: float, ends: dict[float, float], tmp_path: Path) -> None:
    one = fit(tmp_path, list(map(float, ends)), lr, momentum)
    torch.testing.assert_close(one.path[-1], torch.tensor(list(ends.values())), atol=1e-3, rtol=0)


@pytest.mark.parametrize(("lr", "momentum"), [(0.01, 0.0), (0.2, 0.0), (0.01, 0.9), (0.05, 0.5)])
def test_the_way_is_that_of_the_update_rule(lr: float, momentum: float, tmp_path: Path) -> None:
    starts = [-0.9, -0.3, 0.2, 1.0, 2.1]
    one = fit(tmp_path, starts, lr, momentum, steps=60, every=25)
    assert len(one.path) == 61
    torch.testing.assert_close(torch.stack(one.path).double(), path(starts, lr, momentum, 60), atol=2e-5, rtol=1e-4)


def test_left_starts_creep_to_the_flat_place_and_never_pass_it(tmp_path: Path) -> None:
    """Near 0 a step is about x <- x - 6 lr x^2, so |x| is about 1 / (6 lr k) after k steps."""
    one = fit(tmp_path, [-1.0, -0.5, -0.1, -1e-3], lr=0.01)
    way = torch.stack(one.path)
    assert (way <= 0).all()
    assert (way.diff(dim=0) >= 0).all()
    assert one.path[-1][0].item() == pytest.approx(-1 / (6 * 0.01 * 1000), rel=0.1)
    assert one.measured["test/stalled"] == 1


def test_one_step_passes_the_flat_place_just_where_it_should() -> None:
    starts, lr = torch.meshgrid(torch.linspace(-2, -0.05, 60), torch.linspace(0.01, 0.4, 60), indexing="ij")
    passes = starts - lr * slope(starts) > 0
    assert torch.equal(passes, lr * (6 * starts.abs() + 4 * starts**2) > 1)
    assert 0 < passes.float().mean() < 1


@pytest.mark.parametrize(("lr", "stable"), [(0.1, True), (0.2, True), (0.221, True), (0.223, False), (0.25, False)])
def test_the_minimum_holds_points_up_to_two_over_its_second_derivative(lr: float, stable: bool, tmp_path: Path) -> None:
    """f'' is 9 there: a distance is multiplied by 1 - 9 lr in each step, and 2 / 9 is 0.2222."""
    push = 1e-3
    one = fit(tmp_path, [1.5 + push], lr, steps=100)
    distance = (torch.stack(one.path)[:, 0] - 1.5).abs()
    assert distance[1].item() == pytest.approx(abs(1 - 9 * lr) * push, rel=0.05)
    assert bool(distance[-1] < push) is stable


def test_many_starts_find_the_minimum_and_the_best_is_kept(tmp_path: Path) -> None:
    one = fit(tmp_path, None, lr=0.01, count=200)
    assert one.measured["test/lowest"] == pytest.approx(0.3125, abs=1e-6)
    assert one.measured["test/best_x"] == pytest.approx(1.5, abs=1e-3)
    right = (one.path[0] > 0).float().mean().item()
    assert one.measured["test/reached"] == pytest.approx(right, abs=0.02), "those that start right of the flat place"
    assert one.measured["test/stalled"] == pytest.approx(1 - right, abs=0.02)


def test_no_point_feels_the_others(tmp_path: Path) -> None:
    beside = fit(tmp_path, [-1.0, 0.3, 2.0], lr=0.05, momentum=0.9, steps=40)
    alone = fit(tmp_path, [0.3], lr=0.05, momentum=0.9, steps=40)
    assert torch.equal(torch.stack(beside.path)[:, 1], torch.stack(alone.path)[:, 0])


def test_a_point_that_is_lost_is_counted_and_is_not_the_best(tmp_path: Path) -> None:
    one = fit(tmp_path, [-9.0, 1.0], lr=0.1, steps=50)
    assert one.measured["test/lost"] == 0.5
    assert one.measured["test/lowest"] == pytest.approx(0.3125)
    assert not torch.isfinite(quartic(one.path[-1][0]))


def test_a_run_that_goes_on_ends_as_one_that_was_not_stopped(tmp_path: Path) -> None:
    whole = fit(tmp_path / "whole", [-1.0, 0.1], 0.01, 0.9, steps=25, every=10)
    fit(tmp_path / "stopped", [-1.0, 0.1], 0.01, 0.9, steps=25, every=10, epochs=1)
    last = tmp_path / "stopped" / "last.ckpt"
    again = fit(tmp_path / "on", [-1.0, 0.1], 0.01, 0.9, steps=25, every=10, resumed=last)
    assert torch.equal(torch.stack(again.path), torch.stack(whole.path))
    with pytest.raises(LabsError, match="steps=5: the run has already taken 10 steps; type steps=10 or more"):
        fit(tmp_path / "on", [-1.0, 0.1], 0.01, steps=5, resumed=last)


def test_its_columns_are_named_by_the_starts(tmp_path: Path) -> None:
    noted = fit(tmp_path, [-1.0, 0.1], lr=0.01, steps=3).noted
    assert list(noted) == ["from -1", "from 0.1"]
    assert [len(column) for column in noted.values()] == [4, 4]


@pytest.mark.parametrize(
    ("options", "message"),
    [({"steps": 0}, "steps=0: expected 1 to"), ({"every": 0}, "every=0: expected 1"), ({"epochs": 3}, "type steps=")],
)
def test_mistakes_are_answered(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(LabsError, match=message):
        fit(tmp_path, [1.0], 0.01, **{"steps": 4, "every": 4, **options})

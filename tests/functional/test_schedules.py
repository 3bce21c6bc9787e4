import warnings
from functools import partial

import numpy as np
import pytest
import torch
from torch.optim import SGD
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR, LinearLR, OneCycleLR, SequentialLR

from labs.functional.schedules import (
    inverse_decay,
    inverse_decay_factor,
    warmup_cosine,
    warmup_cosine_factor,
    with_total_steps,
)

GRID = [(0, 1), (0, 7), (1, 5), (2, 6), (5, 20)]


def optimizer(*rates: float) -> SGD:
    return SGD([{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": lr} for lr in rates], lr=1.0)


@pytest.mark.parametrize(("warmup", "epochs"), GRID)
def test_it_equals_torch_s_linear_warm_up_and_cosine(warmup: int, epochs: int) -> None:
    theirs = optimizer(0.3)
    cosine = CosineAnnealingLR(theirs, T_max=epochs - warmup)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # no step is taken with the optimizer here
        schedule: torch.optim.lr_scheduler.LRScheduler = cosine
        if warmup:
            linear = LinearLR(theirs, start_factor=1 / (warmup + 1), total_iters=warmup)
            schedule = SequentialLR(theirs, [linear, cosine], milestones=[warmup])
        for epoch in range(epochs):
            assert 0.3 * warmup_cosine_factor(epoch, warmup, epochs) == pytest.approx(
                schedule.get_last_lr()[0], rel=1e-9
            )
            schedule.step()


@pytest.mark.parametrize(("warmup", "epochs"), GRID)
def test_it_rises_to_the_full_rate_once_and_falls(warmup: int, epochs: int) -> None:
    factors = [warmup_cosine_factor(epoch, warmup, epochs) for epoch in range(epochs)]
    assert factors[warmup] == max(factors) == 1
    assert factors[: warmup + 1] == sorted(factors[: warmup + 1])
    assert factors[warmup:] == sorted(factors[warmup:], reverse=True)
    assert min(factors) > 0
    assert warmup_cosine_factor(epochs, warmup, epochs) == pytest.approx(0, abs=1e-15)


def test_past_the_end_the_rate_stays_at_zero() -> None:
    assert warmup_cosine_factor(15, 2, 10) == pytest.approx(0, abs=1e-15)


def test_a_warm_up_as_long_as_the_run_divides_by_nothing() -> None:
    assert [warmup_cosine_factor(epoch, 2, 2) for epoch in range(3)] == pytest.approx([1 / 3, 2 / 3, 1])


def test_every_group_keeps_its_share() -> None:
    scheduled = optimizer(0.1, 0.01)
    schedule = warmup_cosine(scheduled, warmup_epochs=1, max_epochs=3)
    rates = []
    for _ in range(3):
        rates.append([group["lr"] for group in scheduled.param_groups])
        scheduled.step()
        schedule.step()
    for epoch, (first, second) in enumerate(rates):
        assert first == pytest.approx(0.1 * warmup_cosine_factor(epoch, 1, 3))
        assert second == pytest.approx(first / 10)


def test_a_resumed_schedule_goes_on_where_it_was() -> None:
    one, other = optimizer(0.1), optimizer(0.1)
    schedule, resumed = (warmup_cosine(o, warmup_epochs=2, max_epochs=6) for o in (one, other))
    for _ in range(3):
        one.step()
        schedule.step()
    resumed.load_state_dict(schedule.state_dict())
    other.load_state_dict(one.state_dict())
    for o, s in ((one, schedule), (other, resumed)):
        o.step()
        s.step()
    assert (
        other.param_groups[0]["lr"] == one.param_groups[0]["lr"] == pytest.approx(0.1 * warmup_cosine_factor(4, 2, 6))
    )


def test_a_negative_warm_up_is_refused() -> None:
    with pytest.raises(ValueError, match="warmup_epochs=-1"):
        warmup_cosine(optimizer(0.1), warmup_epochs=-1, max_epochs=3)


@pytest.mark.parametrize(("alpha", "beta"), [(10.0, 0.75), (0.0, 1.0), (3.0, 2.0)])
def test_inverse_decay_is_the_papers_formula(alpha: float, beta: float) -> None:
    grid = np.linspace(0, 1, 11)
    found = [inverse_decay_factor(float(progress), alpha, beta) for progress in grid]
    np.testing.assert_allclose(found, 1 / (1 + alpha * grid) ** beta, rtol=1e-12)


def test_inverse_decay_from_the_first_step_to_the_last() -> None:
    """The paper's mu: 0.01 in the first step, 0.001656 when all is done."""
    scheduled = optimizer(0.01)
    schedule = inverse_decay(scheduled, total_steps=8)
    rates = []
    for _ in range(9):
        rates.append(scheduled.param_groups[0]["lr"])
        scheduled.step()
        schedule.step()
    assert rates == pytest.approx([0.01 / (1 + 10 * step / 8) ** 0.75 for step in range(9)], rel=1e-12)
    assert rates[0] == 0.01
    assert rates[-1] == pytest.approx(0.001656, abs=5e-7)
    assert scheduled.param_groups[0]["lr"] == rates[-1], "past the end it stays"


def test_inverse_decay_refuses_what_would_raise_the_rate() -> None:
    with pytest.raises(ValueError, match="alpha=-1"):
        inverse_decay(optimizer(0.01), total_steps=8, alpha=-1)


def test_a_schedule_that_asks_for_the_steps_is_told_them_and_counts_batches() -> None:
    build, interval = with_total_steps(partial(inverse_decay, beta=1.0), 5)
    scheduled = optimizer(0.01)
    schedule = build(scheduled)
    assert interval == "step"
    for _ in range(5):
        scheduled.step()
        schedule.step()
    assert scheduled.param_groups[0]["lr"] == pytest.approx(0.01 / 11)


def test_torchs_own_schedules_are_asked_too() -> None:
    build, interval = with_total_steps(partial(OneCycleLR, max_lr=0.1), 12)
    schedule = build(optimizer(0.01))
    assert (interval, schedule.total_steps) == ("step", 12)
    build, interval = with_total_steps(partial(CosineAnnealingLR, T_max=7), 12)
    schedule = build(optimizer(0.01))
    assert (interval, schedule.T_max) == ("epoch", 7)
    build, interval = with_total_steps(partial(warmup_cosine, warmup_epochs=1, max_epochs=4), 12)
    assert interval == "epoch"
    assert isinstance(build(optimizer(0.01)), LambdaLR)


def test_steps_that_were_typed_stay() -> None:
    build, interval = with_total_steps(partial(OneCycleLR, max_lr=0.1, total_steps=30), 12)
    assert (interval, build(optimizer(0.01)).total_steps) == ("step", 30)

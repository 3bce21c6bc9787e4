"""`BestSoFar` beside what a reader of its docstring would do by hand, problem by problem."""

import math
from pathlib import Path

import torch
from torch import Tensor

from labs.functional.best_so_far import BestSoFar


def points(*values: float) -> Tensor:
    """One problem a value, a small picture that is that value everywhere."""
    return torch.tensor(values).view(-1, 1, 1, 1).expand(-1, 3, 2, 2).clone()


def watched(*losses: float, factor: float = 10.0, patience: int = 3) -> list[bool]:
    """Show one problem these losses; return after which it has exploded."""
    best = BestSoFar(points(0.0), factor=factor, patience=patience)
    return [bool(best.see(points(float(place)), torch.tensor([loss]))) for place, loss in enumerate(losses)]


def test_it_keeps_the_lowest_point_of_each_problem() -> None:
    losses = torch.rand(30, 4, generator=torch.Generator().manual_seed(0))
    path = [points(*(place + torch.arange(4) / 10).tolist()) for place in range(30)]
    best = BestSoFar(points(0.0, 0.0, 0.0, 0.0))
    for shown, loss in zip(path, losses):
        best.see(shown, loss)
    assert torch.equal(best.losses, losses.amin(0))
    lowest = losses.argmin(0).tolist()
    assert len(set(lowest)) > 1
    for problem, place in enumerate(lowest):
        assert torch.equal(best.points[problem], path[place][problem])


def test_it_keeps_copies() -> None:
    start = points(1.0)
    best = BestSoFar(start)
    start += 1
    assert torch.equal(best.points, points(1.0))
    best.see(start, torch.tensor([3.0]))
    start += 1
    assert torch.equal(best.points, points(2.0))


def test_numbers_that_are_not_finite_explode_at_once_and_are_not_kept() -> None:
    best = BestSoFar(points(0.0, 0.0, 0.0, 0.0))
    best.see(points(1.0, 1.0, 1.0, 1.0), torch.full((4,), 5.0))
    exploded = best.see(points(2.0, 2.0, 2.0, 2.0), torch.tensor([math.nan, math.inf, 4.0, -math.inf]))
    assert exploded.tolist() == [True, True, False, True]
    assert torch.equal(best.points[:3], points(1.0, 1.0, 2.0))


def test_a_first_loss_that_is_nan_leaves_the_start() -> None:
    best = BestSoFar(points(7.0))
    assert best.see(points(1.0), torch.tensor([math.nan])).item()
    assert torch.equal(best.points, points(7.0))
    assert best.losses.isinf().all()


def test_a_single_overshoot_is_left_to_recover() -> None:
    assert not any(watched(1, 1e6, 0.9, 1e6, 1e6, 0.8, 1e6, 1e6, 0.7))


def test_it_explodes_after_patience_evaluations_in_a_row() -> None:
    assert watched(1, 11, 11, 11) == [False, False, False, True]
    assert watched(1, 11, 11, 11, patience=2) == [False, False, True, True]
    assert watched(1, 11, 11, 0.5, 11, 11, 11) == [False] * 6 + [True]


def test_factor_is_a_multiple_of_the_lowest_loss() -> None:
    assert not any(watched(*[1, 10] + [10] * 10))  # not more than ten times
    assert any(watched(*[1, 10] + [10] * 10, factor=9))
    assert not any(watched(*[20, 150] + [150] * 10))
    assert any(watched(*[20, 14, 150] + [150] * 10))  # the lowest, not the first


def test_problems_are_counted_apart() -> None:
    best = BestSoFar(points(0.0, 0.0), patience=2)
    rows = [[1.0, 1.0], [99.0, 1.0], [1.0, 99.0], [99.0, 99.0], [99.0, 1.0]]
    assert [best.see(points(0.0, 0.0), torch.tensor(row)).tolist() for row in rows] == [
        [False, False],
        [False, False],
        [False, False],
        [False, True],
        [True, False],
    ]


def test_send_back_restores_and_counts() -> None:
    best = BestSoFar(points(0.0, 0.0, 0.0), patience=2)
    best.see(points(1.0, 2.0, 3.0), torch.ones(3))
    now = points(4.0, 5.0, 6.0)
    best.see(now, torch.tensor([99.0, 99.0, 1.0]))
    exploded = best.see(now, torch.tensor([99.0, math.nan, 1.0]))
    assert exploded.tolist() == [True, True, False]
    best.send_back(now, torch.tensor([True, False, False]))
    assert torch.equal(now, points(1.0, 5.0, 6.0))
    assert best.rollbacks.tolist() == [1, 0, 0]
    # the count of the one that was sent back begins anew
    assert best.see(now, torch.tensor([99.0, 1.0, 1.0])).tolist() == [False, False, False]
    assert best.see(now, torch.tensor([99.0, 1.0, 1.0])).tolist() == [True, False, False]
    best.send_back(now, torch.tensor([True, False, True]))
    assert best.rollbacks.tolist() == [2, 0, 1]


def test_it_does_not_differentiate() -> None:
    leaf = points(1.0).requires_grad_()
    best = BestSoFar(points(0.0))
    best.see(leaf, leaf.mean((1, 2, 3)))
    assert not best.points.requires_grad
    assert not best.losses.requires_grad


def test_a_saved_state_goes_on_where_it_was(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(1)
    rows = 10 ** torch.randint(0, 3, (40, 3), generator=generator).float()  # 1, 10 or 100: it explodes now and then
    seen = torch.rand(40, 3, 3, 2, 2, generator=generator)

    def go_on(best: BestSoFar, places: range) -> list[list[bool]]:
        answers = []
        for place in places:
            now = seen[place].clone()
            exploded = best.see(now, rows[place])
            best.send_back(now, exploded)
            answers.append(exploded.tolist())
        return answers

    def new() -> BestSoFar:
        return BestSoFar(points(0.0, 0.0, 0.0), factor=5, patience=3)

    straight, first, resumed = new(), new(), new()
    expected = go_on(straight, range(40))
    go_on(first, range(17))
    assert first.above.any(), "saved in the middle of a count"
    torch.save(first.state_dict(), tmp_path / "best.pt")
    resumed.load_state_dict(torch.load(tmp_path / "best.pt", weights_only=True))
    assert go_on(resumed, range(17, 40)) == expected[17:]
    assert straight.rollbacks.sum() > 3
    for name, value in straight.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], value), name

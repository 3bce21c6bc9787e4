"""`BatchedLBFGS` beside `torch.optim.LBFGS`, which runs on each problem alone."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from labs.functional.batched_lbfgs import BatchedLBFGS

Losses = Callable[[Tensor, Tensor], Tensor]  # (points (batch, ...), which problems (batch,)) -> losses (batch,)


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def quadratics(batch: int, size: int, dtype: torch.dtype) -> tuple[Losses, Tensor]:
    """Condition numbers from 1 to 10^4: some problems converge long before others, and the last starts at its end."""
    bases = torch.linalg.qr(torch.randn(batch, size, size, generator=generator(0), dtype=torch.float64)).Q
    powers = torch.linspace(0, 1, size).double() * torch.linspace(0, 4, batch).double()[:, None]
    hessians = (bases * 10 ** powers[:, None] @ bases.mT).to(dtype)
    starts = torch.randn(batch, size, generator=generator(1), dtype=torch.float64).to(dtype)
    starts[-1] = 0

    def losses(points: Tensor, which: Tensor) -> Tensor:
        return torch.einsum("bi,bij,bj->b", points, hessians[which], points) / 2

    return losses, starts


def rosenbrocks(batch: int, size: int, dtype: torch.dtype) -> tuple[Losses, Tensor]:
    """Curved valleys of different depth; the curvature is not positive everywhere."""
    depths = torch.linspace(1, 8, batch, dtype=dtype)
    starts = 0.6 * torch.randn(batch, size, generator=generator(2), dtype=torch.float64).to(dtype)

    def losses(points: Tensor, which: Tensor) -> Tensor:
        across = (points[:, 1:] - points[:, :-1].square()).square()
        return (depths[which, None] * across + (1 - points[:, :-1]).square()).sum(1)

    return losses, starts


def waves(batch: int, size: int, dtype: torch.dtype) -> tuple[Losses, Tensor]:
    """A bowl with ripples: some pairs are skipped, in each problem others."""
    starts = 3 * torch.randn(batch, size, generator=generator(3), dtype=torch.float64).to(dtype)
    heights = torch.linspace(0.2, 2, batch, dtype=dtype)

    def losses(points: Tensor, which: Tensor) -> Tensor:
        return (0.3 * points.square() + heights[which, None] * torch.cos(3 * points)).sum(1)

    return losses, starts


def pictures(batch: int, size: int, dtype: torch.dtype) -> tuple[Losses, Tensor]:
    """Style transfer in the small: Gram matrices and features of a random convolutional net."""
    first, second = (
        torch.randn(*shape, generator=generator(4 + i), dtype=torch.float64).to(dtype) / 4
        for i, shape in enumerate([(6, 3, 3, 3), (5, 6, 3, 3)])
    )

    def features(images: Tensor) -> Tensor:
        return F.conv2d(F.softplus(F.conv2d(images, first, padding=1)), second, padding=1)

    def grams(maps: Tensor) -> Tensor:
        return maps.flatten(2) @ maps.flatten(2).mT / maps[0].numel()

    content, style = (
        torch.rand(batch, 3, size, size, generator=generator(6 + i), dtype=torch.float64).to(dtype) for i in range(2)
    )
    contents, styles = features(content), grams(features(style * style))

    def losses(images: Tensor, which: Tensor) -> Tensor:
        maps = features(images)
        style_losses = (grams(maps) - styles[which]).square().flatten(1).mean(1)
        return 100 * style_losses + (maps - contents[which]).square().flatten(1).mean(1)

    return losses, content


PROBLEMS = {"quadratics": quadratics, "rosenbrocks": rosenbrocks, "waves": waves, "pictures": pictures}


def closure_of(
    losses: Losses, param: Tensor, which: Tensor, optimizer: torch.optim.Optimizer, clamp: bool = False
) -> Callable[[], Tensor]:
    def closure() -> Tensor:
        if clamp:
            with torch.no_grad():
                param.clamp_(0, 1)
        optimizer.zero_grad()
        result = losses(param, which)
        result.sum().backward()
        return result

    return closure


def batched(
    losses: Losses, starts: Tensor, clamp: bool = False, **options: Any
) -> tuple[Tensor, BatchedLBFGS, Callable[[], Tensor]]:
    param = starts.clone().requires_grad_()
    optimizer = BatchedLBFGS([param], **options)
    return param, optimizer, closure_of(losses, param, torch.arange(len(starts)), optimizer, clamp)


def memory(optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    return optimizer.state[optimizer.param_groups[0]["params"][0]]


def agree(
    losses: Losses,
    starts: Tensor,
    steps: int,
    *,
    tolerance: float,
    follow: bool = True,
    clamp: bool = False,
    **options: Any,
) -> None:
    """Compare everything that torch shows with an optimizer of its own for each problem.

    Without a line search the problems below are so sensitive that rounding grows tenfold every few moves. With
    `follow`, each of torch's evaluations must therefore arrive where that of the batch was, and is then given the same
    place, loss and gradient: the paths cannot drift apart, so the tolerance can be tight and they as wild as they like.
    """
    param, optimizer, closure = batched(losses, starts, clamp, **options)
    paths: list[list[tuple[Tensor, ...]]] = [[] for _ in starts]  # evaluations of each problem while it did not rest

    def recorded() -> Tensor:
        before, result = param.detach().clone(), closure()
        for problem in memory(optimizer)["running"].nonzero().flatten().tolist():
            one = slice(problem, problem + 1)
            assert param.grad is not None
            paths[problem].append((before[one], param.detach()[one].clone(), param.grad[one].clone(), result[problem]))
        return result

    farthest = torch.ones(len(starts))  # rounding is relative to the longest step, from there and back

    def check_close(problem: int, point: Tensor, expected: Tensor) -> None:
        farthest[problem] = max(farthest[problem].item(), expected.detach().abs().max().item())
        torch.testing.assert_close(point, expected, rtol=tolerance, atol=tolerance * farthest[problem].item())

    def torch_alone(problem: int) -> tuple[Tensor, torch.optim.LBFGS, Callable[[], Tensor]]:
        one = starts[problem : problem + 1].clone().requires_grad_()
        alone = torch.optim.LBFGS([one], **options)
        evaluate = closure_of(losses, one, torch.tensor([problem]), alone, clamp)
        evaluations = iter(paths[problem])

        def followed() -> Tensor:
            before, after, gradient, result = next(evaluations)  # ends early if torch evaluates more often
            check_close(problem, before, one)
            if not follow:
                return evaluate().squeeze()
            with torch.no_grad():
                one.copy_(after)
            one.grad = gradient
            return result

        return one, alone, followed

    everyone = [torch_alone(problem) for problem in range(len(starts))]
    for _ in range(steps):
        first_losses = optimizer.step(recorded)
        ours = memory(optimizer)
        for problem, (one, alone, evaluate) in enumerate(everyone):
            expected_loss = alone.step(evaluate).item()
            assert first_losses[problem].item() == pytest.approx(expected_loss, rel=tolerance, abs=tolerance)
            state = memory(alone)
            for name in ("func_evals", "n_iter"):
                assert ours[name][problem] == state[name], name
            stored = min(int(ours["stored"][problem]), optimizer.param_groups[0]["history_size"])
            assert stored == len(state.get("old_dirs", []))
            check_close(problem, param[problem : problem + 1], one)


class TestAgainstTorch:
    @pytest.mark.parametrize("name", PROBLEMS)
    def test_double_precision(self, name: str) -> None:
        losses, starts = PROBLEMS[name](5, 6, torch.float64)
        agree(losses, starts, 8, tolerance=1e-10)

    @pytest.mark.parametrize(("name", "steps"), [("quadratics", 2), ("rosenbrocks", 6), ("waves", 6), ("pictures", 2)])
    def test_they_stay_together_without_help(self, name: str, steps: int) -> None:
        losses, starts = PROBLEMS[name](5, 6, torch.float64)
        agree(losses, starts, steps, tolerance=1e-9, follow=False)

    @pytest.mark.parametrize("name", PROBLEMS)
    def test_single_precision(self, name: str) -> None:
        losses, starts = PROBLEMS[name](4, 6, torch.float32)
        agree(losses, starts, 2, tolerance=1e-4)

    @pytest.mark.parametrize("name", PROBLEMS)
    @pytest.mark.parametrize(
        "options",
        [
            {"history_size": 3},
            {"history_size": 1},
            {"lr": 0.5, "max_iter": 7},
            {"max_iter": 1},
            {"max_eval": 4},
            {"max_eval": 1},
            {"tolerance_grad": 0.05, "tolerance_change": 1e-3},
            {"tolerance_change": 0.3},  # some stop after their first move
        ],
        ids=str,
    )
    def test_every_option(self, name: str, options: dict[str, Any]) -> None:
        losses, starts = PROBLEMS[name](4, 5, torch.float64)
        agree(losses, starts, 3, tolerance=1e-8, **options)  # a short history amplifies rounding most

    @pytest.mark.parametrize(("scale", "tolerance_change"), [(1e-6, 0), (1e-4, 1e-9), (1e6, 1e-3)])
    def test_losses_of_any_size(self, scale: float, tolerance_change: float) -> None:
        """Curvatures below 1e-10, first steps that are not shortened, and small moves that change the loss much."""
        losses, starts = quadratics(4, 5, torch.float64)
        agree(
            lambda points, which: scale * losses(points, which),
            starts,
            3,
            tolerance=1e-10,
            tolerance_change=tolerance_change,
            tolerance_grad=0,
        )

    def test_the_clamp_of_the_tutorial(self) -> None:
        losses, starts = pictures(3, 6, torch.float64)
        agree(losses, starts, 5, tolerance=1e-10, clamp=True)

    def test_the_problems_are_as_different_as_they_should_be(self) -> None:
        """Otherwise the tests above would prove little."""
        losses, starts = quadratics(5, 6, torch.float64)
        _, optimizer, closure = batched(losses, starts)
        for _ in range(3):
            optimizer.step(closure)
        assert len(set(memory(optimizer)["func_evals"].tolist())) == 5, "they stop at different times"
        losses, starts = waves(5, 6, torch.float64)
        _, optimizer, closure = batched(losses, starts, tolerance_change=0, tolerance_grad=0)
        optimizer.step(closure)
        skipped = memory(optimizer)["n_iter"] - 1 - memory(optimizer)["stored"]
        assert len(set(skipped.tolist())) > 1, "they skip different pairs"

    def test_infinite_and_undefined_losses(self) -> None:
        """A loss that overflows in one problem: torch goes on with NaN until its step ends, and so does the batch."""
        starts = torch.tensor([[1.0, 2.0], [1.0, -2.0]], dtype=torch.float64)

        def losses(points: Tensor, which: Tensor) -> Tensor:
            rate = torch.where(which == 0, 0.1, 5.0)[:, None]
            return (rate * (rate * points.square()).exp()).sum(1) - points.sum(1)

        param, optimizer, closure = batched(losses, starts, lr=10.0)
        one = starts[1:].clone().requires_grad_()
        alone = torch.optim.LBFGS([one], lr=10.0)
        one_closure = closure_of(losses, one, torch.tensor([1]), alone)
        for _ in range(2):
            optimizer.step(closure)
            alone.step(lambda: one_closure().squeeze())
            assert memory(optimizer)["func_evals"][1] == memory(alone)["func_evals"]
        assert not one.isfinite().all()
        torch.testing.assert_close(param[1:], one, equal_nan=True)


def test_several_parameters_are_one_problem() -> None:
    matrix, vector = torch.randn(3, 2, 4, generator=generator(0)).double(), torch.randn(3, 5).double()
    flat = torch.cat([matrix.flatten(1), vector], dim=1)
    losses, _ = rosenbrocks(3, 13, torch.float64)
    whole, optimizer, closure = batched(losses, flat)
    optimizer.step(closure)
    parts = [matrix.clone().requires_grad_(), vector.clone().requires_grad_(), torch.zeros(3, 1, requires_grad=True)]
    split = BatchedLBFGS(parts)

    def split_closure() -> Tensor:  # the last parameter never gets a gradient
        split.zero_grad()
        result = losses(torch.cat([parts[0].flatten(1), parts[1]], dim=1), torch.arange(3))
        result.sum().backward()
        return result

    split.step(split_closure)
    torch.testing.assert_close(torch.cat([parts[0].flatten(1), parts[1]], dim=1), whole)


class TestNeighbours:
    def test_a_problem_that_diverges_stays_alone(self) -> None:
        losses, starts = pictures(3, 6, torch.float32)
        healthy, optimizer, closure = batched(losses, starts)

        def poisoned_losses(points: Tensor, which: Tensor) -> Tensor:
            result = losses(points, which)
            return torch.stack([result[0], result[1] * math.nan, result[2]])

        sick, other, sick_closure = batched(poisoned_losses, starts)
        for _ in range(3):
            optimizer.step(closure)
            other.step(sick_closure)
        assert sick[1].isnan().all()
        assert torch.equal(sick[[0, 2]], healthy[[0, 2]])

    def test_a_problem_that_rests_keeps_its_parameters(self) -> None:
        losses, starts = quadratics(4, 5, torch.float64)
        param, optimizer, closure = batched(losses, starts)
        places: list[Tensor] = []
        optimizer.step(lambda: (places.append(param.detach().clone()), closure())[1])
        assert memory(optimizer)["func_evals"][0] < len(places) == 20
        resting = int(memory(optimizer)["func_evals"][0]) - 1
        for place in [*places[resting:], param.detach()]:
            assert torch.equal(place[0], places[resting][0])

    def test_losses_of_another_shape_are_refused(self) -> None:
        param = torch.zeros(3, 2, requires_grad=True)
        with pytest.raises(ValueError, match=r"shape \(\), expected \(3,\)"):
            BatchedLBFGS([param]).step(lambda: param.sum())

    def test_parameters_must_agree_on_the_number_of_problems(self) -> None:
        with pytest.raises(ValueError, match="same number of problems"):
            BatchedLBFGS([torch.zeros(3, 2), torch.zeros(2, 2)])
        with pytest.raises(ValueError, match="one group"):
            BatchedLBFGS([{"params": [torch.zeros(3, 2)]}, {"params": [torch.zeros(3, 2)]}])  # type: ignore[list-item]


class TestCounting:
    def test_evaluations_are_counted_exactly(self) -> None:
        losses, starts = rosenbrocks(3, 6, torch.float64)
        _, optimizer, closure = batched(losses, starts)
        calls: list[int] = []
        assert optimizer.evaluations == 0
        assert not optimizer.state, "asking must not allocate the history"
        for _ in range(2):
            first_losses = optimizer.step(lambda: (calls.append(1), closure())[1])
            assert optimizer.evaluations == len(calls)
            assert not first_losses.requires_grad, "the graph would be kept"

    @pytest.mark.parametrize("wanted", [1, 2, 19, 20, 21, 33, 40])
    def test_it_stops_after_an_exact_number(self, wanted: int) -> None:
        losses, starts = pictures(2, 5, torch.float64)
        _, optimizer, closure = batched(losses, starts, tolerance_change=0, tolerance_grad=0)
        calls: list[int] = []
        while optimizer.evaluations < wanted:
            optimizer.step(lambda: (calls.append(1), closure())[1], max_iter=wanted - optimizer.evaluations)
        assert len(calls) == optimizer.evaluations == wanted

    @pytest.mark.parametrize("cuts", [[8, 12], [1] * 20, [13, 7]])
    def test_outer_steps_of_any_length_take_the_same_path(self, cuts: list[int]) -> None:
        losses, starts = pictures(2, 5, torch.float64)
        whole, optimizer, closure = batched(losses, starts)
        optimizer.step(closure)
        cut, other, other_closure = batched(losses, starts)
        for moves in cuts:
            other.step(other_closure, max_iter=moves)
        assert torch.equal(cut, whole)
        assert other.evaluations == optimizer.evaluations

    def test_no_moves_are_refused(self) -> None:
        losses, starts = pictures(2, 5, torch.float64)
        _, optimizer, closure = batched(losses, starts)
        with pytest.raises(ValueError, match="max_iter=0"):
            optimizer.step(closure, max_iter=0)


class TestState:
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_a_resumed_run_goes_on_bit_for_bit(self, dtype: torch.dtype, tmp_path: Path) -> None:
        losses, starts = waves(4, 5, dtype)
        param, optimizer, closure = batched(losses, starts, history_size=4)
        optimizer.step(closure)
        optimizer.step(closure, max_iter=7)
        torch.save({"param": param.detach(), "optimizer": optimizer.state_dict()}, tmp_path / "last.ckpt")
        saved = torch.load(tmp_path / "last.ckpt", weights_only=True)
        resumed, other, other_closure = batched(losses, saved["param"], history_size=4)
        other.load_state_dict(saved["optimizer"])
        for name, tensor in memory(optimizer).items():
            assert memory(other)[name].dtype == tensor.dtype, name
            assert torch.equal(memory(other)[name], tensor), name
        for _ in range(3):
            optimizer.step(closure)
            other.step(other_closure)
        assert torch.equal(resumed, param)
        assert other.evaluations == optimizer.evaluations

    def test_a_loaded_state_is_a_copy(self) -> None:
        losses, starts = pictures(2, 5, torch.float64)
        _, optimizer, closure = batched(losses, starts)
        optimizer.step(closure)
        _, other, other_closure = batched(losses, starts)
        other.load_state_dict(optimizer.state_dict())
        before = {name: tensor.clone() for name, tensor in memory(optimizer).items()}
        other.step(other_closure)
        assert all(torch.equal(memory(optimizer)[name], tensor) for name, tensor in before.items())

    def test_an_optimizer_that_has_not_started_can_be_saved(self) -> None:
        losses, starts = pictures(2, 5, torch.float64)
        param, optimizer, closure = batched(losses, starts)
        optimizer.load_state_dict(batched(losses, starts)[1].state_dict())
        optimizer.step(closure)
        assert not torch.equal(param, starts)

    def test_memory_does_not_grow(self) -> None:
        losses, starts = pictures(2, 5, torch.float64)
        _, optimizer, closure = batched(losses, starts, history_size=6, tolerance_change=0, tolerance_grad=0)
        optimizer.step(closure, max_iter=1)
        before = {name: (tensor.data_ptr(), tensor.shape) for name, tensor in memory(optimizer).items()}
        for _ in range(3):
            optimizer.step(closure)
        assert {name: (tensor.data_ptr(), tensor.shape) for name, tensor in memory(optimizer).items()} == before
        assert (memory(optimizer)["stored"] > 6).all()


class TestReset:
    mask = torch.tensor([False, True, False])

    def test_a_problem_starts_afresh_and_the_others_go_on(self) -> None:
        losses, starts = pictures(3, 5, torch.float64)
        # a short ring, so that what is left in it would be met again
        param, optimizer, closure = batched(losses, starts, history_size=5)
        undisturbed, other, other_closure = batched(losses, starts, history_size=5)
        optimizer.step(closure)
        other.step(other_closure)
        optimizer.reset(self.mask)
        fresh, new, new_closure = batched(losses, param.detach(), history_size=5)
        for _ in range(2):
            for one, c in ((optimizer, closure), (other, other_closure), (new, new_closure)):
                one.step(c)
        assert torch.equal(param[[0, 2]], undisturbed[[0, 2]])
        torch.testing.assert_close(param[1], fresh[1], rtol=1e-9, atol=1e-9)
        assert not torch.allclose(param[1], undisturbed[1], rtol=1e-9, atol=1e-9)

    def test_it_recovers_from_nan(self) -> None:
        losses, starts = pictures(3, 5, torch.float64)
        sick = torch.tensor([1.0, math.nan, 1.0], dtype=torch.float64)
        factors = [sick]
        param, optimizer, closure = batched(lambda points, which: losses(points, which) * factors[-1], starts)
        optimizer.step(closure)
        assert param[1].isnan().all()
        with torch.no_grad():
            param[1] = starts[1]
        optimizer.reset(self.mask)
        factors.append(torch.ones_like(sick))
        expected, alone, alone_closure = batched(losses, starts)
        optimizer.step(closure)
        alone.step(alone_closure)
        torch.testing.assert_close(param[1], expected[1], rtol=1e-9, atol=1e-9)

    @pytest.mark.parametrize("call", [1, 9, 20])
    def test_within_a_closure_it_ends_the_outer_step_of_that_problem(self, call: int) -> None:
        losses, starts = pictures(3, 5, torch.float64)
        param, optimizer, closure = batched(losses, starts)
        calls: list[int] = []

        def guarded() -> Tensor:
            calls.append(1)
            result = closure()
            if len(calls) == call:
                with torch.no_grad():
                    param[1] = starts[1]
                optimizer.reset(self.mask)
            if call <= len(calls) <= 20:  # whatever the gradients are now, they move nothing
                assert param.grad is not None
                param.grad[1] = math.nan
            return result

        undisturbed, other, other_closure = batched(losses, starts)
        optimizer.step(guarded)
        other.step(other_closure)
        assert len(calls) == 20
        assert torch.equal(param[1], starts[1])
        assert torch.equal(param[[0, 2]], undisturbed[[0, 2]])
        expected, fresh, fresh_closure = batched(losses, starts)
        optimizer.step(guarded)
        fresh.step(fresh_closure)
        torch.testing.assert_close(param[1], expected[1], rtol=1e-9, atol=1e-9)

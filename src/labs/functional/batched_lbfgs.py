"""L-BFGS for a batch of independent problems, with one closure evaluation for all of them.

For each problem the result is that of `torch.optim.LBFGS` without a line search: D. Liu and J. Nocedal, "On the Limited
Memory BFGS Method for Large Scale Optimization", 1989; the two-loop recursion is algorithm 7.4 of J. Nocedal and
S. Wright, "Numerical Optimization", 2006. Each problem has its own history, curvature test, step size and stopping
tests. Rows of a batch never mix, so the NaN of a diverged problem does not affect the others.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.linalg import vecdot
from torch.optim import Optimizer


class BatchedLBFGS(Optimizer):
    """Minimize the losses of a batch of problems, like one `torch.optim.LBFGS` per problem.

    A call of `step` is an outer step: at most `max_iter` moves, with an evaluation before each. A problem whose
    stopping test is true pauses until the end of the outer step; the next outer step continues it with its history.

    The history is stored in two ring buffers (history_size, batch, values per problem), which are created at the first
    step. The whole state consists of tensors, so `torch.load(weights_only=True)` can read it, and a resumed run gives
    bit-for-bit the same results.

    Args:
        params: Parameters (batch, ...); the first axis is that of the problems, with the same size in all.
        lr: Step size; the first step of a problem is also scaled by min(1, 1/|g|_1).
        max_iter: Moves per outer step.
        max_eval: Evaluations per outer step; by default 5/4 of `max_iter`, which without a line search has an effect
            only if `max_iter` is 2 or 3.
        tolerance_grad: A problem pauses if no entry of its gradient is larger.
        tolerance_change: A problem pauses if its loss, or every entry of its parameters, changes less.
        history_size: Number of curvature pairs stored per problem.
    """

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float = 1.0,
        *,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
    ) -> None:
        limits = {"max_iter": max_iter, "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval}
        tolerances = {"tolerance_grad": tolerance_grad, "tolerance_change": tolerance_change}
        super().__init__(params, {"lr": lr, **limits, **tolerances, "history_size": history_size})
        if len(self.param_groups) != 1 or len({len(p) for p in self._params}) != 1:
            raise ValueError("BatchedLBFGS takes one group of parameters, all with the same number of problems first")

    @property
    def evaluations(self) -> int:
        """Number of calls of the closure since the start."""
        memory = self.state.get(self._params[0])
        return int(memory["evaluations"]) if memory else 0

    @torch.no_grad()
    def step(self, closure: Callable[[], Tensor], *, max_iter: int | None = None) -> Tensor:  # type: ignore[override]
        """Take one outer step; as in torch's optimizer, its last move is not evaluated yet.

        Args:
            closure: Zeroes the gradients, computes the losses (batch,), backpropagates their sum, and returns them.
            max_iter: Largest number of moves, and thus evaluations, if it is smaller than the group's own number.

        Returns:
            The losses of the first evaluation, (batch,).
        """
        group, memory = self.param_groups[0], self._memory
        moves = group["max_iter"] if max_iter is None else min(max_iter, group["max_iter"])
        if moves < 1:
            raise ValueError(f"max_iter={moves}: an outer step takes 1 move or more")
        running = memory["running"].fill_(True)
        losses, gradients = self._evaluate(closure)
        first_losses = losses
        running &= ~self._is_flat(gradients)
        for move in range(1, moves + 1):  # as many as the evaluations before it
            self._move(losses, gradients)
            if move == moves or not running.any():
                break
            losses, gradients = self._evaluate(closure)
            running &= ~(self._is_flat(gradients) | self._is_stuck(losses))
            if move + 1 >= group["max_eval"]:
                break
        return first_losses

    def reset(self, mask: Tensor) -> None:
        """Delete the state of some problems, which start again with a steepest-descent step.

        Within a closure this also ends their outer step: their parameters stay as the closure leaves them.

        Args:
            mask: True for those problems, (batch,).
        """
        memory, mask = self._memory, mask.to(self._params[0].device)
        for name in ("moves", "changes", "inverse_curvature"):
            memory[name][:, mask] = 0
        for name in ("direction", "step_size", "gradient", "loss", "n_iter", "stored", "running"):
            memory[name][mask] = 0
        memory["scale"][mask] = 1

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load a copy of a state dict."""
        super().load_state_dict(state_dict)
        first = self._params[0]
        # The base class shares the tensors and casts counters and masks to the dtype of the parameters.
        for name, tensor in state_dict["state"].get(0, {}).items():
            self.state[first][name] = tensor.to(first.device, copy=True)

    @property
    def _params(self) -> list[Tensor]:
        return self.param_groups[0]["params"]

    @property
    def _memory(self) -> dict[str, Tensor]:
        """The state, which belongs to the first parameter, as in torch's optimizer."""
        memory = self.state[self._params[0]]
        if not memory:
            batch, numbers = len(self._params[0]), sum(p[0].numel() for p in self._params)
            pairs = self.param_groups[0]["history_size"]
            new = self._params[0].new_zeros
            memory.update(
                evaluations=new((), dtype=torch.int64),  # of the closure
                func_evals=new(batch, dtype=torch.int64),  # those in which the problem was running
                n_iter=new(batch, dtype=torch.int64),
                running=new(batch, dtype=torch.bool),  # False: paused until the end of the outer step
                moves=new(pairs, batch, numbers),  # s in textbooks, torch's old_stps
                changes=new(pairs, batch, numbers),  # of the gradient: y in textbooks, torch's old_dirs
                inverse_curvature=new(pairs, batch),  # 1 / (y s), zero if nothing is stored
                stored=new(batch, dtype=torch.int64),  # pairs stored so far; the next index is this modulo the size
                scale=new(batch) + 1,  # of the initial inverse Hessian
                direction=new(batch, numbers),
                step_size=new(batch),
                gradient=new(batch, numbers),  # where the last move started
                loss=new(batch),
            )
        return memory

    def _evaluate(self, closure: Callable[[], Tensor]) -> tuple[Tensor, Tensor]:
        memory, batch = self._memory, len(self._params[0])
        memory["evaluations"] += 1
        memory["func_evals"] += memory["running"]
        with torch.enable_grad():
            losses = closure().detach()
        if losses.shape != (batch,):
            raise ValueError(f"the closure returned losses of shape {tuple(losses.shape)}, expected ({batch},)")
        grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in self._params]
        return losses, torch.cat([grad.reshape(batch, -1) for grad in grads], dim=1)

    def _is_flat(self, gradients: Tensor) -> Tensor:
        return gradients.abs().amax(1) <= self.param_groups[0]["tolerance_grad"]

    def _is_stuck(self, losses: Tensor) -> Tensor:
        memory, tolerance = self._memory, self.param_groups[0]["tolerance_change"]
        moved = (memory["direction"] * memory["step_size"][:, None]).abs().amax(1)
        return (moved <= tolerance) | ((losses - memory["loss"]).abs() < tolerance)

    def _move(self, losses: Tensor, gradients: Tensor) -> None:
        """Move the running problems along their directions; pause a problem whose direction is not downhill."""
        group, memory = self.param_groups[0], self._memory
        running = memory["running"]
        memory["n_iter"] += running
        self._remember(gradients)
        direction = self._direction(gradients)
        inverse_norm = 1 / gradients.abs().sum(1)
        first_scale = torch.where(inverse_norm < 1, inverse_norm, 1)  # 1 also where it is NaN, as in torch
        step_size = torch.where(memory["n_iter"] == 1, first_scale, 1) * group["lr"]
        for name, value in (("direction", direction), ("gradient", gradients)):
            memory[name].copy_(torch.where(running[:, None], value, memory[name]))
        for name, value in (("step_size", step_size), ("loss", losses)):
            memory[name].copy_(torch.where(running, value, memory[name]))
        running &= ~(
            vecdot(gradients, direction) > -group["tolerance_change"]
        )  # NaN does not stop a problem, as in torch
        update = torch.where(running[:, None], direction * step_size[:, None], 0)
        for param, part in zip(self._params, update.split([p[0].numel() for p in self._params], dim=1), strict=True):
            param.add_(part.view_as(param))

    def _remember(self, gradients: Tensor) -> None:
        """Store the last move and the gradient change of each running problem whose curvature is positive.

        Before its first move, a problem has a direction of zeros and thus no curvature.
        """
        memory = self._memory
        change, move = gradients - memory["gradient"], memory["direction"] * memory["step_size"][:, None]
        curvature = vecdot(change, move)
        kept = (memory["running"] & (curvature > 1e-10)).nonzero().flatten()
        change, move, curvature = change[kept], move[kept], curvature[kept]
        slot = memory["stored"][kept] % len(memory["moves"])
        memory["moves"][slot, kept] = move
        memory["changes"][slot, kept] = change
        memory["inverse_curvature"][slot, kept] = 1 / curvature
        memory["scale"][kept] = curvature / vecdot(change, change)
        memory["stored"][kept] += 1

    def _direction(self, gradients: Tensor) -> Tensor:
        """Multiply the negative gradients by the inverse Hessians: the two-loop recursion for all problems together.

        For a problem with fewer pairs than another, the missing rows are zeros, which have no effect.
        """
        memory = self._memory
        moves, changes, inverse_curvature = memory["moves"], memory["changes"], memory["inverse_curvature"]
        stored = memory["stored"].tolist()
        newest_first = [
            [(count - age) % len(moves) for count in stored] for age in range(1, min(max(stored), len(moves)) + 1)
        ]
        direction, alphas = -gradients, []
        for slots in newest_first:
            alpha = vecdot(_take(moves, slots), direction) * _take(inverse_curvature, slots)
            direction.addcmul_(alpha[:, None], _take(changes, slots), value=-1)
            alphas.append(alpha)
        direction *= memory["scale"][:, None]
        for slots, alpha in zip(reversed(newest_first), reversed(alphas), strict=True):
            beta = vecdot(_take(changes, slots), direction) * _take(inverse_curvature, slots)
            direction.addcmul_((alpha - beta)[:, None], _take(moves, slots))
        return direction


def _take(history: Tensor, slots: list[int]) -> Tensor:
    """Return each problem's row at its own slot: a view if all slots are equal, else a copy."""
    return history[slots[0]] if len(set(slots)) == 1 else history[slots, range(len(slots))]


def forget(optimizer: Optimizer, problems: Tensor) -> None:
    """Reset the state of some problems of a batch in `BatchedLBFGS` or in any elementwise optimizer.

    Args:
        optimizer: An optimizer whose parameters are (batch, ...).
        problems: True for these problems, (batch,).
    """
    if isinstance(optimizer, BatchedLBFGS):
        optimizer.reset(problems)
        return
    for state in optimizer.state.values():
        for values in state.values():
            if isinstance(values, Tensor) and values.dim():
                values[problems] = 0

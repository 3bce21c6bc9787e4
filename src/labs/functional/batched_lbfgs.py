"""L-BFGS for a batch of independent problems, one closure evaluation for all of them at a time.

Problem by problem it computes what `torch.optim.LBFGS` without a line search computes: D. Liu and J. Nocedal, "On the
Limited Memory BFGS Method for Large Scale Optimization", 1989; the two-loop recursion is algorithm 7.4 of J. Nocedal
and S. Wright, "Numerical Optimization", 2006. Each problem has its own history, curvature test, step size and
stopping tests; rows of a batch never mix, so a problem that diverges stays alone with its NaN.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.linalg import vecdot
from torch.optim import Optimizer


class BatchedLBFGS(Optimizer):
    """Minimize the losses of a batch of problems, as one `torch.optim.LBFGS` for each of them would.

    A call of `step` is an outer step: at most `max_iter` moves, an evaluation before each. A problem whose stopping
    test holds rests until the outer step ends for all; the next one starts it again with what it remembers.

    The history lies in two ring buffers (history_size, batch, numbers a problem), made once at the first step. All
    state is tensors: `torch.load(weights_only=True)` reads it, and a resumed run goes on bit for bit.

    Args:
        params: Parameters (batch, ...): index 0 counts the problems and is the same in all.
        lr: Step size; the first step of a problem is scaled by min(1, 1/|g|_1) besides.
        max_iter: Moves an outer step.
        max_eval: Evaluations an outer step; by default 5/4 of `max_iter`, which without a line search binds for a
            `max_iter` of 2 or 3 alone.
        tolerance_grad: A problem rests once no entry of its gradient is larger.
        tolerance_change: A problem rests once its loss or no entry of its parameters changes more.
        history_size: Curvature pairs that are kept of each problem.
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
        """Calls of the closure since the start."""
        memory = self.state.get(self._params[0])
        return int(memory["evaluations"]) if memory else 0

    @torch.no_grad()
    def step(self, closure: Callable[[], Tensor], *, max_iter: int | None = None) -> Tensor:  # type: ignore[override]
        """Take one outer step, which as torch's own ends with a move that nothing has evaluated yet.

        Args:
            closure: Zeroes the gradients, computes the losses (batch,), back-propagates their sum, returns them.
            max_iter: Moves, and so evaluations, of this step at most, where the group's own number would be too many.

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
        """Forget all about some problems, which start again with a steepest-descent step.

        Within a closure it also ends their outer step: they rest at the parameters that the closure leaves them.

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
        """Load what `state_dict` returned, as a copy."""
        super().load_state_dict(state_dict)
        first = self._params[0]
        # The base class shares the tensors, and casts counters and masks to the dtype of the parameters.
        for name, tensor in state_dict["state"].get(0, {}).items():
            self.state[first][name] = tensor.to(first.device, copy=True)

    @property
    def _params(self) -> list[Tensor]:
        return self.param_groups[0]["params"]

    @property
    def _memory(self) -> dict[str, Tensor]:
        """The state, which as in torch's own belongs to the first parameter."""
        memory = self.state[self._params[0]]
        if not memory:
            batch, numbers = len(self._params[0]), sum(p[0].numel() for p in self._params)
            pairs = self.param_groups[0]["history_size"]
            new = self._params[0].new_zeros
            memory.update(
                evaluations=new((), dtype=torch.int64),  # of the closure
                func_evals=new(batch, dtype=torch.int64),  # those in which the problem was running
                n_iter=new(batch, dtype=torch.int64),
                running=new(batch, dtype=torch.bool),  # false: rests until the outer step ends
                moves=new(pairs, batch, numbers),  # s of the books, torch's old_stps
                changes=new(pairs, batch, numbers),  # of the gradient: y of the books, torch's old_dirs
                inverse_curvature=new(pairs, batch),  # 1 / (y s), zero where nothing is stored
                stored=new(batch, dtype=torch.int64),  # pairs ever stored; the next goes to this number modulo the size
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
        """Move the running problems along their directions; one that would not go downhill rests instead."""
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
        running &= ~(vecdot(gradients, direction) > -group["tolerance_change"])  # so that NaN goes on, as in torch
        update = torch.where(running[:, None], direction * step_size[:, None], 0)
        for param, part in zip(self._params, update.split([p[0].numel() for p in self._params], dim=1), strict=True):
            param.add_(part.view_as(param))

    def _remember(self, gradients: Tensor) -> None:
        """Store the last move of each running problem and the change of its gradient, where the curvature is positive.

        Before its first move a problem has a direction of zeros, and so no curvature.
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
        """Multiply the negative gradients by the inverse Hessians: the two-loop recursion, for all problems at once.

        A problem with fewer pairs than another meets rows of zeros, which change nothing.
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
    """Take each problem's row at its own slot: a view where all agree, as a single one always does, else a copy."""
    return history[slots[0]] if len(set(slots)) == 1 else history[slots, range(len(slots))]


def forget(optimizer: Optimizer, problems: Tensor) -> None:
    """Let any optimizer that treats every number alone, or `BatchedLBFGS`, start anew with some problems of a batch.

    Args:
        optimizer: its parameters are (batch, ...).
        problems: True for those problems, (batch,).
    """
    if isinstance(optimizer, BatchedLBFGS):
        optimizer.reset(problems)
        return
    for state in optimizer.state.values():
        for values in state.values():
            if isinstance(values, Tensor) and values.dim():
                values[problems] = 0

"""How far a run is, and how long the rest takes: for bars, lines in log files and the estimate at the start."""

import math
import time
from typing import NamedTuple

import lightning.pytorch as pl
from lightning.pytorch.callbacks import EarlyStopping, Timer

from labs.quantities import duration


class Work(NamedTuple):
    """What a training has done and what it will do, in units of equal size."""

    done: int
    planned: int | None  # None if nobody knows
    unit: str  # `step` of a batch, or `evaluation` of a loss


def work_of(trainer: pl.Trainer, method: object, batches: int) -> Work:
    """Return how far a training is.

    Args:
        trainer: The Trainer of the run.
        method: If it counts its `evaluations` and has a number of `steps`, these are the units.
        batches: Batches of this epoch that are done.
    """
    done, steps = getattr(method, "evaluations", None), getattr(method, "steps", None)
    if isinstance(done, int) and isinstance(steps, int):
        return Work(done, steps, "evaluation")
    an_epoch, epochs, steps = trainer.num_training_batches, trainer.max_epochs, trainer.max_steps
    planned = an_epoch * epochs if epochs and epochs > 0 else math.inf
    if steps > -1 and not getattr(method, "automatic_optimization", True):
        planned = math.inf  # Lightning counts the steps of each optimizer, so nobody knows how many batches they are
    elif steps > -1:
        planned = min(planned, steps * trainer.accumulate_grad_batches)
    done = trainer.current_epoch * int(an_epoch) + batches if math.isfinite(an_epoch) else batches
    return Work(done, int(planned) if math.isfinite(planned) else None, "step")


class TimeLeft:
    """Estimate the time left from the work that this process has done; its first unit is slow, and not counted."""

    def begin(self, done: int) -> None:
        """Start the clock, of a run that has done so much before."""
        self.marks = [(time.monotonic(), done)]

    def note(self, done: int) -> None:
        """Note that a first unit is done."""
        if len(self.marks) == 1 and done > self.marks[0][1]:
            self.marks.append((time.monotonic(), done))

    def seconds_each(self, done: int) -> float | None:
        """Return the seconds for a unit, validation between them included; None before there is one."""
        for since, before in reversed(self.marks):
            if done > before:
                return (time.monotonic() - since) / (done - before)
        return None

    def seconds(self, trainer: pl.Trainer, work: Work) -> float | None:
        """Return the seconds left of the training, or None if they cannot be estimated."""
        each = self.seconds_each(work.done)
        left = None if work.planned is None or each is None else max(work.planned - work.done, 0) * each
        limits = [one.time_remaining() for one in trainer.callbacks if isinstance(one, Timer)]  # type: ignore[attr-defined]
        return min((limit for limit in (left, *limits) if limit is not None), default=None)

    def words(self, trainer: pl.Trainer, work: Work) -> str:
        """Return the time left for a person; an empty text if there is none, or if it cannot be estimated."""
        seconds = self.seconds(trainer, work)
        if seconds is None or work.done == work.planned:
            return ""
        most = any(isinstance(one, EarlyStopping) for one in trainer.callbacks)  # type: ignore[attr-defined]
        return f"{'at most' if most else 'about'} {duration(max(seconds, 1))} left"

"""Coarse to fine: distribute evaluations over sizes, and resize pictures."""

from collections.abc import Sequence
from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor

from labs import LabsError
from labs.quantities import quantity

MOST_STEPS = 100_000
LEAST_PIXELS = 16  # smallest height and width: one position remains after four poolings of two


def share_out(steps: int, every: int, scales: Sequence[float]) -> list[int]:
    """Return after how many evaluations each scale ends: equal shares, all but the last a multiple of `every`.

    Args:
        steps: Total number of evaluations.
        every: Evaluations per checkpoint.
        scales: Sizes from coarse to fine; the last is 1.

    Raises:
        LabsError: If the number of steps is out of range or too small for the scales, or if the scales are invalid.

    Examples:
        >>> share_out(300, 10, [0.25, 0.5, 1]), share_out(29, 10, [0.5, 1])
        ([100, 200, 300], [10, 29])
    """
    count = len(scales)
    if not 1 <= steps <= MOST_STEPS:
        raise LabsError(f"steps={steps}: expected 1 to {MOST_STEPS} evaluations of the loss, such as steps=300.")
    if every < 1:
        raise LabsError(f"every={every}: expected 1 evaluation or more, such as every=10.")
    if not scales or sorted(scales) != list(scales) or scales[0] <= 0 or scales[-1] != 1:
        raise LabsError(f"module.scales={scales}: expected sizes from coarse to fine that end in 1, such as [0.5,1].")
    if count > 1 and steps < every * count:
        raise LabsError(
            f"steps={steps}: each of the {count} scales needs at least {quantity(every, 'evaluation')}; "
            f"type steps={every * count} or more, a smaller every=..., or module.scales=[1.0]."
        )
    return [*(steps * place // count // every * every for place in range(1, count)), steps]


def go_on(ends: Sequence[int], planned: Sequence[int], done: int) -> list[int]:
    """Return after how many evaluations each scale ends in a resumed run, whose length may have changed.

    Finished scales stay finished, and the picture continues on its current scale. That scale and the later ones end as
    in a new run.

    Args:
        ends: Ends of the scales in the checkpoint.
        planned: Ends of the scales in a new run with the new length.
        done: Evaluations already taken.

    Examples:
        >>> go_on([150, 300], [500, 1000], done=300), go_on([150, 300], [500, 1000], done=100)
        ([150, 1000], [500, 1000])
    """
    *coarse, last = planned
    return [*(then if then <= done else max(now, done) for then, now in zip(ends, coarse, strict=False)), last]


def epochs_left(ends: Sequence[int], every: int, done: int = 0) -> int:
    """Return the number of epochs for the remaining evaluations: `every` each, fewer at the end of a scale.

    Examples:
        >>> epochs_left([150, 300], 10), epochs_left([500, 1001], 10, done=25)
        (30, 99)
    """
    starts = [done, *(end for end in ends if end > done)]
    return sum(-(-(end - start) // every) for start, end in pairwise(starts))


def epochs_in_all(
    limit: int | None, passed: int, ends: Sequence[int], every: int, done: int, planned: Sequence[int] | None = None
) -> int:
    """Return after how many epochs a resumed run ends: when its evaluations are taken, or at a typed limit before that.

    Args:
        limit: The Trainer's `max_epochs`; one that is too small for a new run was typed, as by a try-out.
        passed: Epochs of the run so far.
        ends: Ends of its scales.
        every: Evaluations per epoch.
        done: Evaluations already taken.
        planned: Ends of the scales in a new run, if they differ.

    Raises:
        LabsError: If the run has already taken more evaluations than it should have.

    Examples:
        >>> epochs_in_all(20, 4, [100], 5, done=20), epochs_in_all(4, 4, [100], 5, done=20)
        (20, 4)
    """
    if ends[-1] < done:
        raise LabsError(
            f"steps={ends[-1]}: the run has already taken {quantity(done, 'step')}; "
            f"type steps={done} or more, or start a new run."
        )
    if limit is not None and limit < epochs_left(planned or ends, every):
        return limit
    return passed + epochs_left(ends, every, done)


def check_epochs(epochs: int | None, ends: Sequence[int], every: int) -> None:
    """Refuse more epochs than the run has evaluations for."""
    needed = epochs_left(ends, every)
    if epochs is None or not 0 <= epochs <= needed:
        raise LabsError(
            f"trainer.max_epochs={epochs}: the run has {quantity(ends[-1], 'evaluation')} of the loss, "
            f"{quantity(needed, 'epoch')} of {every}; type steps= and every= instead, which "
            "determine the number of epochs."
        )


def check_scales(then: Sequence[float], now: Sequence[float]) -> None:
    """Refuse to resume a run with other scales."""
    if list(then) != list(now):
        raise LabsError(
            f"module.scales={list(now)}: the run was made with {list(then)}; type the same scales, or start a new run."
        )


def resized(images: Tensor, scale: float) -> Tensor:
    """Resize pictures (batch, 3, height, width) in [0, 1] to a fraction of their size, bicubic and antialiased."""
    if scale == 1:
        return images
    size = [max(round(side * scale), LEAST_PIXELS) for side in images.shape[-2:]]
    return enlarged(images, size).clamp(0, 1)


def enlarged(images: Tensor, size: list[int]) -> Tensor:
    """Resize pictures (batch, 3, height, width) to another height and width, without clamping."""
    return F.interpolate(images, size, mode="bicubic", antialias=True)

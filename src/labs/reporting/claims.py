"""Claims about two rows of a table, judged over seeds: what a hand-out saw, and whether it holds in these runs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from labs.reporting.recorded_run import Run
from labs.reporting.row import Row
from labs.reporting.statistics import over_seeds


@dataclass(frozen=True)
class Claim:
    """Hold a claim: two experiments, a number of a run, and by how much the claim holds for one seed."""

    words: str
    experiment: str
    other: str
    name: str
    number: Callable[[Run], float | None]
    margin: Callable[[float, float], float]
    caveat: str = ""


def verdict(margins: Sequence[float], spread: float) -> str:
    """Say whether a claim holds in these runs.

    It holds if every seed agrees and the mean margin is larger than the spread. It does not hold if the same is true
    of the opposite. Everything else is undecided, and so is a claim with one seed, whose spread is unknown.

    Args:
        margins: one number per seed: by how much the claim holds. Below zero it does not hold.
        spread: the larger of the two rows' standard deviations over these seeds.

    Examples:
        >>> verdict([2.0, 3.0, 2.5], spread=1.0), verdict([-2.0, -3.0], spread=1.0), verdict([2.0, -0.1], spread=1.0)
        ('holds', 'does not hold', 'undecided')
    """
    if len(margins) > 1:
        for sign, word in ((1, "holds"), (-1, "does not hold")):
            if all(sign * margin > 0 for margin in margins) and sign * np.mean(margins) > spread:
                return word
    return "undecided"


def judge(rows: Sequence[Row], claim: Claim) -> str | None:
    """Say whether a claim holds in these rows (`verdict`), with the numbers; None if they lack what it needs.

    Rows are compared over the seeds that both have; only rows with the same overrides are compared.
    """
    pair = _pair(rows, claim)
    if pair is None:
        return None
    ours, theirs = ({run.sample: value for run in row.runs if (value := claim.number(run)) is not None} for row in pair)
    samples = [sample for sample in ours if sample in theirs]
    if not samples:
        return None
    first, second = [ours[sample] for sample in samples], [theirs[sample] for sample in samples]
    margins = [claim.margin(*values) for values in zip(first, second, strict=True)]
    spread = max(over_seeds(values).std or 0.0 for values in (first, second))
    numbers = {claim.experiment: _numbers(first), claim.other: _numbers(second)}
    measured = ", ".join(f"{number} in {experiment}" for experiment, number in numbers.items())
    return f"{claim.words}: {verdict(margins, spread)} ({seen(margins)}): {claim.name} {measured}{claim.caveat}."


def seen(margins: Sequence[float]) -> str:
    """Say in how many seeds a claim holds.

    Examples:
        >>> seen([1.0, -1.0]), seen([1.0])
        ('1 of 2 seeds', 'one seed only')
    """
    return f"{sum(margin > 0 for margin in margins)} of {len(margins)} seeds" if len(margins) > 1 else "one seed only"


def _pair(rows: Sequence[Row], claim: Claim) -> tuple[Row, Row] | None:
    """Return the rows that a claim compares: of the same overrides, and as alike as there are."""
    pairs = [
        (ours, theirs)
        for ours in rows
        for theirs in rows
        if (ours.experiment, theirs.experiment) == (claim.experiment, claim.other) and ours.runs and theirs.runs
        if ours.runs[0].overrides == theirs.runs[0].overrides
    ]
    alike = [len(ours.runs[0].choices.items() & theirs.runs[0].choices.items()) for ours, theirs in pairs]
    return pairs[int(np.argmax(alike))] if pairs else None


def metric(name: str) -> Callable[[Run], float | None]:
    """Return a reader of one final metric."""
    return lambda run: run.metrics.get(name)


def lower(ours: float, theirs: float) -> float:
    """Return by how much ours is lower."""
    return theirs - ours


def higher(ours: float, theirs: float) -> float:
    """Return by how much ours is higher."""
    return ours - theirs


def _numbers(values: Sequence[float]) -> str:
    spread = f" ({min(values):.3g} to {max(values):.3g})" if len(values) > 1 else ""
    return f"{np.mean(values):.3g}{spread}"

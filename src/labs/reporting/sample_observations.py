"""Adversarial networks in the report: what of the published observations holds in these runs, in numbers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from labs.reporting.gan_sheet import read_losses
from labs.reporting.row import Row
from labs.reporting.runs import Run
from labs.reporting.statistics import over_seeds

LITTLE = 0.1  # of the other's FID
FITTING = 0.9  # of a conditional net's samples


def verdict(margins: Sequence[float], spread: float) -> str:
    """Say whether a claim holds in these runs.

    It holds if every seed says so and the mean margin is larger than the spread; it does not hold if the same is true
    of the opposite. Anything else undecided, and neither can a claim of one seed, whose spread is unknown.

    Args:
        margins: a number a seed, by how much the claim holds; below zero it does not. Of "lower" it is the difference.
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


def observations(rows: Sequence[Row]) -> list[str]:
    """Say of each observation of hand-out 002 (2-de, questions 5 and 6) whether it holds in these runs (`verdict`).

    Rows are compared over the seeds that both have; only rows with the same overrides are compared.
    """
    said = []
    for claim in _CLAIMS:
        pair = _pair(rows, claim)
        if pair is None:
            continue
        ours, theirs = (
            {run.seed: value for run in row.runs if (value := claim.number(run)) is not None} for row in pair
        )
        seeds = [seed for seed in ours if seed in theirs]
        if not seeds:
            continue
        first, second = [ours[seed] for seed in seeds], [theirs[seed] for seed in seeds]
        margins = [claim.margin(*values) for values in zip(first, second, strict=True)]
        spread = max(over_seeds(values).std or 0.0 for values in (first, second))
        seen = f"{sum(margin > 0 for margin in margins)} of {len(seeds)} seeds" if len(seeds) > 1 else "one seed only"
        numbers = {claim.experiment: _numbers(first), claim.other: _numbers(second)}
        told = ", ".join(f"{number} in {experiment}" for experiment, number in numbers.items())
        said.append(f"{claim.words}: {verdict(margins, spread)} ({seen}): {claim.name} {told}{claim.caveat}.")
    rule = (
        "An observation of hand-out 002 holds if every seed says so and the means differ by more than the larger "
        f"standard deviation over seeds; little is less than {LITTLE:g} of the other FID. Losses are those of the last "
        "tenth of the iterations. After each mean the seeds' lowest and highest value."
    )
    return [rule, *said] if said else []


@dataclass(frozen=True)
class _Claim:
    """Hold what the hand-out saw: two experiments, a number of a run, and by how much the claim holds for a seed."""

    words: str
    experiment: str
    other: str
    name: str
    number: Callable[[Run], float | None]
    margin: Callable[[float, float], float]
    caveat: str = ""


def _pair(rows: Sequence[Row], claim: _Claim) -> tuple[Row, Row] | None:
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


def _last_tenth(column: str, summary: Callable[[pd.Series], float]) -> Callable[[Run], float | None]:
    def read(run: Run) -> float | None:
        losses = read_losses(run.directory)
        return None if losses is None else float(summary(losses[column].tail(max(1, len(losses) // 10))))

    return read


def _of(name: str) -> Callable[[Run], float | None]:
    return lambda run: run.metrics.get(name)


def _lower(ours: float, theirs: float) -> float:
    return theirs - ours


def _higher(ours: float, theirs: float) -> float:
    return ours - theirs


def _alike(ours: float, theirs: float) -> float:
    return LITTLE * theirs - abs(ours - theirs)


def _numbers(values: Sequence[float]) -> str:
    spread = f" ({min(values):.3g} to {max(values):.3g})" if len(values) > 1 else ""
    return f"{np.mean(values):.3g}{spread}"


_BASE = "dcgan_mnist"
_FID = _of("test/fid")
_GENERATOR = _last_tenth("generator", lambda losses: losses.mean(skipna=False))
_SWING = _last_tenth("generator", lambda losses: losses.std(skipna=False))
_SIZES = "; the judge sees both at 32 pixels"

_CLAIMS = (
    _Claim("More generator filters lower the FID", "dcgan_ngf128", _BASE, "FID", _FID, _lower),
    _Claim(
        "More generator filters lower the generator's loss", "dcgan_ngf128", _BASE, "its loss", _GENERATOR, _lower
    ),
    _Claim(
        "More discriminator filters keep the generator's loss high",
        "dcgan_ndf128", _BASE, "its loss", _GENERATOR, _higher,
    ),
    _Claim("PyTorch's initialisation changes the FID little", "dcgan_default_init", _BASE, "FID", _FID, _alike),
    _Claim("The true loss has a worse FID", "dcgan_true_loss", _BASE, "FID", _FID, _higher),
    _Claim("A learning rate ten times as high has a worse FID", "dcgan_lr_x10", _BASE, "FID", _FID, _higher),
    _Claim(
        "A learning rate ten times as high is less stable at the end",
        "dcgan_lr_x10", _BASE, "standard deviation of the generator's loss", _SWING, _higher,
    ),
    _Claim("A learning rate ten times as low has a worse FID", "dcgan_lr_div10", _BASE, "FID", _FID, _higher),
    _Claim(
        "30 epochs improve the FID of 5 little",
        "dcgan_long", _BASE, "FID", _FID, lambda ours, theirs: ours - (1 - LITTLE) * theirs,
    ),
    _Claim("10 latent dimensions change the FID little", "dcgan_nz10", _BASE, "FID", _FID, _alike),
    _Claim("1000 latent dimensions change the FID little", "dcgan_nz1000", _BASE, "FID", _FID, _alike),
    _Claim("10 latent dimensions lose classes", "dcgan_nz10", _BASE, "classes", _of("test/coverage"), _lower),
    _Claim("64 x 64 pixels are worse than 32 x 32", "dcgan_mnist64", _BASE, "FID", _FID, _higher, _SIZES),
    _Claim("The conditional net has a better FID", "cdcgan_mnist", _BASE, "FID", _FID, _lower),
    _Claim(
        f"The conditional net draws the digit that it is asked for (more than {FITTING:g} of them)",
        "cdcgan_mnist", "cdcgan_mnist", "label agreement", _of("test/label_agreement"), lambda ours, _: ours - FITTING,
    ),
)  # fmt: skip

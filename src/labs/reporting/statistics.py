"""Intervals and tests that say how much a number can be trusted (SciPy computes every distribution)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

CONFIDENCE = 0.95
SIGNIFICANCE = 0.05


@dataclass(frozen=True)
class Estimate:
    """Hold a mean with its spread and its interval.

    `std` is the sample standard deviation over seeds, or folds (None for one run). `low` and `high` bound the interval
    named by `interval`: "t" (Student, over seeds), "folds" (Student, corrected, over folds), "wilson" (over test
    images) or "" (no interval).
    """

    mean: float
    n: int
    std: float | None = None
    low: float | None = None
    high: float | None = None
    interval: str = ""


def t_interval(values: Sequence[float], confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Return Student's t interval of the mean of at least two values.

    >>> low, high = t_interval([1.0, 2.0, 3.0])
    >>> round(low, 4), round(high, 4)
    (-0.4841, 4.4841)
    """
    if len(values) < 2:
        raise ValueError("a t interval needs at least two values")
    mean, error = float(np.mean(values)), float(stats.sem(values))
    if error == 0.0:  # SciPy answers nan for a distribution of no width
        return mean, mean
    low, high = stats.t.interval(confidence, df=len(values) - 1, loc=mean, scale=error)
    return float(low), float(high)


def wilson_interval(successes: int, total: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Return Wilson's score interval of a proportion.

    >>> low, high = wilson_interval(1142, 3000)
    >>> round(low, 3), round(high, 3)
    (0.363, 0.398)
    """
    interval = stats.binomtest(successes, total).proportion_ci(confidence_level=confidence, method="wilson")
    return float(interval.low), float(interval.high)


def over_seeds(values: Sequence[float]) -> Estimate:
    """Summarize one value per seed: the mean and, from two seeds on, the deviation and the t interval.

    A value that is not finite (a loss that diverged) makes the mean NaN, so that it cannot pass unseen.
    """
    if not values:
        raise ValueError("there is no value to summarize")
    if not np.all(np.isfinite(values)):
        return Estimate(mean=float("nan"), n=len(values))
    if len(values) == 1:
        return Estimate(mean=float(values[0]), n=1)
    mean, std = float(np.mean(values)), float(np.std(values, ddof=1))
    if std <= 1e-9 * abs(mean):  # the dust of floating point
        std = 0.0
    return Estimate(mean, len(values), std, *t_interval(values), "t")


def over_images(accuracy: float, images: int) -> Estimate:
    """Summarize the accuracy, in [0, 1], of one run on a number of test images, with Wilson's interval."""
    low, high = wilson_interval(round(accuracy * images), images)
    return Estimate(accuracy, 1, None, low, high, "wilson")


def by_fold(folds: Sequence[int | None], values: Sequence[float]) -> list[float]:
    """Return the mean over seeds of each fold, in the order of the folds.

    >>> by_fold([0, 1, 0], [1.0, 5.0, 3.0])
    [2.0, 5.0]
    """
    pairs = list(zip(folds, values, strict=True))
    return [float(np.mean([v for f, v in pairs if f == fold])) for fold in sorted(set(folds), key=lambda f: f or 0)]


def over_folds(values: Sequence[float], folds: int) -> Estimate:
    """Summarize one value per fold of cross-validation: the mean, the deviation and a corrected t interval.

    Any two of k training sets share most of their images, so that the values are not independent, and Student's
    interval is too short. The variance of the mean is taken as (1/n + 1/(k - 1)) s^2 in place of s^2/n, 1/(k - 1) being
    the ratio of test to training images (Nadeau and Bengio, "Inference for the Generalization Error", 2003).

    Args:
        values: of n folds.
        folds: k, how many there are in all.

    Examples:
        >>> plain, corrected = over_seeds([1.0, 2.0, 3.0]), over_folds([1.0, 2.0, 3.0], folds=3)
        >>> round((corrected.high - corrected.low) / (plain.high - plain.low), 3)  # the root of 1 + 3/2
        1.581
    """
    plain = over_seeds(values)
    if plain.low is None or plain.high is None:
        return plain
    wider = _share_of_folds(len(values), folds) ** 0.5
    low, high = (plain.mean + wider * (end - plain.mean) for end in (plain.low, plain.high))
    return Estimate(plain.mean, plain.n, plain.std, low, high, "folds")


def _share_of_folds(count: int, folds: int) -> float:
    """Return by how much the variance of a mean over folds is larger than if they were independent."""
    return 1 + count / (folds - 1)


def paired_t_test(first: Sequence[float], second: Sequence[float], *, folds: int | None = None) -> float:
    """Return the two-sided p-value of the paired t test; element i of both comes from the same seed, or fold.

    With `folds`, the number of folds in all, it is corrected for what folds share, as `over_folds` is. Equal pairs give
    1. Differences that are all the same but not zero give NaN: they have no spread to judge by (accuracies are
    multiples of one test image, so that two seeds can agree by chance).
    """
    difference = np.asarray(first, dtype=float) - np.asarray(second, dtype=float)
    if len(difference) < 2:
        raise ValueError("a paired t test needs at least two pairs")
    dust = 1e-6 * float(np.max(np.abs([first, second])))  # metrics are computed in single precision
    if np.ptp(difference) <= dust:
        return 1.0 if abs(difference[0]) <= dust else float("nan")
    found = stats.ttest_rel(first, second)
    if folds is None:
        return float(found.pvalue)
    corrected = float(found.statistic) / _share_of_folds(len(difference), folds) ** 0.5
    return float(2 * stats.t.sf(abs(corrected), df=len(difference) - 1))


def mcnemar_test(first_correct: Sequence[bool], second_correct: Sequence[bool]) -> float:
    """Return the exact two-sided p-value of McNemar's test on the same images in the same order.

    Only images that exactly one of the two gets right count; with no difference, each side wins half of them.

    >>> mcnemar_test([True] * 5 + [False], [False] * 5 + [True])
    0.21875
    """
    first, second = np.asarray(first_correct, dtype=bool), np.asarray(second_correct, dtype=bool)
    only_first, only_second = int(np.sum(first & ~second)), int(np.sum(~first & second))
    if only_first + only_second == 0:
        return 1.0
    return float(stats.binomtest(only_first, only_first + only_second, 0.5).pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p-values for their number by Holm's step-down rule, in the order given.

    >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(p_values)
    corrected = [0.0] * len(p_values)
    largest = 0.0
    for place, index in enumerate(order):
        largest = max(largest, (len(p_values) - place) * float(p_values[index]))
        corrected[index] = min(1.0, largest)
    return corrected

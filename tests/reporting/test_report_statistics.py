import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint
from statsmodels.stats.weightstats import DescrStatsW

from labs.reporting import statistics

ACCURACIES = [0.61, 0.58, 0.66, 0.63, 0.60]


def test_t_interval_equals_the_textbook_formula() -> None:
    low, high = statistics.t_interval(ACCURACIES)

    # quantile of Student's t with four degrees of freedom, as printed in any table: 2.776
    half = 2.7764451 * np.std(ACCURACIES, ddof=1) / math.sqrt(5)
    assert (low, high) == pytest.approx((np.mean(ACCURACIES) - half, np.mean(ACCURACIES) + half), abs=1e-8)


def test_t_interval_of_equal_values_has_no_width_and_one_value_has_none() -> None:
    assert statistics.t_interval([0.5, 0.5, 0.5]) == (0.5, 0.5)
    with pytest.raises(ValueError, match="at least two"):
        statistics.t_interval([0.5])


@pytest.mark.parametrize(("successes", "total"), [(0, 20), (1142, 3000), (20, 20), (7, 9)])
def test_wilson_interval_solves_the_score_equation(successes: int, total: int) -> None:
    z = 1.959963984540054
    share = successes / total
    middle = (share + z * z / (2 * total)) / (1 + z * z / total)
    half = z / (1 + z * z / total) * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))

    interval = statistics.wilson_interval(successes, total)

    assert interval == pytest.approx((middle - half, middle + half), abs=1e-9)


def test_the_two_best_published_rows_have_the_intervals_that_the_notes_quote() -> None:
    assert statistics.wilson_interval(1142, 3000) == pytest.approx((0.363, 0.398), abs=5e-4)
    assert statistics.wilson_interval(1116, 3000) == pytest.approx((0.355, 0.389), abs=5e-4)


def test_estimate_over_seeds() -> None:
    estimate = statistics.over_seeds(ACCURACIES)

    assert (estimate.mean, estimate.std) == pytest.approx((0.616, np.std(ACCURACIES, ddof=1)))
    assert (estimate.n, estimate.interval) == (5, "t")
    assert statistics.over_seeds([0.5]) == statistics.Estimate(0.5, 1)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_diverged_seed_cannot_hide_in_a_mean(value: float) -> None:
    estimate = statistics.over_seeds([1.0, value, 2.0])

    assert math.isnan(estimate.mean)
    assert estimate.low is None


def test_estimate_over_images_rounds_to_whole_images() -> None:
    estimate = statistics.over_images(0.38066, 3000)

    assert (estimate.low, estimate.high) == statistics.wilson_interval(1142, 3000)
    assert estimate.interval == "wilson"


def test_paired_t_equals_a_one_sample_test_of_the_differences() -> None:
    other = [0.55, 0.57, 0.60, 0.61, 0.52]

    p_value = statistics.paired_t_test(ACCURACIES, other)

    difference = np.subtract(ACCURACIES, other)
    t = difference.mean() / (difference.std(ddof=1) / math.sqrt(5))
    assert p_value == pytest.approx(2 * stats.t.sf(abs(t), df=4))
    assert p_value < stats.ttest_ind(ACCURACIES, other).pvalue  # pairing takes the seeds' common part out


def test_paired_t_without_spread() -> None:
    assert statistics.paired_t_test([0.5, 0.6], [0.5, 0.6]) == 1.0
    assert math.isnan(statistics.paired_t_test([0.5, 0.6], [0.4, 0.5]))


def test_the_rounding_of_single_precision_is_no_difference() -> None:
    """The same difference in every seed, but for the last bit: a naive test would call it highly significant."""
    first, second = np.float32([203 / 300, 229 / 300]), np.float32([196 / 300, 222 / 300])
    assert stats.ttest_rel(first.astype(float), second.astype(float)).pvalue < 1e-4

    assert math.isnan(statistics.paired_t_test(first.tolist(), second.tolist()))
    assert statistics.paired_t_test([0.5, 0.6], [0.5 + 1e-8, 0.6]) == 1.0


@pytest.mark.parametrize(("successes", "total"), [(0, 20), (1142, 3000), (20, 20), (7, 9), (49, 300)])
def test_wilson_equals_statsmodels(successes: int, total: int) -> None:
    expected = proportion_confint(successes, total, alpha=0.05, method="wilson")

    assert statistics.wilson_interval(successes, total) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("discordant", [(12, 3), (5, 0), (20, 20), (1, 90)])
def test_mcnemar_equals_statsmodels(discordant: tuple[int, int]) -> None:
    only_first, only_second = discordant
    first = [True] * only_first + [False] * only_second + [True] * 100 + [False] * 50
    second = [False] * only_first + [True] * only_second + [True] * 100 + [False] * 50

    expected = mcnemar([[100, only_first], [only_second, 50]], exact=True)

    assert statistics.mcnemar_test(first, second) == pytest.approx(expected.pvalue, rel=1e-9)


def test_holm_equals_statsmodels() -> None:
    p_values = [0.9, 0.01, 0.03, 0.02, 0.0004, 0.03, 1.0]

    assert statistics.holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1])


def test_t_interval_and_paired_t_equal_statsmodels() -> None:
    other = [0.55, 0.57, 0.60, 0.61, 0.52]

    assert statistics.t_interval(ACCURACIES) == pytest.approx(DescrStatsW(ACCURACIES).tconfint_mean(alpha=0.05))
    _, expected, _ = DescrStatsW(np.subtract(ACCURACIES, other)).ttest_mean(0)
    assert statistics.paired_t_test(ACCURACIES, other) == pytest.approx(expected)


def test_mcnemar_is_the_binomial_sum_over_discordant_images() -> None:
    # 12 images only the first gets right, 3 only the second, 100 both, 50 none
    first = [True] * 12 + [False] * 3 + [True] * 100 + [False] * 50
    second = [False] * 12 + [True] * 3 + [True] * 100 + [False] * 50

    p_value = statistics.mcnemar_test(first, second)

    assert p_value == pytest.approx(2 * sum(math.comb(15, k) for k in range(4)) / 2**15)
    assert p_value == statistics.mcnemar_test(second, first)
    assert statistics.mcnemar_test(first, first) == 1.0


def test_holm_steps_down() -> None:
    # by hand: 0.01 x 4, 0.02 x 3 = 0.06, then max(0.06, 0.03 x 2), then 0.9 x 1
    assert statistics.holm([0.9, 0.01, 0.03, 0.02]) == pytest.approx([0.9, 0.04, 0.06, 0.06])
    assert statistics.holm([0.6, 0.7]) == [1.0, 1.0]
    assert statistics.holm([]) == []


def test_holm_rejects_what_the_original_procedure_rejects() -> None:
    p_values = np.random.default_rng(0).uniform(0, 0.06, size=12)
    rejected = set()
    for place, index in enumerate(np.argsort(p_values)):
        if p_values[index] > 0.05 / (12 - place):
            break
        rejected.add(int(index))

    assert {i for i, p in enumerate(statistics.holm(p_values)) if p <= 0.05} == rejected

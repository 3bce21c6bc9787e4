"""Which row is best, and which rows tie with it: a tie never has a winner."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from labs.practicals import Column, sheet_of
from labs.reporting.recorded_run import Run, Sample
from labs.reporting.row import Row
from labs.reporting.statistics import SIGNIFICANCE, by_fold, holm, mcnemar_test, paired_t_test
from labs.runs.directory import START_LABELS


@dataclass(frozen=True)
class Comparison:
    """Hold how a row compares to the best one: a p-value and its test, or whether the intervals overlap."""

    method: str
    p_value: float | None = None
    overlap: bool = True


def rank(rows: Sequence[Row], column: Column) -> None:
    """Mark the best row and those that tie with it, among rows that may be compared at all.

    Rows are compared only with rows of the same labels (embedded data, selected on test), the same dataset and the
    same number of test images. p-values are corrected for their number (Holm). A best row with a tie is marked "tie"
    too.
    """
    groups: dict[tuple[object, ...], list[Row]] = defaultdict(list)
    for row in rows:
        estimate = row.estimates.get(column.key)
        if estimate is not None and np.isfinite(estimate.mean):
            first = row.runs[0]
            labels = tuple(label for label in row.labels if label not in START_LABELS)
            groups[(labels, first.choices.get("datamodule"), first.counts.get("test"))].append(row)
    for group in groups.values():
        if len(group) > 1:
            _rank_group(group, column)


def compare(best: Row, other: Row, column: Column) -> Comparison:
    """Compare two rows: paired t test over common seeds or folds, McNemar's test on one run each, or intervals."""
    first, second = _by_sample(best), _by_sample(other)
    common = sorted(set(first) & set(second), key=str)
    if len(common) >= 2:
        pairs = [(column.value(first[sample]), column.value(second[sample])) for sample in common]
        ours, theirs = [a for a, _ in pairs if a is not None], [b for _, b in pairs if b is not None]
        parts = [sample.fold for sample in common]
        folds, words = None, f"{len(common)} seeds"
        if (number := len(set(parts))) > 1:
            ours, theirs = by_fold(parts, ours), by_fold(parts, theirs)
            folds, words = first[common[0]].folds or number, f"{number} folds, corrected for what they share"
        p_value = paired_t_test(ours, theirs, folds=folds)
        if not np.isnan(p_value):
            return Comparison(f"paired t over {words}", p_value)
    elif len(best.runs) == len(other.runs) == 1:
        correct = same_images(best.runs[0], other.runs[0], column)
        if correct is not None:
            return Comparison(f"McNemar on {len(correct[0])} images", mcnemar_test(*correct))
    one, two = best.estimates[column.key], other.estimates[column.key]
    if one.low is None or one.high is None or two.low is None or two.high is None:
        return Comparison("one run: no interval")
    overlap = one.low <= two.high and two.low <= one.high
    return Comparison(f"95 % intervals {'overlap' if overlap else 'do not overlap'}", overlap=overlap)


def same_images(first: Run, second: Run, column: Column) -> tuple[list[bool], list[bool]] | None:
    """Return which images two runs got right, if the column is about predictions and both predicted the same images."""
    if column.key != sheet_of(first.practical).predicts or first.predictions is None or second.predictions is None:
        return None
    one, two = (
        run.predictions.set_index("name").sort_index() for run in (first, second) if run.predictions is not None
    )
    if not one.index.is_unique or not one.index.equals(two.index) or not one["label"].equals(two["label"]):
        return None
    return tuple((table["label"] == table["prediction"]).tolist() for table in (one, two))  # type: ignore[return-value]


def _rank_group(group: Sequence[Row], column: Column) -> None:
    sign = 1 if column.better == "higher" else -1
    best = max(group, key=lambda row: sign * row.estimates[column.key].mean)
    others = [row for row in group if row is not best]
    comparisons = [compare(best, row, column) for row in others]
    tested = [index for index, comparison in enumerate(comparisons) if comparison.p_value is not None]
    corrected = dict(zip(tested, holm([comparisons[index].p_value or 0.0 for index in tested]), strict=True))
    end = "highest" if sign > 0 else "lowest"
    for index, (row, comparison) in enumerate(zip(others, comparisons, strict=True)):
        row.rival, row.p_value = best, corrected.get(index)
        tie = comparison.overlap if row.p_value is None else row.p_value >= SIGNIFICANCE
        row.mark = "tie" if tie else ""
        shown = "" if row.p_value is None else f", corrected p = {row.p_value:.2g}"
        relation = "tie with" if tie else ("below" if sign > 0 else "above")
        row.notes.insert(0, f"{relation} the {end} {column.key} ({comparison.method}{shown})")
    ties = sum(row.mark == "tie" for row in others)
    best.mark = "tie" if ties else "best"
    best.notes.insert(
        0, f"{end} {column.key}" + (f", but a tie with {ties} other row{'s' * (ties > 1)}" if ties else "")
    )


def _by_sample(row: Row) -> dict[Sample, Run]:
    return {run.sample: run for run in row.runs if run.seed is not None}

"""The second table of a report: every run on its own, with the interval over its test images."""

from collections.abc import Sequence
from dataclasses import dataclass

from labs.practicals import Column
from labs.reporting.grouping import estimate_of_run
from labs.reporting.ranking import same_images
from labs.reporting.recorded_run import Run
from labs.reporting.row import Row
from labs.reporting.statistics import Estimate, holm, mcnemar_test


@dataclass
class RunLine:
    """Hold one run of a row: the ranked value with its interval, and how its predictions compare.

    `p_value` is McNemar's against the best row's run of the same seed, corrected for the number of runs (Holm); None
    for the best row itself, and where the test images differ or no predictions were saved.
    """

    row: Row
    run: Run
    estimate: Estimate | None
    p_value: float | None = None

    @property
    def status(self) -> str:
        """Return how the run stands, and whether a newer one takes its place in the row."""
        return (
            f"{self.run.status}, a newer run counts"
            if any(self.run is run for run in self.row.older)
            else self.run.status
        )


def each_run(rows: Sequence[Row], column: Column | None) -> list[RunLine]:
    """List the runs of all rows, by seed. McNemar's test is for test accuracy, which is what predictions are about."""
    lines = [
        RunLine(row, run, estimate_of_run(run, column) if column and run.finished else None)
        for row in rows
        for run in row.every_run
    ]
    tested = []
    for line in lines if column else []:
        p_value = _against_best(line.row, line.run, column)
        if p_value is not None:
            tested.append((line, p_value))
    for (line, _), corrected in zip(tested, holm([p_value for _, p_value in tested]), strict=True):
        line.p_value = corrected
    return lines


def _against_best(row: Row, run: Run, column: Column | None) -> float | None:
    best = row.rival.runs if row.rival and run in row.runs else []
    rival = next((other for other in best if other.sample == run.sample), None)
    correct = same_images(rival, run, column) if rival and column else None
    return mcnemar_test(*correct) if correct else None

"""A row of a table: its name, the runs that it comes from, and its numbers."""

from dataclasses import dataclass, field

from labs.reporting.published import PublishedRow
from labs.reporting.recorded_run import Run, Sample
from labs.reporting.statistics import Estimate

NOT_RUN = "not run"


@dataclass
class Row:
    """Hold one row.

    `runs` are the finished runs that its numbers come from, one per seed and fold; `others` are those without numbers;
    `older` are finished runs of a seed that has a newer one. `status` is "finished" where there are numbers,
    otherwise what the runs say, or "not run". The ranking sets `mark` ("best", "tie" or ""), `p_value` and `rival`,
    the row with the best value, which the others are compared with.
    """

    title: str
    status: str
    details: list[str] = field(default_factory=list)
    labels: tuple[str, ...] = ()
    experiment: str = ""
    runs: list[Run] = field(default_factory=list)
    others: list[Run] = field(default_factory=list)
    older: list[Run] = field(default_factory=list)
    estimates: dict[str, Estimate] = field(default_factory=dict)
    published: PublishedRow | None = None
    notes: list[str] = field(default_factory=list)
    mark: str = ""
    p_value: float | None = None
    rival: "Row | None" = field(default=None, repr=False, compare=False)

    @property
    def name(self) -> str:
        """Return the title with every choice that tells the row from its neighbors."""
        return ", ".join([self.title, *self.details])

    @property
    def seeds(self) -> list[int]:
        """Return the seeds that the numbers come from."""
        return list(dict.fromkeys(run.seed for run in self.runs if run.seed is not None))

    @property
    def samples(self) -> list[Sample]:
        """Return the seeds, each with its fold, that the numbers come from."""
        return [run.sample for run in self.runs if run.seed is not None]

    @property
    def every_run(self) -> list[Run]:
        """Return all runs of the row, by seed and fold."""
        runs = [*self.runs, *self.older, *self.others]
        return sorted(runs, key=lambda run: (run.seed is None, run.seed or 0, run.fold or 0))

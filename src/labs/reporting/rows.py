"""Rows of a table: runs of one recipe, one a seed, with their numbers summarised."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from textwrap import shorten

from labs.reporting.layouts import Column, Layout
from labs.reporting.published import PublishedRow
from labs.reporting.runs import EMBEDDED, Run, is_accuracy
from labs.reporting.statistics import Estimate, over_images, over_seeds

NOT_RUN = "not run"


@dataclass
class Row:
    """Hold one row. `runs` are the finished runs that its numbers come from, one a seed; `others` the rest.

    `status` is "finished" where there are numbers, otherwise what the runs say, or "not run". The ranking
    sets `mark`: "best", "tie" or "".
    """

    title: str
    status: str
    details: list[str] = field(default_factory=list)
    labels: tuple[str, ...] = ()
    experiment: str = ""
    runs: list[Run] = field(default_factory=list)
    others: list[Run] = field(default_factory=list)
    estimates: dict[str, Estimate] = field(default_factory=dict)
    published: PublishedRow | None = None
    notes: list[str] = field(default_factory=list)
    mark: str = ""
    p_value: float | None = None

    @property
    def name(self) -> str:
        """Return the title with every choice that tells the row from its neighbours."""
        return ", ".join([self.title, *self.details])

    @property
    def seeds(self) -> list[int]:
        """Return the seeds that the numbers come from."""
        return [run.seed for run in self.runs if run.seed is not None]


def build_rows(runs: Sequence[Run], layout: Layout) -> list[Row]:
    """Group runs of one table by recipe, in the hand-out's order; add the rows that were not run."""
    rows = [_row(group, layout) for group in group_by_recipe(runs)]
    _name(rows, layout)
    published = layout.published.rows if layout.published else ()
    missing = [
        Row(title=row.name, status=NOT_RUN, published=row, notes=[NOT_RUN])
        for row in published
        if not any(ours.published is row for ours in rows)
    ]
    places = {row.name: place for place, row in enumerate(published)}
    order = {row.name: place for place, row in enumerate(rows)}  # extra rows: as they were found
    return sorted(
        rows + missing,
        key=lambda row: (
            places[row.published.name] if row.published else len(places),
            row.experiment if not row.published else "",
            order.get(row.name, 0),
        ),
    )


def group_by_recipe(runs: Iterable[Run]) -> list[list[Run]]:
    """Group runs that differ in nothing but the seed.

    A run without numbers (running, failed, ...) may not have recorded everything: it joins the first group of
    the same choices, so that a failed seed stands in the row that misses it.
    """
    groups: dict[tuple[object, ...], list[Run]] = defaultdict(list)
    runs = list(runs)
    for run in sorted(runs, key=lambda run: not run.finished):
        if run.finished:
            groups[(*_recipe(run), _fixed(run.settings), _fixed(run.counts), run.labels)].append(run)
            continue
        same = (key for key in groups if run.experiment and key[:3] == _recipe(run))
        groups[next(same, _recipe(run) if run.experiment else (run.place,))].append(run)
    return sorted(groups.values(), key=lambda group: min(map(runs.index, group)))


def _recipe(run: Run) -> tuple[object, ...]:
    return run.experiment, _fixed(run.choices), _fixed(run.overrides)


def _fixed(facts: dict) -> tuple[tuple[str, object], ...]:
    return tuple(sorted(facts.items()))


def _row(group: list[Run], layout: Layout) -> Row:
    used, notes = _one_run_a_seed([run for run in group if run.finished])
    others = [run for run in group if not run.finished]
    first = (used or others)[0]
    row = Row(
        title=first.experiment or first.place,
        status="finished" if used else others[0].status,
        labels=first.labels or ((EMBEDDED,) if first.data == "embedded" else ()),
        experiment=first.experiment,
        runs=used,
        others=others,
        notes=notes,
    )
    facts = {"experiment": first.experiment, **first.choices}
    if layout.published and first.experiment:
        row.published = next((line for line in layout.published.rows if line.matches(facts)), None)
    for column in layout.columns:
        _summarise(row, column)
    row.notes += [_tell(run, row) for run in others]
    row.notes += [
        f"seed {run.seed}: log.tsv has {len(run.log)} rows, metrics.json says {run.epochs} epochs"
        for run in used
        if run.log is not None and run.epochs is not None and len(run.log) != run.epochs
    ]
    return row


def _one_run_a_seed(finished: Sequence[Run]) -> tuple[list[Run], list[str]]:
    """Keep the newest run of each seed: two runs of one seed are no two samples."""
    by_seed: dict[int | None, list[Run]] = defaultdict(list)
    for run in finished:
        by_seed[run.seed].append(run)
    used, notes = [], []
    for seed in sorted(by_seed, key=str if None in by_seed else lambda seed: seed or 0):
        same = sorted(by_seed[seed], key=lambda run: ((run.directory / "metrics.json").stat().st_mtime, run.place))
        used.append(same[-1])
        if len(same) > 1:
            notes.append(f"{len(same)} finished runs of seed {seed}: the newest counts ({same[-1].place})")
    return used, notes


def _tell(run: Run, row: Row) -> str:
    seed = "" if run.seed is None else f"seed {run.seed} "
    ending = {"running": "running, or killed before it could say so"}.get(run.status, run.status)
    reason = f": {shorten(run.error, 200, placeholder=' ...')}" if run.error else ""
    again = " (another run of this seed counts)" if run.seed in row.seeds else ""
    return f"{seed}{ending}{reason}{again}"


def _summarise(row: Row, column: Column) -> None:
    values = {run.seed: column.value(run) for run in row.runs}
    present = [value for value in values.values() if value is not None]
    if not present:
        return
    if len(present) < len(values):  # a mean over other seeds than its neighbours' would mislead
        absent = ", ".join(str(seed) for seed, value in values.items() if value is None)
        row.notes.append(f"{column.key} is missing for seed {absent}")
        return
    images = row.runs[0].counts.get("test", 0)
    if len(present) == 1 and images and column.key.startswith("test/") and is_accuracy(column.key):
        row.estimates[column.key] = over_images(present[0], images)
    else:
        row.estimates[column.key] = over_seeds(present)


def _name(rows: Sequence[Row], layout: Layout) -> None:
    """Name every row by its experiment, or the hand-out's words for it, and by each choice that differs."""
    facts = [_facts(row) for row in rows]
    with_numbers = [row_facts for row, row_facts in zip(rows, facts, strict=True) if row.runs]
    for row, row_facts in zip(rows, facts, strict=True):
        said = row.published.match if row.published else {}
        # what the hand-out's words say already is named only to tell rows of the same words apart
        same_words = [other for rival, other in zip(rows, facts, strict=True) if rival.published is row.published]
        others = with_numbers if row.runs else facts  # a run without numbers lengthens no name but its own
        if row.published:
            row.title = f"{row.published.name} [{row.experiment}]"
        row.details = [
            f"{name}={_brief(value)}"
            for name, value in row_facts.items()
            if any(other.get(name) != value for other in (same_words if name in said else others) if other)
        ]
    _tell_apart(rows)


def _brief(value: str) -> str:
    """Cut a value that would fill the table, with a few digits of its hash so that two of them stay two."""
    return value if len(value) <= 48 else f"{value[:40]}...#{sha256(value.encode()).hexdigest()[:6]}"


def _facts(row: Row) -> dict[str, str]:
    runs = row.runs or row.others
    return {**runs[0].choices, **runs[0].overrides} if runs else {}


def _tell_apart(rows: Sequence[Row]) -> None:
    """Add settings and numbers of images to rows that would still read the same."""
    same_name: dict[tuple[str, tuple[str, ...]], list[Row]] = defaultdict(list)
    for row in rows:
        same_name[(row.name, row.labels)].append(row)
    for same in same_name.values():
        details = [_details((row.runs or row.others)[0]) for row in same]
        for place, (row, detail) in enumerate(zip(same, details, strict=True), start=1):
            parts = [f"{key}={value}" for key, value in detail.items() if any(d.get(key) != value for d in details)]
            row.details += parts or ([f"recipe {place}"] if len(same) > 1 else [])


def _details(run: Run) -> dict[str, str]:
    settings = {name: f"{value:g}" for name, value in run.settings.items()}
    return {**settings, **{f"{split} images": str(number) for split, number in run.counts.items()}}

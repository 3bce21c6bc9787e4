"""Rows of a table: runs of one recipe, one per seed and fold, with their numbers summarized."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from textwrap import shorten

from labs.practicals import Column
from labs.reporting.evidence import is_accuracy
from labs.reporting.names import name_rows
from labs.reporting.published import PublishedRow
from labs.reporting.recorded_run import EMBEDDED, MISSING, Run, Sample
from labs.reporting.row import NOT_RUN, Row
from labs.reporting.statistics import Estimate, by_fold, over_folds, over_images, over_seeds
from labs.runs.recipe import flat

ENDINGS = {
    "begun": "begun, or killed before its first result",
    "running": "running, or killed before it could record its end",
}


def build_rows(runs: Sequence[Run], columns: Sequence[Column], published: Sequence[PublishedRow] = ()) -> list[Row]:
    """Group runs of one table by recipe, in the hand-out's order; add the rows that were not run."""
    rows = [_row(group, columns, published) for group in group_by_recipe(runs)]
    name_rows(rows, published)
    _note_other_seeds(rows)
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
    """Group runs that differ in nothing but the seed and the fold.

    Folds have slightly different numbers of images. A run without numbers (missing, running, failed, ...) may not have
    recorded everything: it joins the first group of the same choices, so that a failed seed stands in the row that
    misses it.
    """
    groups: dict[tuple[object, ...], list[Run]] = defaultdict(list)
    runs = list(runs)
    for run in sorted(runs, key=lambda run: not run.finished):
        if run.finished:
            settings = () if run.recipe else _fixed(run.settings)
            counts = _fixed(run.counts) if run.fold is None else run.folds
            groups[(run.row, settings, counts, run.labels)].append(run)
            continue
        same = (key for key in groups if run.experiment and key[0] == run.row)
        groups[next(same, (run.row if run.experiment else run.place,))].append(run)
    return sorted(groups.values(), key=lambda group: min(map(runs.index, group)))


def estimate_of_run(run: Run, column: Column) -> Estimate | None:
    """Summarize one run: accuracies on test images and shares of trials with Wilson's interval, others as they are."""
    value = column.value(run)
    if value is None:
        return None
    if column.trials and 0 <= value <= 1 and (trials := run.metrics.get(column.trials, 0)) >= 1:
        return over_images(value, round(trials))
    images = run.counts.get(column.images, 0)
    if images and column.key.startswith("test/") and is_accuracy(column.key):
        return over_images(value, images)
    return over_seeds([value])


def _fixed(facts: dict) -> tuple[tuple[str, object], ...]:
    return tuple(sorted(facts.items()))


def _row(group: list[Run], columns: Sequence[Column], published: Sequence[PublishedRow]) -> Row:
    used, older, notes = _one_run_a_sample([run for run in group if run.finished])
    others = [run for run in group if not run.finished]
    first = (used or others)[0]
    row = Row(
        title=first.experiment or first.place,
        status="finished" if used else others[0].status,
        labels=first.labels or ((EMBEDDED,) if first.data == "embedded" else ()),
        experiment=first.experiment,
        runs=used,
        others=others,
        older=older,
        notes=notes,
    )
    if first.experiment:  # the runs have one recipe; whoever typed least shows whose it is
        least = min(used or others, key=lambda run: len(run.typed))
        facts = {**flat(least.recipe), "experiment": least.experiment, **least.choices, **least.overrides}
        row.published = next((line for line in published if line.matches(facts, least.typed)), None)
    for column in columns:
        _summarize(row, column)
    row.notes += [_tell(run, row) for run in others if run.status != MISSING]
    missing = [run.sample for run in others if run.status == MISSING and run.sample not in row.samples]
    row.notes += [f"{_listed(missing)}: not run yet"] if missing else []
    epochs = {run.sample: run.epochs for run in used}
    if len(set(epochs.values())) > 1:
        numbers_run = ", ".join(f"{number} (seed {sample})" for sample, number in epochs.items())
        row.notes.append(f"the seeds ran different numbers of epochs: {numbers_run}")
    return row


def _one_run_a_sample(finished: Sequence[Run]) -> tuple[list[Run], list[Run], list[str]]:
    """Keep the newest run of each seed and fold, and the others apart: two runs of one seed are no two samples."""
    by_sample: dict[Sample, list[Run]] = defaultdict(list)
    for run in finished:
        by_sample[run.sample].append(run)
    used, older, notes = [], [], []
    for sample in sorted(by_sample, key=lambda sample: (sample.seed or 0, sample.fold or 0)):
        *rest, newest = sorted(
            by_sample[sample], key=lambda run: ((run.directory / "metrics.json").stat().st_mtime, run.place)
        )
        used.append(newest)
        older += rest
        if rest:
            notes.append(f"{len(rest) + 1} finished runs of seed {sample}: the newest counts ({newest.place})")
    return used, older, notes


def _note_other_seeds(rows: Sequence[Row]) -> None:
    """Say which seeds a row lacks that other rows have, unless its notes mention a run without numbers."""
    known = {sample for row in rows for sample in row.samples}
    for row in rows:
        absent = known - {run.sample for run in row.every_run}
        if absent and row.experiment:
            row.notes.append(f"no run of {_listed(sorted(absent, key=str))}, which other rows have")


def _listed(samples: Sequence[Sample]) -> str:
    return f"seed{'s' * (len(samples) > 1)} {', '.join(map(str, samples))}"


def _tell(run: Run, row: Row) -> str:
    seed = "" if run.seed is None else f"seed {run.sample} "
    ending = ENDINGS.get(run.status, run.status)
    reason = f": {shorten(run.error, 200, placeholder=' ...')}" if run.error else ""
    trace = f"; see {run.traceback}" if run.traceback else ""
    again = " (another run of this seed counts)" if run.sample in row.samples else ""
    return f"{seed}{ending}{reason}{trace}{again}"


def _summarize(row: Row, column: Column) -> None:
    values = {run.sample: column.value(run) for run in row.runs}
    present = [value for value in values.values() if value is not None]
    if not present:
        return
    if len(present) < len(values):  # a mean over other seeds than its neighbors' would mislead
        absent = ", ".join(str(sample) for sample, value in values.items() if value is None)
        row.notes.append(f"{column.key} is missing for seed {absent}")
        return
    folds = by_fold([run.fold for run in row.runs], present)
    if len(folds) > 1:
        row.estimates[column.key] = over_folds(folds, row.runs[0].folds or len(folds))
        return
    alone = estimate_of_run(row.runs[0], column)
    row.estimates[column.key] = alone if alone and len(present) == 1 else over_seeds(present)

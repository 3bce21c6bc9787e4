"""What rows are called: the hand-out's words or the experiment, and every choice in which they differ."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from hashlib import sha256

from labs.reporting.published import PublishedRow
from labs.reporting.recorded_run import Run
from labs.reporting.row import Row
from labs.runs.recipe import flat

MOST = 4  # settings in a name


def name_rows(rows: Sequence[Row], published: Sequence[PublishedRow] = ()) -> None:
    """Name every row by its experiment, or the hand-out's words for it, and by each choice that differs.

    A row that the hand-out does not have is also named by what was typed for it and stands in no row of the hand-out,
    so that it cannot be taken for the row of its experiment.
    """
    facts = [_facts(row) for row in rows]
    with_numbers = [row_facts for row, row_facts in zip(rows, facts, strict=True) if row.runs]
    for row, row_facts in zip(rows, facts, strict=True):
        published_words = row.published.match if row.published else {}
        # what the hand-out's words say already is named only to tell rows of the same words apart
        same_words = [other for rival, other in zip(rows, facts, strict=True) if rival.published is row.published]
        others = with_numbers if row.runs else facts  # a run without numbers lengthens no name but its own
        if row.published:
            row.title = f"{row.published.name} [{row.experiment}]"
        unknown = _unknown(row, row_facts, published) if published or len(rows) == 1 else ()
        row.details = [
            name if name.startswith("~") else f"{name}={_brief(value)}"
            for name, value in row_facts.items()
            if name in unknown
            or any(other.get(name) != value for other in (same_words if name in published_words else others) if other)
        ]
    _tell_apart(rows)


def _brief(value: str) -> str:
    """Cut a value that would fill the table, with a few digits of its hash so that two of them stay two."""
    return value if len(value) <= 48 else f"{value[:40]}...#{sha256(value.encode()).hexdigest()[:6]}"


def _facts(row: Row) -> dict[str, str]:
    runs = row.runs or row.others
    return {**runs[0].choices, **runs[0].overrides} if runs else {}


def _unknown(row: Row, facts: Mapping[str, str], published: Sequence[PublishedRow]) -> list[str]:
    """Return what was typed for a row, by name, where no published row allows its value."""
    runs = row.runs or row.others
    typed = runs[0].typed if runs and not row.published else ()
    return [name for name in typed if not any(line.allows(name, facts.get(name, "")) for line in published)]


def _tell_apart(rows: Sequence[Row]) -> None:
    """Add settings and numbers of images to rows that would still read the same."""
    same_name: dict[tuple[str, tuple[str, ...]], list[Row]] = defaultdict(list)
    for row in rows:
        same_name[(row.name, row.labels)].append(row)
    for same in same_name.values():
        details = [_details((row.runs or row.others)[0]) for row in same]
        for place, (row, detail) in enumerate(zip(same, details, strict=True), start=1):
            parts = [f"{key}={value}" for key, value in detail.items() if any(d.get(key) != value for d in details)]
            parts = parts[:MOST] + [f"{len(parts) - MOST} more settings"] * (len(parts) > MOST)
            row.details += parts or ([f"recipe {place}"] if len(same) > 1 else [])


def _details(run: Run) -> dict[str, str]:
    settings = flat(run.recipe) or {name: f"{value:g}" for name, value in run.settings.items()}
    return {**settings, **{f"{split} images": str(number) for split, number in run.counts.items()}}

"""Tables: runs sorted by practical and data, ranked and footnoted."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from labs import LabsError
from labs.practicals import Column, Sheet, sheet_of
from labs.reporting.each_run import RunLine, each_run
from labs.reporting.evidence import is_accuracy
from labs.reporting.grouping import build_rows
from labs.reporting.published import PublishedTable, load_published
from labs.reporting.ranking import rank
from labs.reporting.recorded_run import EMBEDDED, Run
from labs.reporting.row import NOT_RUN, Row
from labs.reporting.statistics import SIGNIFICANCE

SELECTED_ON_TEST = "selected on test"


@dataclass
class Table:
    """Hold one table, ready to be written in any format: one practical, one kind of data.

    `columns` are those of the sheet that this table needs; `ranked` is the one that decides which row is best, if the
    table has it; `lines` are the runs one by one.
    `earlier_in` names the grid whose earlier commands its runs are of, where the grid was last typed otherwise.
    `findings` say what of the hand-out's observations holds in these runs, `footnotes` how to read the numbers.
    `slug` names the table in file names and anchors; no two tables of a report share one.
    """

    practical: str
    data: str
    sheet: Sheet
    columns: list[Column]
    published: PublishedTable | None
    rows: list[Row]
    ranked: Column | None
    lines: list[RunLine]
    earlier_in: str = ""
    slug: str = ""
    footnotes: list[str] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)

    @property
    def title(self) -> str:
        """Return the title with the kind of data, so that embedded numbers never stand under a bare title."""
        kind = {"embedded": EMBEDDED, "online": "real data"}.get(self.data)
        title = f"{self.sheet.title} ({kind})" if kind else self.sheet.title
        return f"{title}: earlier runs in {self.earlier_in}" if self.earlier_in else title

    @property
    def caption(self) -> str:
        """Return the sentences above the table: what the numbers are and how the epoch was selected."""
        notes = [column.note for column in self.columns]
        return " ".join(filter(None, (self.sheet.caption, *notes, _selection(self.rows))))


def build_tables(runs: Sequence[Run], rank_by: str | None = None) -> list[Table]:
    """Build one table for each practical and kind of data; embedded and online runs never meet in one.

    Runs in the folder of a grid that are no cells of the grid as it was last typed stand in tables of their own: a
    short trial is not ranked with the finished cells.

    Raises:
        LabsError: `rank_by` is a column of no table.
    """
    groups: dict[tuple[str, str, str], list[Run]] = {}
    for run in runs:
        groups.setdefault((run.practical, run.data, run.earlier_in), []).append(run)
    tables = [_build(*key, group, rank_by) for key, group in groups.items()]
    tables.sort(key=lambda table: (not table.practical, bool(table.earlier_in)))  # unreadable runs come last
    for table in tables:
        table.rows = [row for row in table.rows if not _stands_elsewhere(row, table, tables)]
    names: Counter[str] = Counter()
    for table in tables:
        parts = (table.practical, table.data, "earlier" if table.earlier_in else "")
        name = "_".join(filter(None, parts)) or "unreadable"
        name = re.sub(r"[^A-Za-z0-9_-]", "-", name)  # a practical's name comes from a file: no slashes, no spaces
        names[name] += 1
        table.slug = name if names[name] == 1 else f"{name}_{names[name]}"
    if rank_by is not None and all(table.ranked is None for table in tables):
        known = sorted({column.key for table in tables for column in table.columns if column.better != "neither"})
        raise LabsError(
            f"no table has a column {rank_by!r} to rank by; these runs have {', '.join(known) or 'no metric'}"
        )
    return tables


def _stands_elsewhere(row: Row, table: Table, tables: Sequence[Table]) -> bool:
    """Say whether a row that was not run here stands in a better place: with numbers, or in the table of the grid."""
    if row.status != NOT_RUN:
        return False
    others = [other for other in tables if other is not table and _of(other) == _of(table)]
    return any(rival.runs and rival.published is row.published for other in others for rival in other.rows) or (
        bool(table.earlier_in) and any(not other.earlier_in for other in others)
    )


def _of(table: Table) -> tuple[str, str]:
    return table.practical, table.data


def _build(practical: str, data: str, earlier_in: str, runs: Sequence[Run], rank_by: str | None) -> Table:
    sheet = sheet_of(practical)
    published = load_published(sheet)
    known = sheet.columns or _of_metrics(runs, sheet)
    needed = {column.group for column in known if column.note and any(column.value(run) is not None for run in runs)}
    columns = [column for column in known if not column.note or column.group in needed]
    rows = build_rows(runs, columns, published.rows if published else ())
    key = rank_by or (sheet.leads if sheet.ranks else "")
    column = next((column for column in columns if column.key == key and column.better != "neither"), None)
    if column is not None:
        rank(rows, column)
    table = Table(practical, data, sheet, columns, published, rows, column, each_run(rows, column), earlier_in)
    table.findings = sheet.observations(rows) if sheet.observations else []
    table.footnotes = list(_footnotes(table, column))
    return table


def _of_metrics(runs: Sequence[Run], sheet: Sheet) -> list[Column]:
    """Return a column for every final metric that a finished run recorded: training, validation, test, others."""
    columns = []
    for name in sorted({name for run in runs for name in run.metrics}, key=lambda name: (_stage(name), name)):
        tested = name.startswith("test/")
        images = "test" if name == sheet.predicts else ""  # of others nobody says
        if is_accuracy(name):
            columns.append(Column(name, f"{name} (%)", "higher", "percent", interval=tested, images=images))
        else:
            better: Literal["lower", "neither"] = "lower" if name.endswith("/loss") else "neither"
            columns.append(Column(name, name, better, interval=tested))
    return columns


def _stage(name: str) -> int:
    stages = ("train", "val", "test")
    stage = name.partition("/")[0]
    return stages.index(stage) if stage in stages else len(stages)


def _selection(rows: Sequence[Row]) -> str:
    """Say how the tested epoch was chosen."""
    used = [run for row in rows for run in row.runs]
    selected = [run for run in used if run.best_epoch is not None]
    if not selected:
        return "The last epoch was tested." if any(run.counts and run.epochs for run in used) else ""
    monitored = sorted({run.selected_by for run in selected} - {""})
    by = f" ({', '.join(monitored)})" if monitored else ""
    on_test = [SELECTED_ON_TEST in run.labels for run in selected]
    last = "" if len(selected) == len(used) else " Where nothing was monitored, the last epoch was tested."
    if all(on_test):
        return f"The tested epoch was selected on the test images themselves{by}.{last}"
    rule = f"The tested epoch was selected on validation images, separate from the test images{by}"
    return rule + (f", except in rows labeled '{SELECTED_ON_TEST}'." if any(on_test) else ".") + last


def _footnotes(table: Table, ranked: Column | None) -> Iterable[str]:
    """Yield what a reader must know to read the numbers correctly."""
    used = [run for row in table.rows for run in row.runs]
    if table.earlier_in:
        yield (
            f"These runs are in {table.earlier_in}, but the grid as it was last typed has no such cells (cells.json), "
            "so they are not compared with its cells. Type the earlier command again to bring them back into its table."
        )
    estimates = [estimate for row in table.rows for estimate in row.estimates.values()]
    if any(estimate.interval == "folds" for estimate in estimates):
        yield (
            "Where a row has several folds, ± is the standard deviation over folds (each is the mean of its seeds). "
            "Folds share training images and are not independent, so [low, high] is a corrected 95 % t interval "
            "(Nadeau and Bengio 2003). It is wider than the interval of as many seeds."
        )
    if any(estimate.n > 1 and estimate.interval != "folds" for estimate in estimates):
        yield "± is the standard deviation over seeds, [low, high] the 95 % t interval of their mean."
    if any(estimate.interval == "wilson" for estimate in estimates):
        yield "A row with one run has the 95 % Wilson interval over its test images, without the spread over seeds."
    if any(row.mark for row in table.rows) and ranked is not None:
        yield (
            f"Each row is compared with the row that has the {'highest' if ranked.better == 'higher' else 'lowest'} "
            f"{ranked.key} among rows with the same labels and test images. The test is the paired t test over common "
            "seeds. For single runs it is McNemar's test on their predictions, or else the overlap of the 95 % "
            f"intervals. p-values are corrected for the number of rows (Holm); the level is {SIGNIFICANCE:g}. "
            "≈ marks a tie: these runs cannot tell the rows apart, but more seeds may. "
            "The best row is bold only if it has no tie."
        )
        yield from _settings_that_differ([row for row in table.rows if row.rival or row.mark])
    if table.data == "embedded":
        yield (
            "Embedded data is a small offline stand-in for the real dataset. Compare its numbers only with each other."
        )
    if any(SELECTED_ON_TEST in run.labels for run in used):
        yield "Selected on test: the epoch was chosen on the test images, which flatters the result."
    if before := sum(not run.recipe for run in used):
        earlier = "come from an earlier version of labs; their rows are named by what was typed"
        yield f"{before} of {len(used)} runs {earlier}."
    common = _common_choices(used)
    if common and len(used) > 1:
        yield f"The same in every row: {common}."
    if table.published:
        differences = _differences(table, used)
        if differences:
            yield f"Differs from the hand-out: {'; '.join(differences)}."
        yield from (f"About the hand-out: {note}" for note in table.published.notes)


def _settings_that_differ(rows: Sequence[Row]) -> Iterable[str]:
    """Name the recorded settings in which ranked rows differ, as far as every row has recorded them."""
    found = []
    for name in rows[0].runs[0].settings if rows else ():
        values = {run.settings.get(name) for row in rows for run in row.runs}
        if len(values) > 1 and None not in values:
            numbers = ", ".join(f"{value:g}" for value in sorted(v for v in values if v is not None))
            found.append(f"{name.rpartition('.')[2].replace('_', ' ')} ({numbers})")
    if found:
        yield f"The ranked rows differ in {', '.join(found)}."


def _common_choices(runs: Sequence[Run]) -> str:
    facts = [{**run.choices, **run.overrides} for run in runs]
    if not facts:
        return ""
    same = {name: value for name, value in facts[0].items() if all(other.get(name) == value for other in facts)}
    for name in {name for other in facts for name in other} - set(same):
        # freeze=none is not the whole truth where a row has callbacks.freeze.patterns of its own
        axis = next((word for word in reversed(name.lstrip("~").split(".")[:-1]) if word in runs[0].choices), "")
        same.pop(axis, None)
    return ", ".join(f"{name}={value}" for name, value in same.items())


def _differences(table: Table, runs: Sequence[Run]) -> list[str]:
    """Say in which of the hand-out's known settings our runs differ from it."""
    if not runs or not table.published:
        return []
    found = ["the data is embedded, not the hand-out's"] if table.data == "embedded" else []
    for name, theirs in table.published.settings.items():
        ours = {run.epochs if name == "epochs" else run.settings.get(name) for run in runs} - {None}
        if ours and ours != {theirs}:
            values = ", ".join(f"{value:g}" for value in sorted(value for value in ours if value is not None))
            found.append(f"{name.rpartition('.')[2].replace('_', ' ')} {values} instead of {theirs:g}")
    if SELECTED_ON_TEST in table.published.labels and any(SELECTED_ON_TEST not in run.labels for run in runs):
        found.append("the epoch is selected on validation images, not on the test images")
    images = table.published.images
    counts = {(run.counts.get("train"), run.counts.get("val"), run.counts.get("test")) for run in runs if run.counts}
    for train, val, test in sorted(counts, key=str) if images else ():
        if (train, test) != (images.get("train"), images.get("test")):
            validated = "" if val is None else f", {val} for validation"  # some methods select nothing
            found.append(
                f"{train} images for training{validated} and {test} for the test instead of "
                f"{images.get('train')} and {images.get('test')}"
            )
    return found

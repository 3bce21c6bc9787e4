"""What the table of each practical looks like: the one place to extend for a new practical.

Write one function that takes the runs of a table and returns a `Layout`, and name it in `LAYOUTS` under the
practical and the module of its runs. Runs that no layout knows get `generic`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from labs.reporting.published import PublishedTable, load_published
from labs.reporting.runs import Run, is_accuracy

LOWER_IS_BETTER = ("loss", "error", "fid", "kid", "lpips", "erm", "seconds")


@dataclass(frozen=True)
class Column:
    """Describe one number of a row: where it comes from in a run, and how it is written."""

    key: str
    title: str
    value: Callable[[Run], float | None]
    unit: Literal["percent", "number", "epoch"] = "number"
    group: str = ""
    interval: bool = False

    @property
    def higher_is_better(self) -> bool:
        """Say which end of the column is the good one."""
        return not any(word in self.key.rsplit("/", 1)[-1].lower() for word in LOWER_IS_BETTER)


@dataclass(frozen=True)
class Layout:
    """Describe a table: its columns and, where a hand-out has them, the published numbers and settings."""

    title: str
    columns: tuple[Column, ...]
    caption: str = ""
    published: PublishedTable | None = None
    settings: PublishedTable | None = None


def metric(name: str) -> Callable[[Run], float | None]:
    """Return a reader of one final metric."""
    return lambda run: run.metrics.get(name)


def best_training_epoch(run: Run) -> int | None:
    """Return the place (from 0) of the first epoch with the highest training accuracy."""
    if run.log is None or "train/acc" not in run.log or run.log["train/acc"].dropna().empty:
        return None
    return int(run.log["train/acc"].argmax())


def at_best_training_epoch(column: str) -> Callable[[Run], float | None]:
    """Return a reader of a column of log.tsv at the epoch with the highest training accuracy."""

    def read(run: Run) -> float | None:
        place = best_training_epoch(run)
        if place is None or run.log is None or column not in run.log:
            return None
        return float(run.log[column].iloc[place])

    return read


CLASSIFIER_COLUMNS = (
    Column("train/acc", "accuracy (%)", at_best_training_epoch("train/acc"), "percent", "Training"),
    Column("train/loss", "loss", at_best_training_epoch("train/loss"), "number", "Training"),
    Column("erm", "ERM", at_best_training_epoch("epoch"), "epoch", "Training"),
    Column("test/acc", "accuracy (%)", metric("test/acc"), "percent", "Testing", interval=True),
    Column("test/loss", "loss", metric("test/loss"), "number", "Testing", interval=True),
)


def cub_classifier(runs: Sequence[Run]) -> Layout:
    """Lay out Table 4 of hand-out 000: four freezing policies under two normalisations."""
    return Layout(
        title="CUB-200: freezing policy and normalisation",
        columns=CLASSIFIER_COLUMNS,
        caption="Training accuracy is the maximum over the epochs, with the loss of that epoch; "
        "ERM is the epoch (from 1) that first reached the maximum.",
        published=load_published("000", "4"),
        settings=load_published("000", "2"),
    )


def generic(runs: Sequence[Run]) -> Layout:
    """Lay out any practical: every final metric that a finished run recorded."""
    names = {name for run in runs if run.finished for name in run.metrics}
    columns = [
        Column(
            key=name,
            title=f"{name} (%)" if is_accuracy(name) else name,
            value=metric(name),
            unit="percent" if is_accuracy(name) else "number",
            interval=name.startswith("test/"),
        )
        for name in sorted(names, key=_train_val_test)
    ]
    practical = runs[0].practical
    if not practical:
        return Layout("Runs that cannot be read", tuple(columns))
    return Layout(f"Practical {practical}", tuple(columns), "Every number is the final value that a run recorded.")


def _train_val_test(name: str) -> tuple[int, str]:
    stage = name.split("/", 1)[0]
    stages = ("train", "val", "test")
    return (stages.index(stage) if stage in stages else len(stages), name)


# (practical, module) -> layout
LAYOUTS: dict[tuple[str, str], Callable[[Sequence[Run]], Layout]] = {
    ("cub", "classifier"): cub_classifier,
}


def layout_of(run: Run) -> Callable[[Sequence[Run]], Layout]:
    """Return the layout function that a run belongs to."""
    return LAYOUTS.get((run.practical, run.choices.get("module", "")), generic)

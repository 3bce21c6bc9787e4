"""Published numbers: the `published.yaml` of a practical, read into a typed table."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from omegaconf import OmegaConf

from labs.practicals import Sheet

ANY = "*"  # of a match: whatever the value is, the run repeats the row


@dataclass(frozen=True)
class PublishedRow:
    """Hold one row: its name, which of our recipes repeats it, and its values (accuracies in [0, 1])."""

    name: str
    values: dict[str, float]
    match: dict[str, tuple[str, ...]]

    def matches(self, facts: Mapping[str, str], typed: Collection[str]) -> bool:
        """Say whether a run repeats this row: nothing was typed for it but what the row names, with the row's values.

        Args:
            facts: names and values of its recipe; a name that it lacks is ignored.
            typed: the names of what was typed for it.
        """
        named = [(name, facts[name]) for name in self.match if name in facts]
        return set(typed) <= set(self.match) and all(self.allows(name, value) for name, value in named)

    def allows(self, name: str, value: str) -> bool:
        """Say whether a run that repeats this row may have a choice or setting of this value."""
        return value in self.match.get(name, ()) or ANY in self.match.get(name, ())


@dataclass(frozen=True)
class PublishedTable:
    """Hold one table; `source` names it as a caption does, `settings` are its hyper-parameters by our full names."""

    source: str
    rows: tuple[PublishedRow, ...]
    images: dict[str, int]
    notes: tuple[str, ...]
    labels: tuple[str, ...]
    settings: dict[str, float]


@cache
def load_published(sheet: Sheet) -> PublishedTable | None:
    """Read the hand-out's table of a practical, percentages turned into fractions of one; None if it has none."""
    if not sheet.published:
        return None
    text = files(sheet.published).joinpath("published.yaml").read_text(encoding="utf-8")
    table: Any = OmegaConf.to_container(OmegaConf.create(text))
    percent = {column.key for column in sheet.columns if column.unit == "percent"}
    return PublishedTable(
        source=table["source"],
        rows=tuple(_row(row, table.get("match", {}), percent) for row in table["rows"]),
        images=table.get("images", {}),
        notes=tuple(table.get("notes", ())),
        labels=tuple(table.get("labels", ())),
        settings=table.get("settings", {}),
    )


def _row(row: dict[str, Any], common: dict[str, Any], percent: Collection[str]) -> PublishedRow:
    return PublishedRow(
        name=row["name"],
        # rounding takes the dust of binary fractions off a number that was printed with few digits
        values={
            name: round(value / 100, 10) if name in percent else float(value) for name, value in row["values"].items()
        },
        match={name: _allowed(value) for name, value in {**common, **row["match"]}.items()},
    )


def _allowed(value: object) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list) else (str(value),)

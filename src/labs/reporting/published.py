"""Published numbers: one YAML file a hand-out, read into typed tables."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

from omegaconf import OmegaConf

SCALES = {"percent": 0.01, "number": 1.0, "epoch": 1.0}


@dataclass(frozen=True)
class PublishedRow:
    """Hold one row: its name, which of our recipes repeats it, and its values (accuracies in [0, 1])."""

    name: str
    values: dict[str, float]
    match: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def matches(self, facts: Mapping[str, str]) -> bool:
        """Say whether a recipe (names and values) repeats this row; a name that it lacks is ignored."""
        return bool(self.match) and all(facts[name] in allowed for name, allowed in self.match.items() if name in facts)


@dataclass(frozen=True)
class PublishedTable:
    """Hold one table of a hand-out."""

    handout: str
    handout_name: str
    number: str
    title: str
    rows: tuple[PublishedRow, ...]
    images: dict[str, int]
    notes: tuple[str, ...]
    labels: tuple[str, ...] = ()
    paper: str = ""

    @property
    def source(self) -> str:
        """Name the table the way a caption does, or the paper that has the numbers where the hand-out has none."""
        return self.paper or f"hand-out {self.handout} ({self.handout_name}), Table {self.number}"


@cache
def load_published(handout: str, number: str) -> PublishedTable:
    """Read one table of `published/handout_<handout>.yaml`, percentages turned into fractions of one."""
    text = files("labs.reporting").joinpath("published", f"handout_{handout}.yaml").read_text(encoding="utf-8")
    content: Any = OmegaConf.to_container(OmegaConf.create(text))
    table = content["tables"][number]
    return PublishedTable(
        handout=content["handout"],
        handout_name=content["name"],
        number=number,
        title=table["title"],
        rows=tuple(_row(row, table) for row in table["rows"]),
        images=table.get("images", {}),
        notes=tuple(table.get("notes", ())),
        labels=tuple(table.get("labels", ())),
        paper=table.get("source", ""),
    )


def _row(row: dict[str, Any], table: dict[str, Any]) -> PublishedRow:
    match = {**table.get("match", {}), **row["match"]} if "match" in row else {}
    return PublishedRow(
        name=row["name"],
        # rounding takes the dust of binary fractions off a number that was printed with few digits
        values={name: round(value * SCALES[table["units"][name]], 10) for name, value in row["values"].items()},
        match={name: _allowed(value) for name, value in match.items()},
    )


def _allowed(value: object) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list) else (str(value),)

"""The same table as Markdown, LaTeX (booktabs) and CSV."""

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass

from labs.reporting.layouts import Column
from labs.reporting.rows import Row
from labs.reporting.tables import Table

ABSENT = "\N{EN DASH}"
LATEX = {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "|": r"\textbar{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "±": r"$\pm$", "≈": r"$\approx$", ABSENT: "--",
    **{letter: "\\" + letter for letter in "&%$#_{}"},
}  # fmt: skip


@dataclass(frozen=True)
class Cell:
    """Hold the texts of one cell; an empty text is not shown."""

    ours: str = ABSENT
    spread: str = ""
    interval: str = ""
    published: str = ""

    def joined(self) -> str:
        """Return the cell on one line: 38.07 ± 1.20 [35.1, 41.0] (38.066)."""
        published = f"({self.published})" if self.published else ""
        return " ".join(filter(None, (self.ours, self.spread, self.interval, published)))


def cell(row: Row, column: Column) -> Cell:
    """Write the numbers of one row and column: accuracies in percent, epochs from 1."""
    published = ""
    if row.published and column.key in row.published.values:
        published = f"{_scaled(row.published.values[column.key], column):.6g}"
    estimate = row.estimates.get(column.key)
    if estimate is None:
        return Cell(published=published)
    if not math.isfinite(estimate.mean):
        return Cell(ours="NaN", published=published)
    interval = ""
    if column.interval and estimate.low is not None and estimate.high is not None:
        interval = f"[{_value(estimate.low, column, True)}, {_value(estimate.high, column, True)}]"
    return Cell(
        ours=_value(estimate.mean, column, estimate.n > 1),
        spread="" if estimate.std is None else f"± {_spread(estimate.std, column)}",
        interval=interval,
        published=published,
    )


def row_title(row: Row) -> str:
    """Return the name of a row with its labels, which belong to every number in it."""
    return row.name + (f" ({', '.join(row.labels)})" if row.labels else "")


def to_markdown(tables: Sequence[Table]) -> str:
    """Write the tables as GitHub Markdown, columns aligned so that they also read well in a terminal."""
    return "\n".join(_markdown(table) for table in tables)


def to_latex(tables: Sequence[Table]) -> str:
    """Write the tables for LaTeX with the packages booktabs and graphicx."""
    return "% needs \\usepackage{booktabs} and \\usepackage{graphicx}\n" + "\n".join(_latex(table) for table in tables)


def to_csv(tables: Sequence[Table]) -> str:
    """Write all tables as one CSV, full precision, in the units of metrics.json (accuracies in [0, 1])."""
    keys = list(dict.fromkeys(column.key for table in tables for column in table.layout.columns))
    fields = ["practical", "data", "row", "experiment", "labels", "status", "n", "seeds", "mark", "p_value"]
    for key in keys:
        fields += [key, *(f"{key} {part}" for part in ("std", "low", "high", "interval", "published"))]
    output = io.StringIO()
    writer = csv.DictWriter(output, [*fields, "published in", "commands", "notes"], lineterminator="\n")
    writer.writeheader()
    for table in tables:
        writer.writerows(_csv_row(table, row) for row in table.rows)
    return output.getvalue()


def _scaled(value: float, column: Column) -> float:
    return 100 * value if column.unit == "percent" else value


def _value(value: float, column: Column, averaged: bool) -> str:
    if column.unit == "percent":
        return f"{100 * value:.2f}"
    if column.unit == "epoch":
        return f"{value:.1f}" if averaged else f"{value:.0f}"
    if not 0.1 <= abs(value) < 1000:
        return f"{value:.3g}"
    return f"{value:.3f}"


def _spread(std: float, column: Column) -> str:
    return _value(std, column, True) if column.unit != "number" else f"{std:.2g}"


def _headings(table: Table) -> list[str]:
    return [f"{column.group} {column.title}".strip() for column in table.layout.columns]


def _markdown(table: Table) -> str:
    lines = [["Row", "n", *_headings(table), "Notes"]]
    for row in table.rows:
        bold, tie = ("**" if row.mark == "best" else ""), ("≈ " if row.mark == "tie" else "")
        cells = []
        for column in table.layout.columns:
            text = cell(row, column).joined()
            cells.append(f"{bold}{tie}{text}{bold}" if column.key == table.rank_by else text)
        lines.append([f"{bold}{_plain(row_title(row))}{bold}", _n(row), *cells, _plain("; ".join(row.notes))])
    widths = [max(3, *(len(line[place]) for line in lines)) for place in range(len(lines[0]))]
    ruler = [
        "-" * width if place in (0, len(widths) - 1) else "-" * (width - 1) + ":" for place, width in enumerate(widths)
    ]
    text = "\n".join(
        "| " + " | ".join(item.ljust(width) for item, width in zip(line, widths, strict=True)) + " |"
        for line in (lines[0], ruler, *lines[1:])
    )
    notes = "\n".join(f"- {_plain(note)}" for note in table.footnotes)
    return "\n\n".join(filter(None, (f"## {table.title}", table.caption, text, notes))) + "\n"


def _plain(text: str) -> str:
    """Escape what would break a Markdown table or turn into HTML; an error line can hold anything."""
    return " ".join(text.split()).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")


def _n(row: Row) -> str:
    return str(len(row.runs)) if row.runs else ABSENT


def _tex(text: str) -> str:
    return "".join(LATEX.get(letter, letter) for letter in " ".join(text.split()))


def _latex(table: Table) -> str:
    columns = table.layout.columns
    groups, rules, place = [], [], 3
    for name, width in _spans([column.group for column in columns]):
        groups.append(rf"\multicolumn{{{width}}}{{c}}{{{_tex(name.upper())}}}")
        if name:
            rules.append(rf"\cmidrule(lr){{{place}-{place + width - 1}}}")
        place += width
    heads = [" & ".join(["", "", *groups]) + r" \\", "".join(rules)] if rules else []
    heads.append(" & ".join(["Row", "n", *(_tex(column.title) for column in columns)]) + r" \\")
    body = []
    said = list(dict.fromkeys(note for row in table.rows for note in row.notes))  # numbered, below the table
    for row in table.rows:
        cells = [_latex_cell(row, column, column.key == table.rank_by) for column in columns]
        title = _tex(row_title(row))
        title = rf"\textbf{{{title}}}" if row.mark == "best" else title
        marks = ",".join(str(said.index(note) + 1) for note in row.notes)
        title += rf"\textsuperscript{{{marks}}}" if marks else ""
        body.append(" & ".join([title, _tex(_n(row)), *cells]) + r" \\")
    notes = [rf"\par\noindent\textsuperscript{{{number}}} {_tex(note)}" for number, note in enumerate(said, start=1)]
    notes += [rf"\par\smallskip\noindent {_tex(note)}" for note in table.footnotes]
    return "\n".join([
        r"\begin{table}[htbp]", r"\centering",
        rf"\caption{{{_tex(f'{table.title}. {table.caption}')}}}",
        rf"\label{{tab:{table.slug.replace('_', '-')}}}",
        r"\resizebox{\linewidth}{!}{%", rf"\begin{{tabular}}{{p{{6cm}}r{'r' * len(columns)}}}",
        r"\toprule", *heads, r"\midrule", *body, r"\bottomrule", r"\end{tabular}}",
        r"\begin{minipage}{\linewidth}\footnotesize", *notes, r"\end{minipage}", r"\end{table}", "",
    ])  # fmt: skip


def _latex_cell(row: Row, column: Column, ranked: bool) -> str:
    parts = cell(row, column)
    text = _tex(" ".join(filter(None, (parts.ours, parts.spread, parts.interval))))
    if ranked and row.mark:
        text = rf"\textbf{{{text}}}" if row.mark == "best" else rf"$\approx$ {text}"
    return text + (rf" {{\scriptsize({_tex(parts.published)})}}" if parts.published else "")


def _spans(names: Sequence[str]) -> list[tuple[str, int]]:
    spans: list[tuple[str, int]] = []
    for name in names:
        if spans and spans[-1][0] == name:
            spans[-1] = (name, spans[-1][1] + 1)
        else:
            spans.append((name, 1))
    return spans


def _csv_row(table: Table, row: Row) -> dict[str, object]:
    line: dict[str, object] = {
        "practical": table.practical,
        "data": table.data,
        "row": row.name,
        "experiment": row.experiment,
        "labels": ", ".join(row.labels),
        "status": row.status,
        "n": len(row.runs),
        "seeds": " ".join(map(str, row.seeds)),
        "mark": row.mark,
        "p_value": row.p_value,
        "published in": table.layout.published.source if row.published and table.layout.published else "",
        "commands": " && ".join(run.command for run in row.runs or row.others),
        "notes": "; ".join(row.notes),
    }
    for column in table.layout.columns:
        estimate = row.estimates.get(column.key)
        if estimate is not None:
            values = (estimate.mean, estimate.std, estimate.low, estimate.high, estimate.interval)
            names = (column.key, *(f"{column.key} {part}" for part in ("std", "low", "high", "interval")))
            line.update(zip(names, values, strict=True))
        if row.published and column.key in row.published.values:
            line[f"{column.key} published"] = row.published.values[column.key]
    return line

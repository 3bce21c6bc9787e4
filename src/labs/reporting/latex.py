"""The tables for LaTeX, with booktabs."""

import re
from collections.abc import Sequence

from labs.practicals import Column
from labs.reporting.escape import latex as escaped
from labs.reporting.row import Row
from labs.reporting.tables import Table
from labs.reporting.texts import (
    PUBLISHED_TITLE,
    RUNS_TITLE,
    cell,
    column_groups,
    lines_by_row,
    published,
    published_caption,
    row_size,
    row_title,
    run_cells,
    run_headings,
    runs_caption,
)


def to_latex(tables: Sequence[Table]) -> str:
    """Write the tables, and every run on its own, for LaTeX with the packages booktabs, graphicx and longtable."""
    packages = "% needs \\usepackage{booktabs}, \\usepackage{graphicx} and \\usepackage{longtable}\n"
    return packages + "\n".join(_latex(table) + "\n" + _latex_published(table) + _latex_runs(table) for table in tables)


def _latex(table: Table) -> str:
    columns = table.columns
    groups, rules, place = [], [], 3
    for name, width in column_groups(table):
        groups.append(rf"\multicolumn{{{width}}}{{c}}{{{escaped(name.upper())}}}")
        if name:
            rules.append(rf"\cmidrule(lr){{{place}-{place + width - 1}}}")
        place += width
    heads = [" & ".join(["", "", *groups]) + r" \\", "".join(rules)] if rules else []
    heads.append(" & ".join(["Row", "n", *(escaped(column.title) for column in columns)]) + r" \\")
    body = []
    noted = list(dict.fromkeys(note for row in table.rows for note in row.notes))  # numbered, below the table
    for row in table.rows:
        cells = [_latex_cell(row, column, column is table.ranked) for column in columns]
        title = escaped(row_title(row))
        title = rf"\textbf{{{title}}}" if row.mark == "best" else title
        marks = ",".join(str(noted.index(note) + 1) for note in row.notes)
        title += rf"\textsuperscript{{{marks}}}" if marks else ""
        body.append(" & ".join([title, escaped(row_size(row)), *cells]) + r" \\")
    notes = [rf"\par\noindent\textsuperscript{{{place}}} {_breakable(note)}" for place, note in enumerate(noted, 1)]
    notes += [rf"\par\smallskip\noindent {escaped(note)}" for note in (*table.findings, *table.footnotes)]
    return "\n".join([
        r"\begin{table}[htbp]", r"\centering",
        rf"\caption{{{escaped(f'{table.title}. {table.caption}')}}}",
        rf"\label{{tab:{table.slug.replace('_', '-')}}}",
        r"\resizebox{\linewidth}{!}{%", rf"\begin{{tabular}}{{p{{6cm}}r{'r' * len(columns)}}}",
        r"\toprule", *heads, r"\midrule", *body, r"\bottomrule", r"\end{tabular}}",
        r"\begin{minipage}{\linewidth}\footnotesize", *notes, r"\end{minipage}", r"\end{table}", "",
    ])  # fmt: skip


def _latex_cell(row: Row, column: Column, ranked: bool) -> str:
    parts = cell(row, column)
    text = escaped(" ".join(filter(None, (parts.ours, parts.spread, parts.interval))))
    if ranked and row.mark:
        text = rf"\textbf{{{text}}}" if row.mark == "best" else rf"$\approx$ {text}"
    return text


def _latex_published(table: Table) -> str:
    """Write the hand-out's own numbers as a table apart, so that they are not taken for ours."""
    lines = published(table)
    if not lines:
        return ""
    head, *body = (" & ".join(map(escaped, line)) + r" \\" for line in lines)
    return "\n".join([
        r"\begin{table}[htbp]", r"\centering",
        rf"\caption{{{escaped(f'{table.sheet.title}. {PUBLISHED_TITLE}. {published_caption(table)}')}}}",
        r"\resizebox{\linewidth}{!}{%", rf"\begin{{tabular}}{{p{{6cm}}{'r' * (len(lines[0]) - 1)}}}",
        r"\toprule", head, r"\midrule", *body, r"\bottomrule", r"\end{tabular}}", r"\end{table}", "", "",
    ])  # fmt: skip


def _latex_runs(table: Table) -> str:
    """Write every run under the name of its row: longer than a page for a large grid, so not a float."""
    titles = run_headings(table)
    body = []
    for name, lines in lines_by_row(table):
        body.append(rf"\multicolumn{{{len(titles)}}}{{@{{}}p{{\linewidth}}}}{{\textbf{{{escaped(name)}}}}} \\*")
        for *texts, place in (run_cells(table, line) for line in lines):
            body.append(" & ".join([*map(escaped, texts), _breakable(place)]) + r" \\")
    if not body:
        return ""
    caption = escaped(f"{table.title}. {RUNS_TITLE}. {runs_caption(table)}")
    heads = " & ".join(rf"\shortstack[l]{{{escaped(title).replace(' ', chr(92) * 2)}}}" for title in titles)
    return "\n".join([
        r"{\scriptsize\setlength{\tabcolsep}{2pt}",
        rf"\begin{{longtable}}{{{'l' * (len(titles) - 1)}p{{0.31\linewidth}}}}", rf"\caption{{{caption}}}\\",
        r"\toprule", heads + r" \\", r"\midrule", r"\endhead", r"\bottomrule", r"\endfoot",
        *body, r"\end{longtable}}", "",
    ])  # fmt: skip


def _breakable(text: str) -> str:
    """Let a text break after the separators of a path."""
    return re.sub(r"(/|,|=|\\_)(?=\S)", r"\1\\allowbreak{}", escaped(text))

"""The report as Markdown: the tables alone, or everything for a hand-in."""

from collections.abc import Sequence

from labs.reporting.answers import INTRODUCTION
from labs.reporting.drawings import Drawing
from labs.reporting.escape import markdown, markdown_answers, markdown_code
from labs.reporting.page import Head
from labs.reporting.search import Found, conclusions, trials
from labs.reporting.tables import Table
from labs.reporting.texts import (
    COMMANDS_TITLE,
    FINDINGS_TITLE,
    PUBLISHED_TITLE,
    RUNS_TITLE,
    cell,
    commands,
    count,
    environment,
    heading,
    headings,
    introductions,
    made_with,
    published,
    published_caption,
    recorded,
    row_size,
    row_title,
    run_cells,
    run_headings,
    runs_caption,
)


def to_markdown(tables: Sequence[Table]) -> str:
    """Write the tables as GitHub Markdown, with aligned columns."""
    return "\n".join(_table(table) for table in tables)


def hand_in(
    tables: Sequence[Table],
    drawings: Sequence[Sequence[Drawing]],
    created: str,
    searches: Sequence[tuple[Found, Sequence[Drawing]]] = (),
    head: Head | None = None,
    answers: str = "",
) -> str:
    """Write the whole report: its head, searches, tables, figures by relative links, answers, runs, the environment."""
    runs, head = recorded(tables), head or Head()
    who = {"Student": head.student, "Course": head.course, "Date": created, **made_with(runs), "Runs": count(runs)}
    parts = [f"# {markdown(head.title or heading(tables))}"]
    parts.append("\n".join(f"- {name}: {markdown(text)}" for name, text in who.items() if text))
    parts += map(markdown, introductions(tables))
    for found, figures in searches:
        parts += [f"## Search: {markdown(found.name)}", "\n".join(f"- {markdown(line)}" for line in conclusions(found))]
        parts += _figures(figures, found.name)
        titles, lines = trials(found)
        parts.append(
            _grid(
                [[markdown(title) for title in titles], *([markdown(text) for text in line] for line in lines)],
                left=(-1,),
            )
        )
    for table, figures in zip(tables, drawings, strict=True):
        parts.append(_table(table).rstrip())
        parts += _figures(figures, table.title)
        lines = [[markdown(text) for text in (row_title(line.row), *run_cells(table, line))] for line in table.lines]
        if lines:
            parts += [f"### {RUNS_TITLE}", *filter(None, [runs_caption(table)])]
            parts.append(_grid([["Row", *map(markdown, run_headings(table))], *lines], left=(0, 2, -1)))
        blocks = [f"{markdown(name)}\n\n{markdown_code(texts)}" for name, texts in commands(table)]
        if blocks:
            parts += [f"### {COMMANDS_TITLE}", *blocks]
    if answers:
        text = markdown_answers(answers.replace(INTRODUCTION, "", 1)).strip()
        parts.append(f"## Questions and answers\n\n{text}")
    facts = environment(runs)
    if facts:
        rows = [[markdown(name), markdown(text)] for name, text in facts.items()]
        parts.append("## Environment\n\n" + _grid([["What", "Version or value"], *rows], left=(0, 1)))
    return "\n\n".join(parts) + "\n"


def _figures(figures: Sequence[Drawing], title: str) -> list[str]:
    parts = []
    for figure in figures:
        plot = figure.plot
        alt = markdown(f"{plot.title} of {title}".replace("[", "(").replace("]", ")"))
        parts += [f"### {markdown(plot.title)}", f"![{alt}]({figure.file})", markdown(plot.caption)]
    return parts


def _table(table: Table) -> str:
    lines = [["Row", "n", *map(markdown, headings(table)), "Notes"]]
    for row in table.rows:
        bold, tie = ("**" if row.mark == "best" else ""), ("≈ " if row.mark == "tie" else "")
        cells = []
        for column in table.columns:
            text = cell(row, column).joined()
            cells.append(f"{bold}{tie}{text}{bold}" if column is table.ranked else text)
        lines.append([f"{bold}{markdown(row_title(row))}{bold}", row_size(row), *cells, markdown("; ".join(row.notes))])
    theirs = [[markdown(text) for text in line] for line in published(table)]
    parts = [f"## {markdown(table.title)}", markdown(table.caption), _grid(lines, left=(0, -1))]
    parts += [f"### {PUBLISHED_TITLE}", markdown(published_caption(table)), _grid(theirs, left=(0,))] if theirs else []
    parts += [f"### {FINDINGS_TITLE}", _list(table.findings)] if table.findings else []
    parts += ["### How to read these numbers", _list(table.footnotes)] if table.footnotes else []
    return "\n\n".join(filter(None, parts)) + "\n"


def _list(notes: Sequence[str]) -> str:
    return "\n".join(f"- {markdown(note)}" for note in notes)


def _grid(lines: Sequence[Sequence[str]], left: Sequence[int]) -> str:
    """Write the first line as the head of a table; the columns that `left` names are aligned left."""
    width = len(lines[0])
    aligned = {place % width for place in left}
    widths = [max(3, *(len(line[place]) for line in lines)) for place in range(width)]
    ruler = ["-" * wide if place in aligned else "-" * (wide - 1) + ":" for place, wide in enumerate(widths)]
    return "\n".join(
        "| " + " | ".join(item.ljust(wide) for item, wide in zip(line, widths, strict=True)) + " |"
        for line in (lines[0], ruler, *lines[1:])
    )

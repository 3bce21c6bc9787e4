"""The tables on a terminal: as wide as it is, and no number broken."""

import textwrap
from collections.abc import Iterator, Sequence

from labs.practicals import Column
from labs.reporting.row import Row
from labs.reporting.tables import Table
from labs.reporting.texts import FINDINGS_TITLE, PUBLISHED_TITLE, cell, headings, published, published_caption, row_size

GAP = "  "
NARROWEST, WIDEST = 16, 44  # letters of the first column


def to_terminal(tables: Sequence[Table], width: int) -> str:
    """Write the tables for a terminal of so many columns; the page has what does not fit."""
    return "\n\n".join("\n".join(_table(table, width)) for table in tables)


def _table(table: Table, width: int) -> Iterator[str]:
    yield from _wrapped(table.title, width)
    yield ""
    notes: list[str] = []
    lines = []
    for row in table.rows:
        marks = []
        for note in row.notes:
            if note not in notes:
                notes.append(note)
            marks.append(f"[{notes.index(note) + 1}]")
        labels = [f"({label})" for label in row.labels if label not in table.title]
        title = " ".join([row.name, *labels, *marks])
        lines.append([title, row_size(row), *(_number(table, row, column) for column in table.columns)])
    order = sorted(range(len(table.columns)), key=lambda place: table.columns[place] is not table.ranked)
    yield from _grid(["Row", "n", *headings(table)], lines, [1, *(place + 2 for place in order)], width)
    if notes:
        yield ""
    for place, note in enumerate(notes, start=1):
        yield from _wrapped(f"[{place}] {note}", width)
    theirs = published(table)
    if theirs:
        yield from ("", *_wrapped(f"{PUBLISHED_TITLE}. {published_caption(table)}", width), "")
        yield from _grid(theirs[0], theirs[1:], list(range(1, len(theirs[0]))), width)
    if table.findings:
        yield from ("", FINDINGS_TITLE)
        for finding in table.findings:
            yield from _wrapped(f"- {finding}", width)


def _number(table: Table, row: Row, column: Column) -> str:
    """Write one cell: the number, and its interval on a line of its own."""
    written = cell(row, column)
    tie = "≈ " if row.mark == "tie" and column is table.ranked else ""
    return "\n".join(filter(None, (tie + " ".join(filter(None, (written.ours, written.spread))), written.interval)))


def _grid(head: Sequence[str], rows: Sequence[Sequence[str]], order: Sequence[int], width: int) -> Iterator[str]:
    """Write the first column and as many others as there is room for, those first that `order` names first.

    Titles and names are broken between words; numbers are not broken.
    """
    needed = [
        max(len(part) for cell in (*(row[place] for row in rows), *head[place].split()) for part in cell.split("\n"))
        for place in range(len(head))
    ]
    first = min(WIDEST, max(NARROWEST, *(len(row[0]) for row in rows)))
    kept: list[int] = []
    for place in order:
        used = sum(needed[other] + len(GAP) for other in (*kept, place))
        if used + min(first, 2 * NARROWEST if width >= 5 * NARROWEST else NARROWEST) > width and kept[1:]:
            continue
        kept.append(place)
    kept.sort()
    first = max(NARROWEST, min(first, width - sum(needed[place] + len(GAP) for place in kept)))
    widths = [first, *(needed[place] for place in kept)]
    for line in (head, *rows):
        cells = [textwrap.wrap(line[0], first, break_long_words=True) or [""]]
        for place, wide in zip(kept, widths[1:], strict=True):
            cells.append([part for text in line[place].split("\n") for part in _broken(text, wide, line is head)])
        height = max(map(len, cells))
        for level in range(height):
            at = [level - (height - len(parts)) if line is head else level for parts in cells]  # titles stand low
            texts = [parts[i] if 0 <= i < len(parts) else "" for parts, i in zip(cells, at, strict=True)]
            padded = [
                texts[0].ljust(first),
                *(text.rjust(wide) for text, wide in zip(texts[1:], widths[1:], strict=True)),
            ]
            yield GAP.join(padded).rstrip()
        if line is head:
            yield GAP.join("-" * wide for wide in widths)
    left_out = [head[place] for place in order if place not in kept]
    if left_out:
        yield from ("", *_wrapped(f"Too narrow for {', '.join(left_out)}; the page has all columns.", width))


def _broken(text: str, width: int, between_words: bool) -> list[str]:
    return textwrap.wrap(text, width, break_long_words=False) or [""] if between_words else [text]


def _wrapped(text: str, width: int) -> list[str]:
    indent = " " * (text.index(" ") + 1) if text.startswith(("- ", "[")) else ""
    return textwrap.wrap(text, max(width, 2 * NARROWEST), subsequent_indent=indent)

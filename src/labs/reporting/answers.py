"""Answers to the hand-outs' questions: `answers.md` beside the page, which belongs to the student.

The file is made once, with every question as a heading. Later only questions that it lacks are added, at its end; what
is in it is never changed. The page shows it: Markdown without raw HTML, and pictures of the grid's own folder.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

from labs import LabsError
from labs.practicals import Question
from labs.reporting.tables import Table
from labs.storage.files import write_text

ANSWERS = "answers.md"
INTRODUCTION = """\
# Answers

Write each answer below its question, in Markdown. Then run `report.py` again: the page shows your answers.
It never changes what is in this file. Pictures work as `![what it shows](curves.png)`.
"""


@dataclass(frozen=True)
class Answer:
    """Hold one heading of the file and what stands below it, both as safe HTML; the text is empty without an answer."""

    heading: Markup
    text: Markup


OWN = "\n## What did you find?\n\n"  # where no hand-out asks anything


def questions_of(tables: Sequence[Table]) -> list[Question]:
    """Return the questions that the practicals of these tables ask, each once."""
    return list(dict.fromkeys(question for table in tables for question in table.sheet.questions))


def keep_answers(file: Path, questions: Sequence[Question]) -> str:
    """Add the questions that the file lacks, making it if there is none; return its text.

    Without any question a new file has a single heading, for conclusions of one's own.

    Raises:
        LabsError: The file is not text in UTF-8.
    """
    try:
        text = file.read_text(encoding="utf-8-sig") if file.is_file() else ""
    except UnicodeDecodeError as error:
        raise LabsError(f"{file} is not UTF-8 text; save it as UTF-8 in your editor and run report.py again") from error
    asked = [tokens[1].content for tokens in _sections(_parser().parse(text))[1:]]
    lacking = [q for q in questions if not any(heading.startswith(f"{q.number}:") for heading in asked)]
    added = "".join(f"\n## {question.number}: {question.text}\n\n" for question in lacking)
    if not file.is_file():
        file.parent.mkdir(parents=True, exist_ok=True)
        write_text(file, text := INTRODUCTION + (added or OWN))
        return text
    if not lacking:
        return text
    added = "\n" * (not text.endswith("\n")) + added
    with file.open("a", encoding="utf-8", newline="") as end:  # what is there stays byte for byte
        end.write(added)
    return text + added


def read_answers(text: str, picture: Callable[[str], str]) -> list[Answer]:
    """Return the sections of the file as HTML.

    Args:
        text: What the file holds.
        picture: Returns the data address of a picture by its name in the text; empty if there is no such picture.
    """
    parser = _parser()
    parser.add_render_rule("image", _image)
    shown = {"picture": picture}
    before, *sections = _sections(parser.parse(text.replace(INTRODUCTION, "", 1)))
    found = [Answer(Markup(""), _html(parser, before, shown))] if before else []
    return found + [Answer(_html(parser, part[1:2], shown), _html(parser, part[3:], shown)) for part in sections]


def _parser() -> MarkdownIt:
    """Return a reader of Markdown that shows HTML as text and refuses addresses that run code."""
    return MarkdownIt("commonmark", {"html": False}).enable("table")


def _sections(tokens: Sequence[Token]) -> list[list[Token]]:
    """Split what was read before every heading of the second level; the first part has none."""
    parts: list[list[Token]] = [[]]
    for token in tokens:
        if token.type == "heading_open" and token.tag == "h2" and token.level == 0:
            parts.append([])
        parts[-1].append(token)
    return parts


def _html(parser: MarkdownIt, tokens: Sequence[Token], shown: dict[str, Any]) -> Markup:
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):  # below the page's own headings
            token.tag = f"h{min(int(token.tag[1]) + 3, 6)}"
    return Markup(parser.renderer.render(tokens, parser.options, shown))  # HTML in the text was escaped


def _image(renderer: Any, tokens: Sequence[Token], index: int, options: Any, shown: dict[str, Any]) -> str:
    """Put a picture into the page; the page needs no other file and asks no server."""
    token = tokens[index]
    name, words = unquote(str(token.attrs["src"])), renderer.renderInlineAsText(token.children or [], options, shown)
    address = shown["picture"](name)
    if not address:
        return f"<em>[there is no picture {escape(name)} in the folder of this report]</em>"
    return f'<img alt="{escape(words)}" src="{address}">'

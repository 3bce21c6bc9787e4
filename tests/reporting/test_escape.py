"""Whatever a run directory holds is text in every format: no picture, link, tag, formula or command of LaTeX."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from fake_runs import write_run
from markdown_it import MarkdownIt

from labs.reporting.csv_files import runs_to_csv, to_csv
from labs.reporting.drawings import draw
from labs.reporting.escape import csv_cell, latex, markdown, markdown_answers, markdown_code, one_line
from labs.reporting.find import find_runs
from labs.reporting.latex import to_latex
from labs.reporting.markdown import hand_in
from labs.reporting.page import Head, render_page
from labs.reporting.tables import build_tables

HARMFUL = [
    "![x](http://evil.example/x.png)", "[x](javascript:alert)", "![x][y]", "[y]: http://evil.example/y.png", "![y]",
    "<img src=http://evil.example/x.png onerror=alert(1)>", "<script>alert(1)</script>", "`code`", "```\n<b>x</b>\n```",
    "a | b", "*a* _b_ __c__ ~~d~~", "&lt;img src=x&gt;", "<http://evil.example>", "x\\](http://evil.example)",
    "[1, 2](http://evil.example)", '=HYPERLINK("http://evil.example")', "@SUM(A1)", "+1+cmd", "-1-cmd",
    "\t=1+1", "\\input{/etc/passwd}", "^^5cinput{x}", "$x$ % & # ~ {", "$\\frac{$", "\x1b[31mred\x00", "\u202egnp.exe",
]  # fmt: skip
EVERYTHING = " ".join(HARMFUL)


def tags(text: str) -> set[str]:
    """Return what a reader of GitHub's Markdown makes of a text, beyond paragraphs, lists and tables."""
    found = set()
    for token in MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).parse(text):
        found |= {token.type, *(child.type for child in token.children or [])}
    return found & {
        "image",
        "link_open",
        "html_inline",
        "html_block",
        "code_inline",
        "em_open",
        "strong_open",
        "s_open",
    }


@pytest.mark.parametrize("text", [*HARMFUL, EVERYTHING, f"{EVERYTHING} " * 3])
def test_markdown_shows_a_text_and_does_nothing_else(text: str) -> None:
    definition = "[y]: http://evil.example/y.png\n\n"  # of somebody's answers, in the same file
    assert tags(f"{definition}a {markdown(text)}") <= {"link_open"}  # never a picture, which would be fetched
    for block in (f"a {markdown(text)}", f"- {markdown(text)}", f"| a |\n| --- |\n| {markdown(text)} |"):
        assert not tags(block), block
    shown = MarkdownIt("commonmark").parse(f"a {markdown(text)}")[1].children or []
    assert " ".join("".join(child.content for child in shown).split()) == f"a {' '.join(one_line(text).split())}"


def test_a_block_of_code_cannot_be_left() -> None:
    (token,) = MarkdownIt("commonmark").parse(markdown_code(["python train.py a=```", "````", "~~~"]))
    assert (token.type, token.content) == ("fence", "python train.py a=```\n````\n~~~\n")


@pytest.mark.parametrize(
    "text",
    ["![x](http://evil.example/x.png)", "![x]\n\n[x]: //evil.example/x.png", "<img src=x>", "\\\\![x](http://a/b)"],
)
def test_answers_that_came_with_the_directory_fetch_nothing(text: str) -> None:
    assert not tags(markdown_answers(f"## 1: Why?\n\n{text}\n")) & {"image", "html_inline", "html_block"}


def test_answers_of_the_student_stay_as_they_are() -> None:
    text = "## 1: Why?\n\n![curves](curves.png) if `a < b` and 1 < 2, see <https://pytorch.org>.\n"
    assert markdown_answers(text) == text


@pytest.mark.parametrize("text", HARMFUL)
def test_latex_runs_nothing(text: str) -> None:
    written = latex(text)
    assert not re.search(r"\\(?!text|[&%$#_{}])", written)
    assert "^^" not in written
    assert "\x00" not in written


@pytest.mark.parametrize(
    ("cell", "written"),
    [
        ("=1+1", "'=1+1"), ("@SUM(A1)", "'@SUM(A1)"), ("+cmd|' /C calc'!A0", "'+cmd|' /C calc'!A0"), ("\t=1", "'\t=1"),
        ("-a", "'-a"), ("-0.5", "-0.5"), ("+1e-3", "+1e-3"), (-0.5, -0.5), (None, None), ("cub_full", "cub_full"),
        ("", ""), ("a=b", "a=b"), ("-inf", "-inf"),
    ],
)  # fmt: skip
def test_a_spreadsheet_computes_nothing_and_numbers_stay(cell: Any, written: Any) -> None:
    assert csv_cell(cell) == written


def test_no_text_of_a_run_directory_does_anything_in_any_format(tmp_path: Path) -> None:
    """Every text of every recorded file at once."""
    bad = EVERYTHING.replace("\x00", "")
    changes = {
        "labels": ["embedded data", *HARMFUL], "choices": {"net": bad, "freeze": "=1+1"}, "settings": {bad: 1},
        "selected_by": bad, "practical": "unknown", "command": f"python train.py '{bad}'",
        "metrics": {"test/acc": 0.5, "test/=1+1": 0.5, bad: 0.5}, "counts": {"test": 300, bad: 1},
    }  # fmt: skip
    for name, experiment in {"a": "=1+1", "b": bad}.items():
        write_run(tmp_path / "grid ![x](y) =1" / name, experiment, **changes)
        (tmp_path / "grid ![x](y) =1" / name / "environment.json").write_text(
            json.dumps({bad: bad, "": bad, "=x": bad})
        )
    write_run(tmp_path / "grid ![x](y) =1" / "c", "x", status="failed", error=bad, **changes)
    tables = build_tables(find_runs([tmp_path]))
    head = Head(title=bad, student=bad, course="=1+1")

    text = hand_in(tables, draw(tables), "today", head=head)
    assert tags(text) <= {"image", "strong_open", "em_open"}  # figures of ours; the best row
    images = [
        child.attrs["src"]
        for token in MarkdownIt("commonmark").enable("table").parse(text)
        for child in token.children or []
        if child.type == "image"
    ]
    assert all(re.fullmatch(r"[\w-]+\.png", str(source)) for source in images)
    assert not re.search(r"<(script|img)\b", render_page(tables, [[] for _ in tables], bad, head=head))
    assert not re.search(r"\\input|\^\^", to_latex(tables))
    for written in (to_csv(tables), runs_to_csv(tables)):
        cells = [cell for line in csv.reader(io.StringIO(written)) for cell in line]
        assert not [cell for cell in cells if re.match(r"\s*[=+@]|\s*-(?![\d.])", cell)]

"""One function per format that makes a text of a run directory plain text there.

Somebody else may have written it: names, errors and commands can hold anything. HTML is escaped by the template.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from markdown_it import MarkdownIt

from labs.runs.directory import printable

LATEX = {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "|": r"\textbar{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "±": r"$\pm$", "≈": r"$\approx$", "\N{EN DASH}": "--",
    **{letter: "\\" + letter for letter in "&%$#_{}"},
}  # fmt: skip
# What Markdown would read: emphasis, code, cells; a bracket that makes a link or a picture; an entity; HTML.
_MARKDOWN = re.compile(r"[\\|*`]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|~(?=~)|!(?=\[)|\](?=[(\[:])")
_FORMULA = ("=", "+", "-", "@")


def markdown(text: str) -> str:
    r"""Return a text as one line of Markdown that shows it.

    Examples:
        >>> markdown("![x](http://a/b.png) <img> cub_full [35.1, 41.0]")
        '\\![x\\](http://a/b.png) &lt;img> cub_full [35.1, 41.0]'
    """
    text = _MARKDOWN.sub(r"\\\g<0>", one_line(text))
    return re.sub(r"&(?=#?\w+;)", "&amp;", text).replace("<", "&lt;")


def markdown_code(lines: Sequence[str]) -> str:
    """Return commands as a block of code that no line can leave.

    Examples:
        >>> print(markdown_code(["python train.py 'tags=```'"]))
        ````sh
        python train.py 'tags=```'
        ````
    """
    longest = max(map(len, re.findall("`+", "\n".join(lines))), default=0)
    fence = "`" * max(3, longest + 1)
    return "\n".join([f"{fence}sh", *lines, fence])


def markdown_answers(text: str) -> str:
    """Return answers as they are, unless they hold HTML or a picture of elsewhere: then those become text.

    The file may come with the directory; whoever opens a report must not ask somebody's server for a picture.

    Examples:
        >>> markdown_answers("![curves](curves.png) `<b>`"), markdown_answers("![x](http://a/b.png)")
        ('![curves](curves.png) `<b>`', '!&#91;x](http://a/b.png)')
    """
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    every = [*tokens, *(child for token in tokens for child in token.children or [])]
    pictures = [str(token.attrs["src"]) for token in every if token.type == "image"]
    is_html = any(token.type in ("html_block", "html_inline") for token in every)
    if not is_html and not any(re.match(r"[a-z][a-z0-9+.-]*:|/", source, re.IGNORECASE) for source in pictures):
        return text
    return text.replace("<", "&lt;").replace("![", "!&#91;")


def latex(text: str) -> str:
    """Return a text as one line of LaTeX that shows it."""
    return "".join(LATEX.get(letter, letter) for letter in one_line(text))


def csv_cells(line: Mapping[str, Any]) -> dict[str, Any]:
    r"""Return the cells of a line so that no spreadsheet computes one; numbers stay as they are.

    Examples:
        >>> csv_cells({"row": '=HYPERLINK("http://a")', "value": -0.5, "low": "-0.5"})
        {'row': '\'=HYPERLINK("http://a")', 'value': -0.5, 'low': '-0.5'}
    """
    return {name: csv_cell(value) for name, value in line.items()}


def csv_cell(value: Any) -> Any:
    """Return a cell with an apostrophe before what a spreadsheet would compute."""
    if not isinstance(value, str) or not value.lstrip().startswith(_FORMULA) or _is_number(value):
        return value
    return f"'{value}"


def one_line(text: str) -> str:
    """Return a text on one line, without letters that cannot be printed."""
    return printable(" ".join(text.split()))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True

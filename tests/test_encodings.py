"""Files are UTF-8 whatever the machine's own encoding, and what is printed fits a terminal that knows few letters."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from project import ROOT
from reporting.fake_runs import write_run

OURS = [*(ROOT / "src").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py"), *ROOT.glob("*.py")]
OTHER = ("Image", "tarfile", "zipfile", "gzip", "os", "urllib", "files", "evidence")  # no text, or functions of ours
PLAIN = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def without_encoding(tree: ast.AST) -> Iterator[str]:
    """Yield the calls that open, read or write text in the encoding of whoever runs them."""
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        method = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        names = {keyword.arg for keyword in call.keywords}
        words = [
            node.value for node in ast.walk(call) if isinstance(node, ast.Constant) and isinstance(node.value, str)
        ]
        is_text = method in ("read_text", "write_text") and isinstance(call.func, ast.Attribute)
        is_text |= method == "open" and not any("b" in word for word in words if set(word) <= set("rwxab+t"))
        is_text |= method in ("run", "Popen", "check_output") and bool({"text", "universal_newlines"} & names)
        receiver = ast.unparse(call.func).split(".", maxsplit=1)[0]
        if is_text and "encoding" not in names and receiver not in OTHER:
            yield f"line {call.lineno}: {ast.unparse(call)[:60]}"


def test_the_check_finds_what_it_should() -> None:
    wrong = ["p.read_text()", "p.write_text('a')", "open(f)", "p.open('w')", "subprocess.run(c, text=True)"]
    right = ["p.read_text(encoding='utf-8')", "open(f, 'rb')", "p.open('ab')", "Image.open(f)", "write_text(p, 'a')"]
    assert [text for text in [*wrong, *right] if list(without_encoding(ast.parse(text)))] == wrong


def test_every_text_is_read_and_written_as_utf_8() -> None:
    found = {path: list(without_encoding(ast.parse(path.read_text(encoding="utf-8")))) for path in OURS}
    assert {path.relative_to(ROOT).as_posix(): calls for path, calls in found.items() if calls} == {}


@pytest.mark.parametrize("surroundings", [PLAIN, {"PYTHONIOENCODING": "cp1252"}], ids=["C", "cp1252"])
@pytest.mark.parametrize(
    "command",
    [("train.py", "--help"), ("predict.py", "--help"), ("report.py", "run", "--output", "report")],
    ids=lambda command: command[0],
)
def test_what_is_printed_fits_any_terminal(
    command: tuple[str, ...], surroundings: dict[str, str], tmp_path: Path
) -> None:
    write_run(tmp_path / "run", labels=["embedded data", "≈ Łódź"])
    done = subprocess.run(
        [sys.executable, str(ROOT / command[0]), *command[1:]],
        cwd=tmp_path, env={**os.environ, **surroundings}, capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    if command[0] == "report.py":
        assert b"? ??d?" in done.stdout or b"? ?\xf3d?" in done.stdout
        assert "≈ Łódź" in (tmp_path / "report" / "table.md").read_text(encoding="utf-8")


def test_what_is_printed_stays_what_it_is() -> None:
    """Rich would print :cat: in the name of a file, a class or a folder as a picture of a cat."""
    for path in OURS:
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "Console":
                assert "emoji" in {word.arg for word in call.keywords}, f"{path.name}: type Console(emoji=False)"

"""Files that appear whole or not at all."""

from __future__ import annotations

import errno
import json
import math
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from labs.storage.files import WRITTEN, from_json, read_json, read_text, replacing, to_json, write_text


def test_a_file_is_replaced_in_one_move_and_noted(tmp_path: Path) -> None:
    file = tmp_path / "log.tsv"
    file.write_text("before")
    with replacing(file) as staged:
        staged.write_text("after")
        assert file.read_text() == "before"
        assert staged.parent == tmp_path, "on the same disk, so that the move is one step"
    assert file.read_text() == "after"
    assert [path.name for path in tmp_path.iterdir()] == ["log.tsv"]
    assert file.absolute() in WRITTEN


def test_an_error_leaves_the_file_before_and_nothing_else(tmp_path: Path) -> None:
    write_text(tmp_path / "a", "whole")
    WRITTEN.clear()
    with pytest.raises(OSError, match="No space"):
        _fill_the_disk(tmp_path / "a")
    assert (tmp_path / "a").read_text() == "whole"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert not WRITTEN


def _fill_the_disk(file: Path) -> None:
    with replacing(file) as staged:
        staged.write_text("ha")
        raise OSError(errno.ENOSPC, "No space left on device")


def test_the_content_is_on_the_disk_before_it_takes_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda _: order.append("flushed"))
    move = Path.replace
    monkeypatch.setattr(Path, "replace", lambda one, other: (order.append("moved"), move(one, other))[1])
    write_text(tmp_path / "a", "text")
    assert order == ["flushed", "moved"]


def test_a_killed_process_leaves_the_file_before(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("before")
    program = (
        "import os, signal, sys; from pathlib import Path; from labs.storage.files import replacing\n"
        "with replacing(Path(sys.argv[1])) as staged:\n"
        "    staged.write_text('ha')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path / "a")], check=False)
    assert done.returncode == -signal.SIGKILL
    assert (tmp_path / "a").read_text() == "before"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[" * 100_000, "nested too deeply"),
        (f'{{"a": 1{"0" * 400}}}', "a number with 401 digits"),
        (r'{"a": "\ud800"}', "surrogates not allowed"),
        ("\0", "Expecting value"),
        ("", "Expecting value"),
    ],
    ids=["deep", "huge", "no letter", "NUL", "empty"],
)
def test_json_that_nobody_can_use_is_refused(text: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=reason):
        read_json(tmp_path / "a.json")


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.json")
    for read in (read_text, read_json):
        with pytest.raises(OSError, match="it is not a file"):
            read(tmp_path / "a.json")


def test_a_name_in_letters_that_the_locale_does_not_know_is_kept(tmp_path: Path) -> None:
    """Python holds the bytes of such a name; the file gets them back."""
    write_text(tmp_path / "a", "bücher.png".encode().decode("ascii", "surrogateescape"))
    assert (tmp_path / "a").read_text(encoding="utf-8") == "bücher.png"


def test_json_has_no_bare_words_and_gives_the_numbers_back() -> None:
    content = {"loss": math.nan, "of": [math.inf, (-math.inf, 1.5)], "words": ["nan", None, True], "count": 3}
    strict = json.loads(to_json(content), parse_constant=lambda word: pytest.fail(word))
    assert strict["of"] == ["Infinity", ["-Infinity", 1.5]]
    read = from_json(to_json(content))
    assert math.isnan(read.pop("loss"))
    assert read == {"of": [math.inf, [-math.inf, 1.5]], "words": ["nan", None, True], "count": 3}


def test_a_link_in_place_of_the_temporary_file_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("precious")
    (tmp_path / f".a.{os.getpid()}.part").symlink_to(tmp_path / "victim")
    write_text(tmp_path / "a", "text")
    assert (tmp_path / "a").read_text() == "text"
    assert (tmp_path / "victim").read_text() == "precious"
    assert not (tmp_path / "a").is_symlink()

"""Answers to the questions: the file is the student's, and what is in it cannot hurt the page."""

from pathlib import Path

import pytest
from fake_runs import write_run
from PIL import Image
from test_formats import Page

from labs import LabsError
from labs.practicals import sheets
from labs.reporting.answers import ANSWERS
from labs.reporting.page import Head
from labs.reporting.write import write_report


def reported(tmp_path: Path, head: Head | None = None) -> tuple[Path, str]:
    """Write the report of one run; return the file for answers and the page."""
    if not (tmp_path / "grid").exists():
        write_run(tmp_path / "grid" / "a")
    page, _ = write_report([tmp_path / "grid"], tmp_path / "grid" / "report", head=head)
    return page.with_name(ANSWERS), page.read_text(encoding="utf-8")


def test_every_question_gets_a_place(tmp_path: Path) -> None:
    file, page = reported(tmp_path)

    questions = sheets()["cub"].questions
    assert len(questions) == 5
    for question in questions:
        assert f"## {question.number}: {question.text}\n" in file.read_text()
        assert f"<h3>{question.number}: {question.text}</h3>" in page
    assert page.count("No answer yet.") == 5


def test_answers_are_kept_and_shown(tmp_path: Path) -> None:
    file, _ = reported(tmp_path)
    answer = "It learns *less*.\n\n| a | b |\n|---|---|\n| 1 | 2 |\n"
    first, rest = file.read_text().split("frozen?\n", 1)  # the first question with this word is 1b
    file.write_text(f"{first}frozen?\n\n{answer}{rest}")
    before = file.read_bytes()

    _, page = reported(tmp_path)

    assert file.read_bytes() == before
    assert "It learns <em>less</em>." in page
    assert "<td>2</td>" in page
    assert page.count("No answer yet.") == 4
    assert "It learns *less*." in (file.parent / "table.md").read_text()


def test_questions_that_are_new_are_added_at_the_end(tmp_path: Path) -> None:
    file, _ = reported(tmp_path)
    own = "My own words.\n\n## 000, 1c: reworded\n\nlayer1 hardly matters\n\n## Conclusion\n\n```\n## no heading\n```"
    file.write_bytes(own.encode())

    _, page = reported(tmp_path)

    assert file.read_bytes().startswith(own.encode() + b"\n\n## 000, 1a: ")
    assert file.read_text().count("000, 1c:") == 1
    assert "My own words." in page
    assert "<h3>Conclusion</h3>" in page
    assert page.count("No answer yet.") == 4


def test_an_answer_cannot_hurt_the_page(tmp_path: Path) -> None:
    """No HTML, no script, no address that the page would ask for, no picture of elsewhere."""
    file, _ = reported(tmp_path)
    for place in (file.parent / "mine.png", tmp_path / "secret.png"):
        Image.new("RGB", (4, 4), "red").save(place)
    bad = (
        "<script>alert(1)</script> <b onclick=x>b</b> [go](javascript:alert(1)) ![far](https://example.org/x.png) "
        '![own](mine.png) ![figure](curves.png) ![secret](../../secret.png) {{ 7 * 7 }} !["><i>](nowhere.png)'
    )
    with file.open("a", encoding="utf-8") as end:
        end.write(bad)

    _, text = reported(tmp_path)

    page = Page(text)
    assert not {"script", "b", "i"} & set(page.tags[page.tags.index("section") :])
    assert "<script>alert(1)</script>" in page.text
    assert "{{ 7 * 7 }}" in page.text
    assert all(source.startswith("data:image/png;base64,") for source in page.sources)
    for name in ("https://example.org/x.png", "../../secret.png", "nowhere.png"):
        assert f"[there is no picture {name} in the folder of this report]" in page.text


def test_a_file_in_another_encoding_is_told(tmp_path: Path) -> None:
    file, _ = reported(tmp_path)
    file.write_bytes("Réponse".encode("latin-1"))

    with pytest.raises(LabsError, match=r"answers\.md is not UTF-8 text; save it as UTF-8"):
        reported(tmp_path)
    assert file.read_bytes() == "Réponse".encode("latin-1")


def test_the_page_says_whose_it_is(tmp_path: Path) -> None:
    head = Head(title="Birds <1>", student="Ada & Bo <b>", course="Deep Learning, fall 2026")
    file, text = reported(tmp_path, head)

    page = Page(text)
    for said in ("Birds <1>", "Ada & Bo <b>", "Deep Learning, fall 2026", "GLO-7030", "winter 2021", "CPU"):
        assert said in page.text
        assert said.replace("<", "&lt;") in (file.parent / "table.md").read_text(encoding="utf-8")

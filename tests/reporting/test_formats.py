import io
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fake_runs import write_run

from labs import LabsError
from labs.reporting.csv_files import to_csv
from labs.reporting.drawings import draw
from labs.reporting.find import find_runs
from labs.reporting.latex import to_latex
from labs.reporting.markdown import to_markdown
from labs.reporting.page import render_page
from labs.reporting.tables import Table, build_tables
from labs.reporting.terminal import to_terminal
from labs.reporting.write import write_report

NASTY = "<script>alert(1)</script> | 100% of_this & that $x$ {y} #1 ~ ^ \\ *bold*"


@pytest.fixture
def tables(tmp_path: Path) -> list[Table]:
    """Make a best row over three seeds, a worse one, one that failed with an ugly message, five not run."""
    for seed, (high, low) in enumerate([(0.70, 0.2), (0.71, 0.22), (0.69, 0.19)]):
        write_run(tmp_path / f"a{seed}", "cub_full", seed=seed, test_acc=high)
        write_run(tmp_path / f"b{seed}", "cub_scratch", seed=seed, test_acc=low)
    write_run(tmp_path / "c", "cub_conv_frozen", status="failed", error=NASTY)
    labels = ["embedded data", "selected on test"]
    write_run(tmp_path / "d", "cub_stem_frozen", choices={"freeze": "stem"}, labels=labels)
    return build_tables(find_runs([tmp_path]))


class Page(HTMLParser):
    """Collect tags, addresses and text of a page; fails on tags that are not closed in order."""

    VOID = ("meta", "br", "img")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.sources: list[str] = []
        self.text = ""
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.sources += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


PUBLISHED = ("14.366", "83.25", "38.066")  # of Table 4; our own numbers are others


@pytest.mark.parametrize(
    "render", [to_markdown, to_latex, lambda tables: render_page(tables, [[]], "today"), lambda t: to_terminal(t, 100)]
)
def test_published_numbers_stand_in_a_block_apart(tables: list[Table], render: Callable[[list[Table]], str]) -> None:
    """Of the real data, and ours are of embedded data: they share no line."""
    text = render(tables)

    ours, title, theirs = text.partition("Published numbers, on the real data")
    assert title
    assert not any(number in ours for number in PUBLISHED)
    assert all(number in theirs for number in PUBLISHED)
    words = " ".join(theirs.split())
    assert "Table 4" in words
    assert "Measured by others on the real data, not on the embedded data of these runs." in words
    assert not any("embedded data" in line for line in theirs.splitlines() if "14.366" in line)


def test_markdown_has_the_numbers(tables: list[Table]) -> None:
    text, _, _ = to_markdown(tables).partition("### Published")

    (line,) = [line for line in text.splitlines() if "[cub_full]" in line]
    assert "**70.00 ± 1.00 [67.52, 72.48]**" in line
    assert "embedded data" in line
    cells = [re.split(r"(?<!\\)\|", line) for line in text.splitlines() if line.startswith("|")]
    assert {len(row) for row in cells} == {10}  # eight columns and the two ends
    assert all(re.fullmatch(r" -+:? ", cell) for cell in cells[1][1:-1])
    assert "<script>" not in text


def test_latex_is_balanced_and_escaped(tables: list[Table]) -> None:
    text = to_latex(tables)

    assert text.count(r"\begin{table}") == 2
    body = text.split(r"\midrule")[1].split(r"\bottomrule")[0].strip().splitlines()
    runs = text.split(r"\endfoot")[1].split(r"\end{longtable}")[0].strip().splitlines()
    assert len(runs) == 4 + 8  # a line a row, a line a run
    assert {len(re.findall(r"(?<!\\)&", line)) for line in runs} == {0, 6}
    assert {len(re.findall(r"(?<!\\)&", line)) for line in body} == {6}
    assert all(line.endswith(r"\\") for line in body)
    plain = re.sub(r"\\[\\{}]", "", text)
    assert plain.count("{") == plain.count("}")
    assert len(re.findall(r"\\begin\{", plain)) == len(re.findall(r"\\end\{", plain)) == 6
    assert not re.search(r"(?<!\\)[%#_]", text.split("\n", 1)[1].replace("{%\n", "{\n"))
    assert r"\multicolumn{3}{c}{TRAINING}" in text
    assert r"70.00 $\pm$ 1.00" in text
    assert text.isascii() or set(re.findall(r"[^\x00-\x7f]", text)) == {"é"}


def test_csv_holds_full_precision_and_the_units_of_the_record(tables: list[Table]) -> None:
    table = pd.read_csv(io.StringIO(to_csv(tables)))

    row = table[table["experiment"] == "cub_full"].iloc[0]
    values = pd.Series([0.70, 0.71, 0.69])
    assert (row["test/acc"], row["test/acc std"]) == pytest.approx((values.mean(), values.std()))
    assert (row["n"], row["seeds"], row["mark"], row["labels"]) == (3, "0 1 2", "best", "embedded data")
    assert row["test/acc published"] == 0.14366
    assert (table["status"] == "not run").sum() == 5
    assert table.loc[table["status"] == "failed", "test/acc"].isna().all()


def test_nothing_in_a_run_directory_is_markup_or_a_template(tmp_path: Path) -> None:
    said = "</td><script>1</script> & \"quoted\" 'single' {{ 7 * 7 }} {% raw %} {# gone #}"
    folder = tmp_path / "we<b>ird & 'named'"
    write_run(folder / "a", picture=True, labels=[said, "embedded data"])
    write_run(folder / "b", "cub_conv_frozen", status="failed", error=said)
    write_run(folder / "c", "<i>" + said.replace("/", ""))
    tables = build_tables(find_runs([folder]))
    page = Page(render_page(tables, draw(tables), said))

    assert not {"script", "i"} & set(page.tags)
    assert page.text.count(said) >= 4  # the date, the label beside the row and over its runs; the error
    assert "<i></td" not in page.text
    assert "<i><td><script>1<script>" in page.text
    assert "we<b>ird & 'named'/a" in page.text


def test_the_page_stands_alone_and_is_escaped(tables: list[Table]) -> None:
    text = render_page(tables, draw(tables), "today")

    page = Page(text)
    assert "script" not in page.tags
    assert not {"link", "iframe", "object"} & set(page.tags)
    assert all(source.startswith("data:image/png;base64,") for source in page.sources)
    assert not re.search(r"url\(|@import", text)
    assert "<script>alert(1)</script> | 100% of_this" in page.text  # as text
    assert "python train.py experiment=cub_full normalization=dataset seed=2" in page.text
    assert "torch" in page.text


@pytest.mark.parametrize("render", [to_markdown, to_latex, to_csv, lambda tables: render_page(tables, [[]], "today")])
def test_every_format_labels_every_embedded_row(tables: list[Table], render) -> None:
    text = render(tables)

    names = ("cub_full", "cub_scratch", "cub_conv_frozen", "cub_stem_frozen")
    lines = [
        line for line in text.splitlines() if line.strip().startswith(("|", "<tr", "cub,")) or line.endswith(r"\\")
    ]
    for name in names:
        found = [line for line in lines if name.replace("_", r"\_") in line or name in line]
        assert found
        assert all("embedded data" in line for line in found)
    assert sum("selected on test" in line for line in lines) in (1, 2)  # the page names the row over its runs too


def test_write_report_leaves_every_file(tmp_path: Path) -> None:
    write_run(tmp_path / "runs" / "a", picture=True)
    write_run(tmp_path / "runs" / "b", practical="digits", experiment="digits_layer1")
    (tmp_path / "runs" / "b" / "result.png").write_bytes(b"no picture")

    page, tables = write_report([tmp_path / "runs"], tmp_path / "out")
    markdown = to_markdown(tables)

    names = [
        "answers.md",
        "curves.png",
        "curves_digits_embedded.png",
        "report.html",
        "runs.csv",
        "table.csv",
        "table.md",
        "table.tex",
    ]
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == names
    assert "# Each run" not in markdown  # the terminal stays short
    hand_in = (tmp_path / "out" / "table.md").read_text(encoding="utf-8")
    assert all(table in hand_in for table in markdown.split("\n\n"))
    assert re.findall(r"!\[.*\]\((.+)\)", hand_in) == names[1:3]
    assert "\npython train.py experiment=cub_layer1_frozen normalization=dataset seed=0 data=embedded\n" in hand_in
    assert "| torch " in hand_in
    text = page.read_text(encoding="utf-8")
    assert text.count("data:image/png;base64,") == 3  # two figures and one picture
    assert "result.png: it cannot be read" in text


@pytest.mark.parametrize("name", ["table.md", "report.html", "curves.png"])
def test_a_report_replaces_reports_alone(name: str, tmp_path: Path) -> None:
    write_run(tmp_path / "a")
    (tmp_path / "handin").mkdir()
    (tmp_path / "handin" / name).write_text("my own words")
    with pytest.raises(LabsError, match=rf"files that no report wrote, .*{name}.*--output"):
        write_report([tmp_path / "a"], tmp_path / "handin")
    assert [file.read_text() for file in (tmp_path / "handin").iterdir()] == ["my own words"]
    (tmp_path / "handin" / name).rename(tmp_path / "handin" / "notes.md")
    for _ in range(2):
        write_report([tmp_path / "a"], tmp_path / "handin")


def test_a_report_of_nothing_but_failures_is_written(tmp_path: Path) -> None:
    write_run(tmp_path / "a", status="failed", error="boom")

    page, tables = write_report([tmp_path], tmp_path / "out")
    markdown = to_markdown(tables)

    assert "seed 0 failed: boom" in markdown
    assert "boom" in page.read_text(encoding="utf-8")
    assert not (tmp_path / "out" / "curves.png").exists()


def test_numbers_of_every_size_are_written_readably(tmp_path: Path) -> None:
    metrics = {"a": 0.0018, "b": 6.1283, "c": 1234567.0, "d": float("nan"), "e": -0.5}
    write_run(tmp_path / "a", practical="other", choices={"module": "other"}, metrics=metrics)

    text = to_markdown(build_tables(find_runs([tmp_path])))

    (line,) = [line for line in text.splitlines() if line.startswith("| cub_layer1_frozen")]
    assert [cell.strip() for cell in line.split("|")[3:-2]] == [
        "0.0018",
        "6.128",
        "1.23e+06",
        "NaN",
        "-0.500",
    ]
    assert np.isnan(pd.read_csv(io.StringIO(to_csv(build_tables(find_runs([tmp_path])))))["d"]).all()


@pytest.mark.parametrize("width", [60, 80, 200])
def test_a_terminal_gets_lines_that_fit_and_whole_numbers(tables: list[Table], width: int) -> None:
    text = to_terminal(tables, width)

    assert max(map(len, text.splitlines())) <= width
    (line,) = [line for line in text.splitlines() if "70.00 ± 1.00" in line]
    assert line.startswith("Leaving")
    assert "[67.52, 72.48]" in text
    assert ("Too narrow for" in text) == (width < 100)
    titles = " ".join(text.split())
    assert all(column.title.split()[0] in titles for column in tables[0].columns)  # shown, or named as left out


def test_numbers_are_whole_at_any_width(tables: list[Table]) -> None:
    for width in range(30, 200, 7):
        text = to_terminal(tables, width)
        assert "70.00 ± 1.00" in text
        assert "[67.52, 72.48]" in text

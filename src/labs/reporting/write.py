"""The whole report: read the runs, build the tables, write every format."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from labs import LabsError
from labs.reporting.answers import ANSWERS, keep_answers, questions_of, read_answers
from labs.reporting.csv_files import runs_to_csv, to_csv
from labs.reporting.drawings import draw
from labs.reporting.find import find_runs
from labs.reporting.latex import to_latex
from labs.reporting.markdown import hand_in
from labs.reporting.page import Head, picture_png, render_page
from labs.reporting.recorded_run import Run
from labs.reporting.search import Found, draw_searches, read_searches
from labs.reporting.tables import Table, build_tables
from labs.runs.directory import shown_path
from labs.storage.files import replacing, write_text

PAGE = "report.html"
MADE = "from the run directories alone"  # stands in every page of ours


def write_report(
    paths: Sequence[Path], output: Path, rank_by: str | None = None, head: Head | None = None
) -> tuple[Path, list[Table]]:
    """Write the report of all runs under the paths; return the path of its page and its tables.

    `output` receives report.html, table.md, table.tex, table.csv, runs.csv and the figures, such as curves.png. If the
    hand-outs have questions, it also receives answers.md, which later reports read and only add questions to.

    Raises:
        LabsError: A path holds no run, `rank_by` is unknown, or the output cannot be written or holds files of others.
    """
    found = read_searches(paths)
    tables = build_tables(_without_trials(find_runs(paths), found), rank_by)
    drawings = draw(tables)
    searches = draw_searches(found)
    created = datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z")
    figures = [drawing for figures in (*(figures for _, figures in searches), *drawings) for drawing in figures]
    written = [PAGE, "table.md", "table.tex", "table.csv", "runs.csv", *(drawing.file for drawing in figures)]
    _refuse_files_of_others(output, written)
    try:
        answers = keep_answers(output / ANSWERS, questions_of(tables))
    except OSError as error:
        raise _cannot_write(output, error) from error
    pictures = {drawing.file: drawing.png for drawing in figures}
    head = replace(
        head or Head(),
        answers=read_answers(answers, lambda name: _address(output, name, pictures)),
        answers_file=shown_path(output / ANSWERS),
    )
    texts = {
        PAGE: render_page(tables, drawings, created, searches, head),  # first: by it the others are a report's
        "table.md": hand_in(tables, drawings, created, searches, head, answers),
        "table.tex": to_latex(tables),
        "table.csv": to_csv(tables),
        "runs.csv": runs_to_csv(tables),
    }
    try:
        output.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            write_text(output / name, text)
        for drawing in figures:
            with replacing(output / drawing.file) as staged:
                staged.write_bytes(drawing.png)
    except OSError as error:
        raise _cannot_write(output, error) from error
    return output / PAGE, tables


def _cannot_write(output: Path, error: OSError) -> LabsError:
    return LabsError(f"cannot write the report to {output}: {error.strerror}; choose another directory with --output")


def _address(output: Path, name: str, drawn: Mapping[str, bytes]) -> str:
    """Return a picture that an answer names as a data address: a figure of this report or a file near it."""
    path = (output / name).resolve()
    near = "\0" not in name and path.is_relative_to(output.resolve().parent) and path.is_file()
    png = drawn.get(name) or (picture_png(path) if near else b"")
    return f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}" if png else ""


def _without_trials(runs: list[Run], searches: Sequence[Found]) -> list[Run]:
    """Leave out the trials of searches, which have a table of their own, unless there is nothing else."""
    folders = {found.folder for found in searches}
    trials = [
        run for run in runs if "\nvalidate_only: true" in run.recipe and run.directory.resolve().parent in folders
    ]
    return [run for run in runs if run not in trials] or runs


def _refuse_files_of_others(output: Path, names: Sequence[str]) -> None:
    """Refuse to replace files of these names, unless the page beside them says that they are an earlier report's."""
    found = [name for name in names if (output / name).exists()]
    page = output / PAGE
    is_ours = page.is_file() and MADE.encode() in page.read_bytes()
    if found and not is_ours:
        raise LabsError(
            f"{output} holds files that no report wrote, and this one would replace them ({', '.join(found[:3])}); "
            "choose another directory with --output"
        )

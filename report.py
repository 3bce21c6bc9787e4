"""Turn run directories into a table and a page to hand in: `python report.py outputs/<grid>`."""

import argparse
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

EXAMPLES = """\
examples:
  python report.py outputs/<grid>                            one grid
  python report.py outputs/<experiment> outputs/<other>      any mix of grids and single runs
  python report.py outputs --output handin                   everything, written to handin/
  python report.py outputs/<grid> --rank-by test/loss        another column decides
  python report.py outputs/<grid> --student "Ada Lovelace" --course "Deep Learning, fall 2026"

Write your answers in answers.md beside the page, and run the same command again.

The report reads run directories and nothing else: nothing is trained again.
"""


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="report.py",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "paths", metavar="PATH", nargs="+", type=Path, help="run directories, or directories that hold them"
    )
    parser.add_argument(
        "--output", metavar="DIR", type=Path, help="where to write (default: report/ in the first PATH)"
    )
    parser.add_argument(
        "--rank-by", metavar="COLUMN", help="the column that decides which row is best (default: the practical's own)"
    )
    parser.add_argument(
        "--student", metavar="NAME", default="", help="who hands the page in; several names in one text"
    )
    parser.add_argument("--course", metavar="COURSE", default="", help="the course that it is handed in for")
    parser.add_argument("--title", metavar="TITLE", default="", help="the page's title (default: the practical's)")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the report, print its tables and the path of its page; return the exit code."""
    from labs.cli.terminal import print_everywhere

    print_everywhere()
    options = parse_arguments(arguments)

    from labs import LabsError
    from labs.reporting.answers import ANSWERS
    from labs.reporting.page import Head
    from labs.reporting.terminal import to_terminal
    from labs.reporting.write import write_report
    from labs.runs.directory import shown_path
    from labs.runs.places import found_folder

    options.paths = [found_folder(path, "PATH") for path in options.paths]
    first = options.paths[0]
    folder = first if first.is_dir() else first.parent
    output = options.output or folder / "report"
    try:
        if not options.output and not output.resolve().is_relative_to(folder.resolve()):
            raise LabsError(f"{output} is a link that leads out of {folder}; type where to write: --output=...")  # noqa: TRY301
        head = Head(title=options.title, student=options.student, course=options.course)
        page, tables = write_report(options.paths, output, options.rank_by, head)
    except LabsError as error:
        print(f"report.py: {error}", file=sys.stderr)
        return 2
    try:
        print(to_terminal(tables, shutil.get_terminal_size().columns))
        answers = page.with_name(ANSWERS)
        if answers.is_file():
            print(f"\nYour answers go into: {shown_path(answers)}", end="")
        print(f"\nPage: {shown_path(page)}", flush=True)
    except BrokenPipeError:  # `| head`: the rest is not asked for
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


if __name__ == "__main__":
    sys.exit(main())

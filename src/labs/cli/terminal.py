"""Print where not every letter can be printed, and where nobody reads on."""

import io
import os
import sys


def print_everywhere() -> None:
    """Write a question mark for a letter that standard output cannot take, instead of failing when the work is done."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # standard error replaces such letters by itself
        sys.stdout.reconfigure(errors="replace")


def show(page: str) -> None:
    """Print a page, of which a pipe such as `| head` may read the beginning only."""
    try:
        print(page, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the interpreter flushes once more as it ends

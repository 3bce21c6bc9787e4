"""What a terminal, a pipe or a file that knows few letters does with the others."""

import io
import sys


def print_everywhere() -> None:
    """Write a question mark for a letter that standard output cannot take, instead of failing when the work is done."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # standard error replaces such letters by itself
        sys.stdout.reconfigure(errors="replace")

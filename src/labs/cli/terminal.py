"""What a terminal, a pipe or a file that knows few letters does with the others."""

import io
import sys


def print_everywhere() -> None:
    """Write a question mark for a letter that standard output cannot take, instead of failing when the work is done."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")

"""Flags that print a page and end: `--help`, `--list`, `--version`, and those of Tab completion."""

import sys
from collections.abc import Sequence

HELP = ("-h", "--help", "-help")
LIST = ("-l", "--list")


def answer(arguments: Sequence[str]) -> str | None:
    """Return the text that the flags ask for, or None for a command that runs.

    Raises:
        LabsError: `--help` names nothing that there is.
    """
    if list(arguments[:1]) == ["--complete"]:
        from labs.cli.completion import candidates

        return "\n".join(candidates(arguments[1:]))
    if "install=bash" in arguments and {"-sc", "--shell-completion"} & set(arguments):
        from labs.cli.completion import BASH

        return BASH
    first = arguments[0] if arguments else ""
    if "--version" in arguments:
        return _versions()
    if not {*HELP, *LIST} & set(arguments) and first not in ("help", "list"):
        return None
    from labs.cli.help import listing, overview, page

    words = [word for word in arguments if not word.startswith("-") and word not in ("help", "list")]
    if words:
        return page(words)
    return listing() if {*LIST} & set(arguments) or first == "list" else overview()


def _versions() -> str:
    from importlib.metadata import PackageNotFoundError, version

    found = []
    for package in ("labs", "torch", "lightning", "hydra-core"):
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:  # labs that runs from a checkout without being installed
            found.append(package)
    return f"{', '.join(found)}, Python {sys.version.split()[0]}"

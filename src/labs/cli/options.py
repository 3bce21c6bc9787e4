"""What `conf/` offers: every axis, its options, and what each option says of itself.

Files are read as text, line by line: help and completion must answer at once.
"""

import re
import sys
from pathlib import Path

# Axes that have a page of their own, or are of no use to a student.
_NOT_LISTED = ("experiment", "grid", "search", "hydra", "paths")


def config_folder() -> Path:
    """Return the folder `conf/` beside the program that runs."""
    return Path(sys.argv[0]).resolve().parent / "conf"


def groups() -> list[str]:
    """Return the name of every config group."""
    return sorted(path.name for path in config_folder().iterdir() if path.is_dir())


def axes() -> list[str]:
    """Return the groups that the help page lists with their options."""
    return [name for name in groups() if name not in _NOT_LISTED]


def options_of(group: str) -> list[str]:
    """Return the options of a group; an empty list for anything else."""
    is_name = re.fullmatch(r"\w+(/\w+)*", group)
    return sorted(path.stem for path in (config_folder() / group).glob("*.yaml")) if is_name else []


def default_of(group: str) -> str:
    """Return the option that a recipe has if nothing is typed."""
    text = (config_folder() / "train.yaml").read_text(encoding="utf-8")
    found = re.search(rf"^  - {re.escape(group)}: (\w+)", text, re.MULTILINE)
    return found[1] if found else ""


def file_of(group: str, option: str) -> Path:
    """Return the file of an option."""
    return config_folder() / group / f"{option}.yaml"


def comments(path: Path) -> list[str]:
    """Return the header of an option file: its comment lines, without the package directive."""
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            found.append(line[1:].rstrip())
        elif found and line.strip():
            break
    return [line for line in found if not line.strip().startswith("@package")]


def header(path: Path) -> str:
    """Return the first line of an option file's header, without the note on where the option lands."""
    first = next(iter(comments(path)), "").strip()
    return re.sub(r"^Lands on `[^`]+`( and `[^`]+`)?[.:] ", "", first)


def practical_of(experiment: Path) -> str:
    """Return the practical of an experiment's file, which may name another experiment that it builds on."""
    text = experiment.read_text(encoding="utf-8")
    if own := re.search(r"^practical: *(\w+)", text, re.MULTILINE):
        return own[1]
    bases = re.findall(r"^  - (\w+) *(?:#.*)?$", text, re.MULTILINE)
    files = [experiment.with_name(f"{base}.yaml") for base in bases if base != "_self_"]
    return next((practical_of(file) for file in files if file.is_file()), "other")


def example_with(word: str) -> str:
    """Return the shortest command in a header of `conf/` that contains a word; empty if there is none.

    So messages can name an example, and no file but `conf/` has to know an experiment.
    """
    lines = [line.strip() for path in sorted(config_folder().glob("*/*.yaml")) for line in comments(path)]
    found = [line for line in lines if line.startswith("python train.py") and f" {word}" in line]
    return min(found, key=len, default="")

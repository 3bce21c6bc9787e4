"""Words that take something away or add it, `~callbacks.pictures` and `+module.x=1`: what cannot be is refused."""

import re

from labs import LabsError
from labs.cli.options import config_folder, options_of

GRAMMAR = "write key=value, such as trainer.max_epochs=5"


def check_prefixes(words: list[str]) -> None:
    """Refuse words whose prefix makes no sense, before Hydra fails of them in words of its own.

    Args:
        words: of the command, their short forms expanded.

    Raises:
        LabsError: a word takes away what the recipe cannot be without, or adds what is there.
    """
    for word in words:
        match = re.match(r"([~+]*)([^=]*)(=.*)?$", word, re.DOTALL)
        assert match is not None
        prefix, name, value = match[1], match[2], match[3] or ""
        group, _, package = name.partition("@")
        if word.startswith("-") or not (prefix or package or not name):
            continue
        if not name:
            raise LabsError(f"'{word}' names no setting; {GRAMMAR}.")
        if "~" in prefix:
            _check_taken_away(word, name)
        elif (config_folder() / group).is_dir():
            raise LabsError(f"{word}: '{group}' is in every recipe; type {group}{value}.")
        elif prefix == "+" and "." not in name and not any(f"${{{name}}}" in other for other in words):
            raise LabsError(
                f"{word}: what is added at the top level is read by nothing; type {name}{value}, without the +, "
                "if the recipe has it."
            )


def _check_taken_away(word: str, name: str) -> None:
    parent, _, last = name.rpartition(".")
    if last.isdigit():
        raise LabsError(f"{word}: nothing is taken out of a list; type the whole list, such as {parent}=[1,2].")
    if name.startswith(("paths.", "hydra.")) or not parent:
        options = f". Options of {name}: {', '.join(options_of(name))}" if options_of(name) else ""
        raise LabsError(f"{word}: no recipe can be without '{name}'; type {name}=<another value>{options}.")

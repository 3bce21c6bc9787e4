"""Check words that remove or add a setting, such as `~callbacks.pictures` and `+module.x=1`."""

import re

from labs import LabsError
from labs.cli.options import config_folder, options_of

GRAMMAR = "write key=value, such as trainer.max_epochs=5"


def check_prefixes(words: list[str]) -> None:
    """Refuse words whose prefix makes no sense, before Hydra refuses them with a message of its own.

    Args:
        words: of the command, their short forms expanded.

    Raises:
        LabsError: a word removes a setting that every recipe needs, or adds one that exists.
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
            _check_removed(word, name)
        elif (config_folder() / group).is_dir():
            raise LabsError(f"{word}: '{group}' is in every recipe; type {group}{value}.")
        elif prefix == "+" and "." not in name and not any(f"${{{name}}}" in other for other in words):
            raise LabsError(
                f"{word}: nothing reads a setting that is added at the top level; type {name}{value}, without the +."
            )


def _check_removed(word: str, name: str) -> None:
    parent, _, last = name.rpartition(".")
    if last.isdigit():
        raise LabsError(f"{word}: an item cannot be removed from a list; type the whole list, such as {parent}=[1,2].")
    if name.startswith(("paths.", "hydra.")) or not parent:
        options = f". Options of {name}: {', '.join(options_of(name))}" if options_of(name) else ""
        raise LabsError(f"{word}: every recipe needs '{name}'; type {name}=<another value>{options}.")

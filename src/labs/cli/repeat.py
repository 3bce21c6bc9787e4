"""Repeat a run from its directory. Somebody else may have written it, so it sets the recipe and nothing else."""

import os
import re
import shlex
from collections.abc import Sequence
from pathlib import Path

import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

from labs import LabsError
from labs.cli.overrides import quote
from labs.runs.directory import printable
from labs.runs.recipe import THE_CALL, is_part, read_recipe_text, without_aliases
from labs.runs.trusted import is_computed, is_typed_only, links_out_of, names_in
from labs.storage.files import typed_path


def repeat(argument: str, typed: Sequence[str]) -> list[str]:
    """Return the words that repeat the run of `resume=<run directory>` or `retry=<run directory>`.

    Args:
        argument: that word.
        typed: all words of the command; what they set is not taken from the directory.

    Raises:
        LabsError: there is no run, its words cannot be read, or they set something that no directory decides.
    """
    key, _, typed_directory = argument.partition("=")
    run_dir = typed_path(typed_directory, key)
    recipe = run_dir / ".hydra" / "overrides.yaml"
    if not os.path.lexists(recipe):
        raise LabsError(
            f"{argument}: there is no run in this directory ({recipe} is missing). "
            f"Type the path of a run directory, such as {argument.partition('=')[0]}=outputs/<experiment>/<time>."
        )
    again = {_name(word) for word in typed}
    words = [word for word in _recorded(argument, recipe) if _name(word) not in again]
    trust = []
    if "trust=true" not in typed:
        _refuse_what_no_directory_decides(argument, run_dir, words)
        trust = ["trust=false"]
    return [*(word for word in words if is_part(_name(word), THE_CALL)), *trust, f"hydra.run.dir={quote(str(run_dir))}"]


def _name(word: str) -> str:
    return word.partition("=")[0].lstrip("+~")


def _recorded(argument: str, recipe: Path) -> list[str]:
    """Read the words of an `overrides.yaml`."""
    try:
        words = yaml.safe_load(without_aliases(read_recipe_text(recipe)))
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise ValueError("it is not a list of words")  # noqa: TRY301
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        why = str(error).splitlines()[0]
        raise LabsError(
            f"{argument}: {recipe} cannot be read ({why}), so the run cannot be repeated. "
            f"Type its whole command, which metrics.json there has, and hydra.run.dir={quote(str(recipe.parents[1]))}."
        ) from error
    return words


def _refuse_what_no_directory_decides(argument: str, run_dir: Path, words: Sequence[str]) -> None:
    for override in _parsed(argument, words):
        name, value = str(override.key_or_group).replace("/", "."), override.value()
        word = printable(str(override.input_line))
        is_hydra = name.partition(".")[0] == "hydra"
        if is_hydra or override.is_sweep_override() or override.package or _leads_out_of_conf(override):
            raise LabsError(
                f"{argument}: its overrides.yaml holds {word}, which no run of labs records. If you trust "
                "this directory, add trust=true."
            )
        if any(map(is_typed_only, names_in(name, value))) or is_computed(word):
            raise LabsError(
                f"{argument}: its overrides.yaml holds {word}. No run directory decides where files are read "
                f"and written, or reads this computer's settings; if you want that, type it again: {argument} "
                f"{shlex.quote(word)}"
            )
    if links := links_out_of(run_dir):
        raise LabsError(
            f"{argument}: {links[0]} is a link that leads out of the run directory, so the run would write elsewhere. "
            "If you trust this directory, add trust=true."
        )


def _parsed(argument: str, words: Sequence[str]) -> list[Override]:
    try:
        return OverridesParser.create().parse_overrides(list(words))
    except HydraException as error:
        raise LabsError(
            f"{argument}: its overrides.yaml holds a word that cannot be read ({str(error).splitlines()[0]}). "
            "If it was edited by hand, write key=value."
        ) from error


def _leads_out_of_conf(override: Override) -> bool:
    """Say whether a word chooses a file that does not lie in `conf/` as the option of a group."""
    value = override.value()
    options = value if isinstance(value, list) else [value]
    is_group = "." not in str(override.key_or_group)  # or a plain number or word
    return is_group and any(isinstance(option, str) and re.search(r"[/\\$]|\.\.", option) for option in options)

"""Explain a choice that an axis does not have, or that does not go with the other choices."""

import difflib
import re
from collections.abc import Sequence

from hydra.errors import MissingConfigException
from omegaconf.errors import InterpolationKeyError

from labs.cli.bare_words import NAMED_ALONE, train_on_folder
from labs.cli.options import default_of, example_with, file_of, groups, options_of, practical_of
from labs.practicals import sheet_of


def missing_option(error: MissingConfigException, arguments: Sequence[str]) -> str:
    """Say that a group has no such option, which one was probably meant, and which there are."""
    group, _, option = str(error.missing_cfg_file or "").rpartition("/")
    for word in arguments:
        name, _, value = word.partition("=")
        if name in groups() and str(error.missing_cfg_file) in (f"{name}/{value}", f"{name}//{value.strip('/')}"):
            group, option = name, value
    if error.options and group not in groups():  # of a plugin of Hydra, such as hydra/launcher
        return f"{group}={option} is not an option. Options of {group}: {', '.join(error.options)}."
    if group not in groups() or not options_of(group):
        group = next((g for g in groups() if group.startswith(f"{g}/")), group)
    return not_an_option(group, option)


def no_option(arguments: Sequence[str]) -> str | None:
    """Explain the word that gives a group a number, null or a truth value."""
    for word in arguments:
        group, _, value = word.partition("=")
        if group in groups() and value not in options_of(group):
            return not_an_option(group, value)
    return None


def not_an_option(group: str, option: str) -> str:
    """Say that `group=option` is not an option, which one was probably meant, and which there are."""
    options = options_of(group)
    message = f"{group}={option} is not an option."
    near = option.lower().replace("-", "_")
    close = difflib.get_close_matches(near, options, n=1, cutoff=0.6)
    hint = f" Did you mean {group}={close[0]}?" if close else ""
    if group in NAMED_ALONE:
        begin = [name for name in options if near and name.startswith(near)]
        some = f" There are: {', '.join(begin)}." if begin and not close else ""
        return f"{message}{hint}{some} All of them: python train.py --list"
    return f"{message}{hint} Options of {group}: {', '.join(options)}.{'' if close else _more(group, option)}"


def _more(group: str, option: str) -> str:
    """Return what else can be typed where an axis has no such option."""
    if group == "freeze" and option not in ("", "null"):
        return f" To freeze layers by name, type freeze=[{option}]."
    if group == "net":
        return f" Any other net of timm: net=timm net.name=<name of timm>, such as {example_with('net=timm')}"
    if group == "weights":
        return " Or the path of a run directory or of a checkpoint: weights=outputs/<experiment>/<time>."
    if group in ("data", "datamodule") and re.search(r"[/\\~]", option):
        return f" {train_on_folder(option)}"
    return ""


def do_not_go_together(error: InterpolationKeyError, arguments: Sequence[str]) -> str:
    """Explain a setting that refers to one which this recipe does not have."""
    missing = re.search(r"Interpolation key '([^']+)'", str(error))
    return foreign_choice(arguments) or (
        f"{error.full_key} refers to {missing[1] if missing else 'a setting'}, which this recipe does not have: its "
        "words belong to different practicals. Choose them from one; `python train.py --list` shows which there are."
    )


def foreign_choice(arguments: Sequence[str]) -> str | None:
    """Name the typed option that only experiments of other practicals choose, and one of them."""
    pairs = [word.partition("=")[::2] for word in arguments]
    experiment = next((option for group, option in pairs if group == "experiment"), default_of("experiment"))
    if experiment not in options_of("experiment"):
        return None
    own = practical_of(file_of("experiment", experiment))
    for group, option in pairs:
        users = _experiments_with(group, option) if group not in ("experiment", "data") else []
        practicals = {practical_of(file_of("experiment", name)) for name in users}
        if users and own not in practicals:
            titles = " or ".join(f'"{sheet_of(name).title}"' for name in sorted(practicals))
            return f"{group}={option} works only with experiments of {titles}, for example experiment={users[0]}."
    return None


def _experiments_with(group: str, option: str) -> list[str]:
    """Return the experiments whose files choose an option."""
    choice = re.compile(rf"^  - override /{re.escape(group)}: {re.escape(option)}\b", re.MULTILINE)
    names = options_of("experiment")
    return [name for name in names if choice.search(file_of("experiment", name).read_text(encoding="utf-8"))]

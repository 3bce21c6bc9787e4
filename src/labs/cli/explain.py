"""Turn the exception of a user's mistake into one message: what is wrong, then what to type."""

import difflib
import errno
import os
import re
import sys
from collections.abc import Sequence
from typing import Any

from hydra import compose
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import (
    ConfigCompositionException,
    HydraException,
    MissingConfigException,
    OverrideParseException,
    SearchPathException,
)
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationKeyError, OmegaConfBaseException

from labs import LabsError
from labs.cli.bare_words import ELSEWHERE, GRAMMAR, command
from labs.cli.check import MisfitError, is_out_of_memory
from labs.cli.misfits import do_not_go_together, foreign_choice, missing_option, no_option
from labs.cli.options import config_folder, example_with, options_of
from labs.cli.short_forms import SHORT_FORMS
from labs.runs.directory import shown_path


def say_error(error: BaseException) -> str:
    """Return one line on any exception: the explanation of a user's mistake, or the exception itself."""
    message = explain(error, sys.argv[1:])
    return " ".join((message or f"{type(error).__name__}: {error}").split())


def explain(error: BaseException, arguments: Sequence[str], typed: Sequence[str] = ()) -> str | None:
    """Explain an exception raised between the command line and the run, or return None if it is no user's mistake.

    Args:
        error: the exception.
        arguments: of the command, with long names in place of short forms.
        typed: the arguments as they were typed.
    """
    if isinstance(error, LabsError):
        return (foreign_choice(arguments) if isinstance(error, MisfitError) else None) or str(error)
    if isinstance(error, OmegaConfBaseException) and (refused := _refused_by_us(error)):
        return refused
    if isinstance(error, MissingConfigException):
        return missing_option(error, [*typed, *arguments])
    if isinstance(error, OverrideParseException):
        return _unreadable(_as_typed(str(error.override), typed))
    if isinstance(error, ConfigCompositionException):
        return _does_not_fit(error, arguments, typed or arguments)
    if isinstance(error, (ValueError, TypeError)) and ("Config group override" in str(error) or _of_hydra(error)):
        return no_option(arguments) or _first_line(str(error))
    if isinstance(error, OmegaConfBaseException) and (word := _taken_away(error, arguments)):
        return f"{word}: every recipe needs this setting; leave this word out."
    if isinstance(error, InterpolationKeyError):
        return do_not_go_together(error, arguments)
    if isinstance(error, (SearchPathException, HydraException, OmegaConfBaseException)):
        return _joined(str(error))
    if type(error).__name__ == "MisconfigurationException":  # Lightning's; by name, so that torch stays unloaded
        return str(error)
    if isinstance(error, ValueError) and "Expected more than 1 value per channel" in str(error):
        return "batch norm cannot train on a batch of one image; type batch_size=2 or more."
    if isinstance(error, ValueError) and "val_check_interval" in str(error):  # Lightning's, once it counts batches
        return f"trainer.val_check_interval: {_first_line(str(error))}"
    if checkpoint := _unfit_checkpoint(error):
        return checkpoint
    if isinstance(error, OSError) and error.strerror:
        return _of_the_system(error)
    if is_out_of_memory(error):
        return (
            "the memory is full; type smaller numbers, such as batch_size=16, or a smaller net. "
            f"({_first_line(str(error))[:200]})"
        )
    if type(error).__name__ == "OutOfMemoryError":
        return (
            f"the GPU's memory is full; type a smaller batch_size, such as batch_size=16. ({_first_line(str(error))})"
        )
    return None


def _refused_by_us(error: BaseException) -> str | None:
    """Return the message of our own error, which OmegaConf wraps into one of its errors when a resolver raises it."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, LabsError):
        cause = cause.__context__
    return str(cause) if cause else None


def _of_the_system(error: OSError) -> str:
    """Name the file or folder that the operating system refuses, and the words that choose another place."""
    instead = "Make room, or type" if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) else "Type"
    path = f"{shown_path(os.fsdecode(error.filename))}: " if error.filename is not None else ""
    after = "".join(f" {note}" for note in getattr(error, "__notes__", ()))  # how the run goes on then
    return (
        f"{path}{error.strerror}. {instead} another folder: paths.outputs=<folder> or hydra.run.dir=<folder> for a "
        f"run, paths.data=<folder> for data.{after}"
    )


def _of_hydra(error: BaseException) -> bool:
    """Say whether Hydra's own code raised an error: a value has a type that it does not expect."""
    frame = error.__traceback__
    while frame and frame.tb_next:
        frame = frame.tb_next
    return frame is not None and frame.tb_frame.f_globals.get("__name__", "").startswith("hydra._internal.")


def _unfit_checkpoint(error: BaseException) -> str | None:
    """Explain an error raised while Lightning restores a checkpoint: it belongs to another recipe."""
    trace = error.__traceback__
    while trace and not (
        trace.tb_frame.f_code.co_filename.endswith("checkpoint_connector.py")
        and "restore" in trace.tb_frame.f_code.co_name  # not where a checkpoint is made
    ):
        trace = trace.tb_next
    if trace is None:
        return None
    file = trace.tb_frame.f_locals["self"].trainer.ckpt_path
    why = " ".join(str(error).split()).replace("Error(s) in loading state_dict for ", "")[:300]
    return (
        f"{file} does not fit this recipe: it belongs to another net, method or optimizer "
        f"({type(error).__name__}: {why}). Type the recipe that it was made with, or rerun=true to start again."
    )


def _does_not_fit(error: ConfigCompositionException, arguments: Sequence[str], typed: Sequence[str]) -> str:
    """Say why a word does not fit the recipe: it names no setting, adds one that exists, or removes nothing."""
    if key := missing_key(error):
        return unknown_key(key, arguments)
    if there := re.search(r"An item is already at '([^']+)'", str(error)):
        return f"the recipe has a setting '{there[1]}': type {there[1]}=<value>, without the +."
    if several := re.search(r"Ambiguous value for argument '([^=\n]*)=(.*)'\n", str(error)):
        return _several_values(several[1], several[2], typed)
    if word := re.match(r"Error merging override (.*)", str(error)):
        why = f" ({_first_line(str(error.__cause__))})" if error.__cause__ else ""
        return f"{word[1]} does not fit the recipe{why}; `python train.py --cfg job` prints all settings."
    return _joined(str(error))


def _several_values(key: str, value: str, typed: Sequence[str]) -> str:
    """Say how to run each of several values, and how to type a list or a value with a comma in it."""
    word = _as_typed(f"{key}={value}", typed)
    key = word.partition("=")[0]
    return (
        f"{word} has several values. To run each of them, type: {command(['-m', *typed])}\n"
        f"A list is typed in brackets: '{key}=[{value}]'. A single value that contains a comma needs quotes: "
        f"\"{key}='{value}'\"."
    )


def _as_typed(word: str, typed: Sequence[str]) -> str:
    """Return the word as it was typed, with a short name in place of the long one."""
    value = word.partition("=")[2]
    return next((other for other in typed if value and other.partition("=")[2] == value), word)


def _unreadable(word: str) -> str:
    """Say what is wrong with a word that Hydra's grammar cannot read."""
    key, equals, value = word.partition("=")
    for opening, closing in ("[]", "{}", "()"):
        if value.count(opening) != value.count(closing):
            return f"{word}: a bracket {opening} {closing} is not closed. Lists are typed as '{key}=[a,b]'."
    if value.count("'") % 2 or value.count('"') % 2:
        return f"{word}: a quote is not closed. A value with special characters is typed as \"{key}='...'\"."
    if not equals or not re.fullmatch(r"[+~]*[\w./@:-]+", key):
        return f"'{word}' cannot be read. {GRAMMAR}."
    return (
        f"{word}: the value cannot be read. With special characters it needs two pairs of quotes: \"{key}='{value}'\"."
    )


def _taken_away(error: OmegaConfBaseException, arguments: Sequence[str]) -> str | None:
    """Return the word that removed the setting that is missing."""
    missing = re.search(r"Interpolation key '([^']+)'", str(error))
    names = [name for name in (error.full_key, missing and missing[1]) if name]
    taken = [a for a in arguments if a.startswith("~")]
    return next((a for a in taken for name in names if f"{name}.".startswith(f"{a[1:].partition('=')[0]}.")), None)


def missing_key(error: ConfigCompositionException) -> str | None:
    """Return the setting that a word names and the recipe does not have, or None if the error is another."""
    key = re.search(r"Could not (?:override|delete from config\.) '([^']+)'", str(error))
    return key[1].partition("@")[0] if key else None


def unknown_key(key: str, arguments: Sequence[str]) -> str:
    """Say that a setting does not exist, and which one was probably meant."""
    taken = next((a for a in arguments if a.startswith("~") and a[1:].partition("=")[0] == key), None)
    known = known_keys([a for a in arguments if not a.startswith("-") and a.partition("=")[0].lstrip("+~") != key])
    if taken and key in known:
        return f"{taken}: the setting is null already; leave this word out."
    message = f"there is no setting '{key}'."
    if elsewhere := ELSEWHERE.get(key):
        return f"{message} {_type_instead(elsewhere, key, arguments)}"
    parent = key.rpartition(".")[0]
    leaf = key.rpartition(".")[2]
    siblings = {k.rpartition(".")[2]: k for k in known if k.rpartition(".")[0] == parent}
    close = [siblings[ELSEWHERE[leaf]]] if ELSEWHERE.get(leaf) in siblings else []
    close = close or [siblings[name] for name in difflib.get_close_matches(leaf, siblings, n=2, cutoff=0.7)]
    close = close or [k for k in known if k.rpartition(".")[2] == leaf][:3]
    top = [*(name for name in known if "." not in name), *SHORT_FORMS, *known]
    close = close or ([] if siblings and parent else difflib.get_close_matches(key, top, n=1, cutoff=0.7))
    if close:
        return f"{message} Did you mean {' or '.join(close)}?"
    if example := example_with(f"{key}="):
        return f"{message} An experiment that has it: {example}"
    if siblings and parent:
        return f"{message} Settings of {parent}: {', '.join(name for name in siblings if name != '_target_')}."
    return f"{message} `python train.py --cfg job` prints all settings; `python train.py --help` lists the axes."


def _type_instead(name: str, key: str, arguments: Sequence[str]) -> str:
    """Say which word has the meaning of a key that other programs know, with the value that was typed if it fits."""
    value = next((word.partition("=")[2] for word in arguments if word.partition("=")[0] == key), "")
    options = options_of(name)
    if options and value not in options:
        return f"Type {name}=<option>. Options of {name}: {', '.join(options)}."
    return f"Type {name}={value or '<value>'}."


def known_keys(overrides: list[str]) -> list[str]:
    """List every group, and every key of the recipe that these overrides choose (the default one if they fail)."""
    groups = [p.name for p in sorted(config_folder().iterdir()) if p.is_dir()]
    from hydra import initialize_config_dir

    GlobalHydra.instance().clear()
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        choices = [o for o in overrides if o.partition("=")[0] in groups and "," not in o]
        try:
            config = compose("train", choices)
        except (HydraException, OmegaConfBaseException):
            config = compose("train")
    return groups + _dotted(config)


def _dotted(config: DictConfig, prefix: str = "") -> list[str]:
    keys: list[str] = []
    tree: Any = OmegaConf.to_container(config, resolve=False) if isinstance(config, DictConfig) else config
    for name, value in tree.items():
        keys.append(f"{prefix}{name}")
        if isinstance(value, dict):
            keys += _dotted(value, f"{prefix}{name}.")  # type: ignore[arg-type]
    return keys


def _first_line(text: str) -> str:
    return text.strip().splitlines()[0] if text.strip() else ""


def _joined(text: str) -> str:
    """Return Hydra's message without the search path and without its closing hint."""
    kept = []
    for line in text.splitlines():
        if line.startswith("Config search path"):
            break
        if line.strip():
            kept.append(line.strip())
    return "\n  ".join(kept)

"""Turn the exceptions of a user's mistake into one message: what was expected, what was found, what to type instead."""

import difflib
import errno
import os
import re
import sys
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
from labs.cli.help import config_folder, options_of
from labs.runs.directory import shown_path


def say_error(error: BaseException) -> str:
    """Return what to tell a user of any exception: the explanation of a mistake, else the exception in one line."""
    message = str(error) if isinstance(error, LabsError) else explain(error, sys.argv[1:])
    return " ".join((message or f"{type(error).__name__}: {error}").split())


def explain(error: BaseException, arguments: list[str]) -> str | None:
    """Explain an exception raised between the command line and the run, or return None if it is no user's mistake."""
    if isinstance(error, OmegaConfBaseException) and (refused := _refused_by_us(error)):
        return refused
    if isinstance(error, MissingConfigException):
        return _missing_option(error)
    if isinstance(error, OverrideParseException):
        why = _first_line(error.message)
        return f"'{error.override}' is not an override; write key=value, such as trainer.max_epochs=5. ({why})"
    if isinstance(error, ConfigCompositionException):
        return _does_not_fit(error, arguments)
    if isinstance(error, (ValueError, TypeError)) and ("Config group override" in str(error) or _of_hydra(error)):
        return _no_option(arguments) or _first_line(str(error))
    if isinstance(error, OmegaConfBaseException) and (word := _taken_away(error, arguments)):
        return f"{word}: the recipe cannot be without it; leave this word out."
    if isinstance(error, InterpolationKeyError):
        missing = re.search(r"Interpolation key '([^']+)'", str(error))
        return (
            f"{error.full_key} is to be {missing[1] if missing else 'another setting'}, which this recipe has not: "
            "its words belong to different practicals. Choose them from one; `python train.py --help` lists them."
        )
    if isinstance(error, (SearchPathException, HydraException, OmegaConfBaseException)):
        return _joined(str(error))
    if type(error).__name__ == "MisconfigurationException":  # Lightning's; by name, so that torch stays unloaded
        return str(error)
    if isinstance(error, ValueError) and "Expected more than 1 value per channel" in str(error):
        return "batch norm cannot train on a single image; type datamodule.batch_size=2 or more."
    if isinstance(error, ValueError) and "val_check_interval" in str(error):  # Lightning's, once it counts batches
        return f"trainer.val_check_interval: {_first_line(str(error))}"
    if checkpoint := _unfit_checkpoint(error):
        return checkpoint
    if isinstance(error, OSError) and error.strerror:
        return _of_the_system(error)
    if type(error).__name__ == "OutOfMemoryError":
        return f"the GPU's memory is full; type a smaller datamodule.batch_size. ({_first_line(str(error))})"
    return None


def _refused_by_us(error: BaseException) -> str | None:
    """Return what one of our resolvers said of what conf/ computes with; OmegaConf puts it into words of its own."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, LabsError):
        cause = cause.__context__
    return str(cause) if cause else None


def _of_the_system(error: OSError) -> str:
    """Say which file or folder the system refuses, and where to put it instead."""
    instead = "Make room, or type" if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) else "Type"
    path = f"{shown_path(os.fsdecode(error.filename))}: " if error.filename is not None else ""
    return (
        f"{path}{error.strerror}. {instead} another folder: paths.outputs=<folder> or hydra.run.dir=<folder> for a "
        "run, paths.data=<folder> for data."
    )


def _of_hydra(error: BaseException) -> bool:
    """Say whether an error came from Hydra's own code, which takes a value for what it is not."""
    frame = error.__traceback__
    while frame and frame.tb_next:
        frame = frame.tb_next
    return frame is not None and frame.tb_frame.f_globals.get("__name__", "").startswith("hydra._internal.")


def _unfit_checkpoint(error: BaseException) -> str | None:
    """Explain what is raised while Lightning takes over the content of a checkpoint: it is of another recipe."""
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
        f"{file} does not fit this recipe: it is of another net, method or optimizer ({type(error).__name__}: {why}). "
        "Type the recipe that it was made with, or rerun=true to start anew."
    )


def _does_not_fit(error: ConfigCompositionException, arguments: list[str]) -> str:
    """Say why a word does not fit the recipe: it names nothing, adds what is there, or takes away what is nothing."""
    if key := missing_key(error):
        return unknown_key(key, arguments)
    if there := re.search(r"An item is already at '([^']+)'", str(error)):
        return f"the recipe has a setting '{there[1]}': type {there[1]}=<value>, without the +."
    if several := re.search(r"Ambiguous value for argument '([^=]*=(.*))'", str(error)):
        return (
            f"{several[1]} has several values: add -m to run each of them, type a list as [{several[2]}], or quote one "
            f"value that has a comma in it: \"'{several[2]}'\"."
        )
    if word := re.match(r"Error merging override (.*)", str(error)):
        why = f" ({_first_line(str(error.__cause__))})" if error.__cause__ else ""
        return f"{word[1]} does not fit the recipe{why}; `python train.py --cfg job` prints all settings."
    return _joined(str(error))


def _taken_away(error: OmegaConfBaseException, arguments: list[str]) -> str | None:
    """Return the word that took away what is missed."""
    missing = re.search(r"Interpolation key '([^']+)'", str(error))
    names = [name for name in (error.full_key, missing and missing[1]) if name]
    taken = [a for a in arguments if a.startswith("~")]
    return next((a for a in taken for name in names if f"{name}.".startswith(f"{a[1:].partition('=')[0]}.")), None)


def missing_key(error: ConfigCompositionException) -> str | None:
    """Return the setting that a word names and the recipe does not have, or None if the error is another."""
    key = re.search(r"Could not (?:override|delete from config\.) '([^']+)'", str(error))
    return key[1].partition("@")[0] if key else None


def _no_option(arguments: list[str]) -> str | None:
    """Name the group that was given a number, null or a truth value, and its options."""
    for argument in arguments:
        group, _, value = argument.partition("=")
        folder = config_folder() / group
        if group and folder.is_dir() and not (folder / f"{value}.yaml").is_file():
            return f"{argument} is not an option. Options of {group}: {', '.join(options_of(group))}."
    return None


def unknown_key(key: str, arguments: list[str]) -> str:
    """Say that a key does not exist, and which one was probably meant."""
    taken = next((a for a in arguments if a.startswith("~") and a[1:].partition("=")[0] == key), None)
    known = known_keys([a for a in arguments if not a.startswith("-") and a.partition("=")[0].lstrip("+~") != key])
    if taken and key in known:
        return f"{taken}: it is null, there is nothing to take away; leave this word out."
    parent = key.rpartition(".")[0]
    leaf = key.rpartition(".")[2]
    siblings = {k.rpartition(".")[2]: k for k in known if k.rpartition(".")[0] == parent}
    close = [siblings[name] for name in difflib.get_close_matches(leaf, siblings, n=2, cutoff=0.7)]
    close = close or [k for k in known if k.rpartition(".")[2] == leaf][:3]
    close = close or ([] if siblings and parent else difflib.get_close_matches(key, known, n=1, cutoff=0.7))
    message = f"there is no setting '{key}'."
    if close:
        return f"{message} Did you mean {' or '.join(close)}?"
    if siblings:
        return f"{message} Under {parent or 'the top level'} there are: {', '.join(siblings)}."
    return f"{message} `python train.py --cfg job` prints all settings; `--help` lists the axes."


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


def _missing_option(error: MissingConfigException) -> str:
    missing = str(error.missing_cfg_file or "")
    group, _, option = missing.rpartition("/")
    options = list(error.options or [])
    if not group or not options:
        return _joined(str(error))
    close = difflib.get_close_matches(option, options, n=1, cutoff=0.6)
    hint = f"Did you mean {group}={close[0]}? " if close else ""
    return f"{group}={option} is not an option. {hint}Options of {group}: {', '.join(options)}."


def _first_line(text: str) -> str:
    return text.strip().splitlines()[0] if text.strip() else ""


def _joined(text: str) -> str:
    """Keep what Hydra says, without the search path and without its own closing hint."""
    kept = []
    for line in text.splitlines():
        if line.startswith("Config search path"):
            break
        if line.strip():
            kept.append(line.strip())
    return "\n  ".join(kept)

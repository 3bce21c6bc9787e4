"""What is typed that is not `key=value`: flags, names alone, spaces around `=`. Each is understood, or answered."""

import argparse
import difflib
import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from hydra._internal.utils import get_args_parser

from labs import LabsError
from labs.cli.options import groups, options_of
from labs.cli.short_forms import SHORT_FORMS

GRAMMAR = "Settings are typed as key=value, such as epochs=5"
NAMED_ALONE = ("experiment", "grid", "search")  # a name of one of these can stand alone

# What other programs call it, and what is typed here.
ELSEWHERE = {
    **dict.fromkeys(("learning_rate", "eta"), "lr"),
    **dict.fromkeys(("bs", "batch", "batchsize"), "batch_size"),
    **dict.fromkeys(("epoch", "num_epochs", "n_epochs", "max_epochs"), "epochs"),
    **dict.fromkeys(("num_steps", "max_steps", "iterations"), "steps"),
    **dict.fromkeys(("wd", "decay"), "weight_decay"),
    **dict.fromkeys(("model", "arch", "backbone", "architecture"), "net"),
    **dict.fromkeys(("dataset", "images"), "datamodule"),
    **dict.fromkeys(("opt", "optim"), "optimizer"),
    **dict.fromkeys(("workers", "num_workers"), "datamodule.num_workers"),
    **dict.fromkeys(("output", "out", "output_dir", "outputs"), "paths.outputs"),
    **dict.fromkeys(("checkpoint", "ckpt"), "weights"),
    **dict.fromkeys(("gpus", "gpu", "device", "cuda", "accelerator"), "trainer"),
    "data_dir": "paths.data",
    "devices": "trainer.devices",
    "lr_scheduler": "scheduler",
    "random_seed": "seed",
}


def parser() -> argparse.ArgumentParser:
    """Return the parser of Hydra's flags; it takes no abbreviations, and raises our errors."""

    def refuse(message: str) -> NoReturn:
        raise LabsError(f"{message}. `python train.py --help` lists the flags.")

    found = get_args_parser()
    found.allow_abbrev = False
    found.error = refuse  # type: ignore[method-assign]
    return found


def understood(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with `experiment=` before the name of an experiment that stands alone, and so on.

    Raises:
        LabsError: an argument is neither a flag of Hydra nor `key=value`; the message says what to type.
    """
    if (joined := _without_spaces(arguments)) != list(arguments):
        raise LabsError(f"no spaces around =. Type: {command(joined)}")
    options, unknown = parser().parse_known_intermixed_args(arguments)
    if unknown:
        raise LabsError(_no_flag(unknown[0], arguments))
    alone = [word for word in options.overrides if "=" not in word and word[:1] != "~"]
    named = {word: group for word in alone for group in NAMED_ALONE if word in options_of(group)}
    for word in alone:
        if word not in named:
            raise LabsError(_not_understood(word, arguments))
    return [f"{named[argument]}={argument}" if argument in named else argument for argument in arguments]


def command(arguments: Sequence[str]) -> str:
    """Return the command with these arguments, quoted for a shell."""
    return shlex.join(["python", "train.py", *arguments])


def _no_flag(word: str, arguments: Sequence[str]) -> str:
    """Say that a word is no flag, and what is typed instead."""
    name, flags = word.partition("=")[0], parser()._option_string_actions
    near = [flag for flag in flags if len(name) > 3 and flag.startswith(name) and flag.startswith("--")]
    if len(near) == 1 and name.lstrip("-") not in (*groups(), *SHORT_FORMS):
        return f"there is no flag {name}. Did you mean {near[0]}?"
    return f"there is no flag {name}; settings have no dashes. Type: {command(_without_dashes(arguments))}"


def _without_spaces(arguments: Sequence[str]) -> list[str]:
    """Join `experiment = cub_full`, in whichever of its parts the equals sign stands."""
    found: list[str] = []
    for argument in arguments:
        opens = bool(found) and re.fullmatch(r"[\w.]+=", found[-1]) and re.fullmatch(r"[^=-][^=]*", argument)
        closes = bool(found) and argument[:1] == "=" and re.fullmatch(r"[\w.]+", found[-1])
        if opens or closes:
            found[-1] += argument
        else:
            found.append(argument)
    return found


def _without_dashes(arguments: Sequence[str]) -> list[str]:
    """Rewrite `--epochs 3`, `--epochs=3` and `--batch-size 8` as words without dashes; flags of Hydra stay."""
    flags = parser()._option_string_actions
    found: list[str] = []
    waits = False  # the last word has no value yet
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if argument[:1] == "-" and name not in flags:
            name = name.lstrip("-").replace("-", "_")
            name = name if name in groups() else ELSEWHERE.get(name, name)
            found.append(f"{name}{equals}{value}")
            waits = not equals
        elif waits and not equals and argument not in flags:
            found[-1] += f"={argument}"
            waits = False
        else:
            found.append(argument)
            waits = False
    known = {*groups(), *SHORT_FORMS, "seed"}
    return [f"{word}=..." if word in known else word for word in found]


def _not_understood(word: str, arguments: Sequence[str]) -> str:
    """Say what a word alone may mean."""
    here = [other for other in arguments if other != word]
    if colon := re.fullmatch(r"([\w.]+):([^/\\].*)", word):
        return f"'{word}': type = for the colon: {command([*here, f'{colon[1]}={colon[2]}'])}"
    if word in groups() or word in SHORT_FORMS or word == "seed":
        options = options_of(word)[:3]
        example = f"{word}={(options or ['0' if word == 'seed' else '...'])[0]}"
        return f"'{word}' has no value; type one, such as {example}. Its values: python train.py --help {word}"
    for group in groups():
        if word in options_of(group):
            return f"'{word}' alone: type {command([*here, f'{group}={word}'])}"
    if "." in word and Path(word).suffix.lower() in (".png", ".jpg", ".jpeg", ".webp", ".gif", ".tif", ".tiff", ".bmp"):
        return f"'{word}' is an image, and train.py trains. Type: python predict.py run=<run directory> image={word}"
    if Path(word, "metrics.json").is_file():
        return f"'{word}' is a run directory. To go on with it, type: {command([*here, f'resume={word}'])}"
    if Path(word).is_dir():
        return f"'{word}' is a folder. {train_on_folder(word)}"
    names = {name: group for group in NAMED_ALONE for name in options_of(group)}
    of_all = {names.get(part) for part in word.split(",")}
    if len(of_all) == 1 and None not in of_all:
        flags = [] if {"-m", "--multirun"} & set(here) else ["-m"]
        return f"'{word}' are several names. Type: {command([*flags, f'{of_all.pop()}={word}', *here])}"
    if close := difflib.get_close_matches(word.lower().replace("-", "_"), names, n=1, cutoff=0.7):
        return (
            f"there is no experiment or grid '{word}'. Did you mean this? {command([*here, close[0]])}\n"
            "All of them: python train.py --list"
        )
    return f"'{word}' is neither a setting nor an experiment. {GRAMMAR}. All experiments: python train.py --list"


def train_on_folder(folder: str) -> str:
    """Return how to train on the images of a folder: an example from `conf/`, with this folder."""
    from labs.cli.options import example_with

    example = example_with(setting := "datamodule.source.path=").rpartition(setting)[0]
    return f"To train on your own images, type: {example}{shlex.quote(f'{setting}{folder}')}"

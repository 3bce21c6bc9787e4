"""Words that mean the same in every experiment: `epochs=3`, `lr=0.01`, `batch_size=32`, and layers by name.

Which setting a short form stands for depends on the experiment. So each run's words are rewritten before the run is
composed: the recipe, its key and the name of a cell's folder hold long names only.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from labs import LabsError
from labs.cli.options import config_folder, options_of

# What is typed, what it is called, and the settings that it stands for: the first one that the recipe has.
SHORT_FORMS: dict[str, tuple[str, tuple[str, ...]]] = {
    "epochs": ("epochs", ("epochs", "trainer.max_epochs")),
    "steps": ("number of steps", ("steps", "module.steps")),
    "lr": ("learning rate", ("module.optimizer.lr", "module.lr")),
    "batch_size": ("batch size", ("datamodule.batch_size",)),
    "momentum": ("momentum", ("module.optimizer.momentum",)),
    "weight_decay": ("weight decay", ("module.optimizer.weight_decay",)),
}
LAYERS = "layers"  # the option of `freeze` that takes the names of layers


def with_long_names(words: Sequence[str]) -> list[str]:
    """Return the words of one run with the long name in place of every short form.

    Args:
        words: without flags; values that are swept are left as they are.

    Raises:
        LabsError: the experiment has no such setting, or `freeze=layers` comes without the names of layers.
    """
    words = [long for word in words for long in named_layers(word)]
    if f"freeze={LAYERS}" in words and not any(word.startswith("callbacks.freeze.patterns=") for word in words):
        raise LabsError(
            f"freeze={LAYERS}: which layers? Type their names, such as freeze=layer2 or freeze=layer1,layer2."
        )
    typed = [word for word in words if word.partition("=")[0] in SHORT_FORMS and "=" in word]
    recipe = recipe_of(tuple(_choices(words))) if typed else None
    if recipe is None:  # no short form, or a choice that Hydra will refuse
        return words
    return [_long_name(word, recipe) if word in typed else word for word in words]


def short_forms_of(recipe: DictConfig) -> dict[str, str]:
    """Return the short forms that an experiment has, and the setting that each stands for."""
    found = {}
    for name, (_, settings) in SHORT_FORMS.items():
        known = [setting for setting in settings if value_of(recipe, setting) is not None]
        if known and not (name == "epochs" and _counts_no_epochs(recipe)):
            found[name] = known[0]
    return found


def _counts_no_epochs(recipe: DictConfig) -> bool:
    return value_of(recipe, "steps") is not None or value_of(recipe, "module.optimizer") is None


def value_of(recipe: DictConfig, setting: str) -> Any:
    """Return the value of a setting; None if the recipe has no such setting, or cannot compute it."""
    return OmegaConf.select(recipe, setting, throw_on_resolution_failure=False)


def _long_name(word: str, recipe: DictConfig) -> str:
    """Return a word with its long name.

    Raises:
        LabsError: the recipe has no such setting; the message lists the short forms that it has.
    """
    name, _, value = word.partition("=")
    known = short_forms_of(recipe)
    if name in known:
        return f"{known[name]}={value}"
    experiment = recipe.hydra.runtime.choices.experiment
    has = ", ".join(f"{short}={value_of(recipe, long)}" for short, long in known.items())
    why = "" if name != "epochs" else " It counts steps." if "steps" in known else " It trains nothing."
    raise LabsError(
        f"{word}: experiment={experiment} has no {SHORT_FORMS[name][0]}.{why} "
        + (f"Short forms that it has: {has}. " if has else "")
        + f"All settings: python train.py --help {experiment}"
    )


def _choices(words: Sequence[str]) -> Iterator[str]:
    """Yield the words that choose an option: they decide which settings there are."""
    for word in words:
        group, _, option = word.partition("=")
        if option in options_of(group) and group not in ("grid", "search", "hydra"):
            yield word
        elif group == "experiment" and option not in options_of(group):
            yield word  # mistyped: nothing can be composed, and Hydra says why


@cache
def recipe_of(choices: tuple[str, ...]) -> DictConfig | None:
    """Compose the recipe that some choices make; None if they do not go together, which is refused later."""
    try:
        with composing():
            return compose("train", list(choices), return_hydra_config=True)
    except (HydraException, OmegaConfBaseException):
        return None


@contextmanager
def composing() -> Iterator[None]:
    """Let `hydra.compose` find `conf/`, within a running command or before it."""
    from labs.cli.resolvers import register_resolvers

    register_resolvers()
    if GlobalHydra.instance().is_initialized():
        yield
    else:
        with initialize_config_dir(str(config_folder()), version_base="1.3"):
            yield


def named_layers(word: str, *, is_swept: bool = False) -> list[str]:
    """Return `freeze=layer2` and `freeze=[layer1,layer2]` as the option that takes names of layers; others as they are.

    A value names layers if it is a list, or if each part has a dot, a star or a number and is no misspelled option.

    Args:
        word: any word.
        is_swept: whether values with commas between them are cells of a grid.
    """
    name, _, value = word.partition("=")
    if name != "freeze" or not value or (is_swept and "," in value and value[0] != "["):
        return [word]
    options = options_of("freeze")
    parts = value.strip("[]").split(",")
    is_list = value.startswith("[") and value.endswith("]")
    named = all(re.search(r"[.*]", part) or _is_numbered(part, options) for part in parts)
    if not is_list and (not named or all(part in options for part in parts)):
        return [word]
    return [f"freeze={LAYERS}", f"callbacks.freeze.patterns=[{','.join(map(_quoted, parts))}]"]


def _is_numbered(part: str, options: Sequence[str]) -> bool:
    """Say whether a name has a number, as most layers have, and is not a misspelled option.

    Examples:
        >>> [_is_numbered(part, ["layer1", "convs"]) for part in ("layer2", "layer1", "conv1", "layr1", "all")]
        [True, True, True, False, False]
    """
    import difflib

    def without_digits(name: str) -> str:
        return re.sub(r"\d", "", name)

    numbered = [option for option in options if re.search(r"\d", option)]
    close = difflib.get_close_matches(part, numbered, cutoff=0.8)
    is_option = part in options or without_digits(part) in map(without_digits, close)
    return part != without_digits(part) and (is_option or not close)


def _quoted(part: Any) -> str:
    return part if re.fullmatch(r"[\w.]+", part.strip()) else f"'{part.strip()}'"

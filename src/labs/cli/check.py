"""Check a composed recipe against the constructors it will call, before any data or device is touched."""

import difflib
import inspect
import math
import typing
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import get_object, instantiate
from omegaconf import DictConfig, OmegaConf
from typeguard import CollectionCheckStrategy, TypeCheckError, check_type

from labs import LabsError
from labs.runs.directory import one_line
from labs.runs.trusted import check_targets

# Arguments of Lightning's Trainer that the project decides, or that have another word: what to type instead.
NOT_TYPED = {
    "default_root_dir": "hydra.run.dir=<folder>",
    "overfit_batches": "debug=overfit",
    "callbacks": "callbacks.<name>=..., or callbacks.<name>=null to leave one out",
    "logger": "logger=tensorboard, logger=csv, logger=wandb, logger=mlflow, logger=trackio or logger=none",
    "plugins": "nothing: a plugin of the project writes checkpoints",
    "barebones": "callbacks.<name>=null and logger=none",
    "use_distributed_sampler": "nothing: the datamodule's own sampler knows the processes",
}


LOGGER_PACKAGES = ("wandb", "mlflow", "trackio")  # loggers that need a package of their own, of the same name


class MisfitError(LabsError):
    """A constructor has no use for a setting of the recipe: choices of different practicals may be mixed."""


def check_recipe(cfg: DictConfig) -> None:
    """Check every setting's name and type against the signature of the `_target_` it goes to.

    Checks that need no signature come first, before anything heavy is imported.

    Raises:
        LabsError: a name that the constructor does not take, or a value of another type.
    """
    for name in ("resume", "rerun", "trust", "draw_architecture", "channels_last", "compile"):
        if not isinstance(cfg[name], bool):
            raise LabsError(f"{name}={cfg[name]}: expected true or false.")
    if not isinstance(cfg.pretrained, str):
        raise LabsError(f"pretrained={_typed(cfg.pretrained)}: expected the name of weights; type weights=random.")
    if cfg.compile and "execution" not in cfg.callbacks:
        raise LabsError("compile=true: nothing is compiled in this practical; leave it out.")
    _check_trainer(cfg)
    for section in ("datamodule", "module", "trainer", "callbacks", "logger"):
        if OmegaConf.is_config(cfg[section]):
            node = OmegaConf.to_container(cfg[section], resolve=True)
            if not cfg.trust:
                check_targets(node, section, f"the run directory {cfg.paths.run_dir}")
            _check_node(node, section)


def check_loggers(cfg: DictConfig) -> None:
    """Refuse a logger whose package is missing, before anything is built."""
    for name in LOGGER_PACKAGES:
        if cfg.logger.get(name) and find_spec(name) is None:
            raise LabsError(f"logger={name}: the package {name} is not installed; type pip install {name}.")


def check_seed(seed: Any) -> None:
    """Refuse anything but a seed, before it becomes part of a recipe."""
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**32:
        raise LabsError(f"seed={_typed(seed)}: expected a whole number from 0 to {2**32 - 1}, such as seed=1.")


def check_places(paths: Any) -> None:
    """Refuse anything but folders, before one is asked for."""
    for name in ("data", "outputs", "weights", "run_dir"):
        typed = OmegaConf.select(paths, name) if OmegaConf.is_config(paths) else paths
        if not isinstance(typed, str) and not (typed is None and name == "weights"):
            raise LabsError(f"paths.{name}={_typed(typed)}: expected a folder, such as paths.{name}=/scratch/{name}.")


def check_practical(practical: Any) -> None:
    """Refuse anything but a name: the record of a run could not be read again."""
    if not isinstance(practical, str):
        raise LabsError(
            f"practical={_typed(practical)}: expected the name of a practical, which the experiment gives; leave "
            "practical= out."
        )


def _check_trainer(cfg: DictConfig) -> None:
    """Refuse a training that does nothing or has no end, and arguments that have another word."""
    trainer = cfg.trainer
    if str(trainer.max_epochs) == "0":  # false, which equals 0, is a value of the wrong type
        raise LabsError("trainer.max_epochs=0: nothing would be trained; type 1 or more.")
    for name in ("limit_train_batches", "limit_test_batches", "max_steps"):
        if str(trainer[name]) in ("0", "0.0"):
            done = "tested" if "test" in name else "trained"
            raise LabsError(f"trainer.{name}={trainer[name]}: nothing would be {done}; type 1 or more.")
    if "spawn" in str(trainer.strategy):  # it would have to pickle the run
        raise LabsError(f"trainer.strategy={trainer.strategy}: processes cannot be spawned; type trainer.strategy=ddp.")
    for name in ("accumulate_grad_batches", "check_val_every_n_epoch"):
        if isinstance(trainer[name], int) and not isinstance(trainer[name], bool) and trainer[name] < 1:
            raise LabsError(f"trainer.{name}={trainer[name]}: expected a whole number from 1.")
    if trainer.max_epochs in (None, -1) and trainer.max_steps in (None, -1) and trainer.max_time is None:
        raise LabsError(
            f"trainer.max_epochs={_typed(trainer.max_epochs)}: the training would not end; type a number of epochs, "
            "such as epochs=30, or add trainer.max_time=00:01:00:00 (one hour)."
        )
    decided = {"default_root_dir": cfg.paths.run_dir, "use_distributed_sampler": False}
    for name, instead in NOT_TYPED.items():
        if name in trainer and trainer[name] != decided.get(name):
            raise LabsError(f"trainer.{name} cannot be typed; type {instead}.")
    for name in ("callbacks", "logger"):
        for key, node in cfg[name].items():
            if node is not None and not (OmegaConf.is_config(node) and "_target_" in node):
                raise MisfitError(
                    f"{name}.{key}: the recipe has settings for it, but the chosen {name} have nothing of that name. "
                    f"Leave {name}= out, or type {name}.{key}=null."
                )


def check_data(cfg: DictConfig, choices: Mapping[str, str], sources: Sequence[Any]) -> None:
    """Refuse `data=embedded` for a dataset without embedded images: its own images would be labeled as embedded.

    Args:
        cfg: the recipe.
        choices: of every group.
        sources: where Hydra looks for options.

    Raises:
        LabsError: names the missing file, or the setting that contradicts `data`.
    """
    data, datamodule = choices["data"], choices["datamodule"]
    option = f"data/embedded/{datamodule}.yaml"
    folders = [source.path for source in sources if source.provider != "hydra" and source.path]
    if data == "embedded" and not any(Path(folder, option).is_file() for folder in folders):
        raise LabsError(
            f"data=embedded: datamodule={datamodule} has no embedded images (there is no conf/{option}); "
            "type data=online."
        )
    typed = OmegaConf.select(cfg, "datamodule.embedded")
    if isinstance(typed, bool) and typed != (data == "embedded"):
        raise LabsError(
            f"datamodule.embedded={str(typed).lower()}: data={data} contradicts it; leave it out and choose by data=."
        )


def is_out_of_memory(error: BaseException) -> bool:
    """Say whether the machine's memory is full, in Python's words or in torch's."""
    of_torch = isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
    return of_torch or isinstance(error, MemoryError)


def build(node: DictConfig, key: str, **given: Any) -> Any:
    """Instantiate one node of the recipe with plain Python containers.

    Raises:
        LabsError: the constructor refused a value; the message names the key.
    """
    try:
        return instantiate(node, **given, _convert_="all")
    except InstantiationException as error:
        cause = error.__cause__
        if isinstance(cause, LabsError):
            raise cause from None
        if cause is None:
            raise
        if is_out_of_memory(cause):
            raise cause from None  # of whatever size: `explain` knows what to type
        is_plain = isinstance(cause, (ValueError, TypeError, ImportError, FileNotFoundError))
        is_plain |= "Misconfiguration" in type(cause).__name__
        raise LabsError(f"{key}: {cause if is_plain else one_line(cause)}") from error


def _check_node(node: Any, key: str) -> None:
    if isinstance(node, list):
        for index, item in enumerate(node):
            _check_node(item, f"{key}[{index}]")
    if isinstance(node, float) and not math.isfinite(node):
        raise LabsError(f"{key}={node}: expected a number, such as 0.01.")
    if not isinstance(node, dict):
        return
    if "_target_" in node:
        _check_call(node, key)
    for name, value in node.items():
        _check_node(value, f"{key}.{name}")


def _check_call(node: dict[str, Any], key: str) -> None:
    target = node["_target_"]
    try:
        parameters = _parameters(target)
    except Exception as error:
        raise LabsError(f"{key}._target_={target}: this cannot be imported: {error.__cause__ or error}.") from error
    names = [name for name, p in parameters.items() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    for name, value in node.items():
        if name in names:
            expected, is_built_later = parameters[name].annotation, isinstance(value, dict) and "_target_" in value
            if expected is not inspect.Parameter.empty and not isinstance(expected, str) and not is_built_later:
                _check_value(value, expected, f"{key}.{name}")
        elif not takes_any and name not in ("_target_", "_partial_", "_convert_", "_recursive_", "_args_"):
            close = difflib.get_close_matches(str(name), names, n=1)
            hint = f"did you mean {key}.{close[0]}?" if close else f"it takes {', '.join(names)}."
            raise MisfitError(f"{key}.{name}: {target.rpartition('.')[2]} takes no argument '{name}'; {hint}")


@cache  # the cells of a grid call the same constructors
def _parameters(target: str) -> Mapping[str, inspect.Parameter]:
    """Return the parameters of a class or function; types that cannot be resolved stay strings.

    A class of ours hands the settings that it does not name, its `**settings`, to its base.
    """
    call = get_object(target)
    try:
        found = dict(inspect.signature(call, eval_str=True).parameters)
    except NameError:
        found = dict(inspect.signature(call).parameters)
    rest = [name for name, p in found.items() if p.kind is p.VAR_KEYWORD]
    if rest and inspect.isclass(call) and call.__module__.startswith("labs."):
        base = call.__bases__[0]
        found = {**_parameters(f"{base.__module__}.{base.__qualname__}"), **found}
        del found[rest[0]]
    return found


def _check_value(value: Any, hint: Any, key: str) -> None:
    readings = [value, tuple(value)] if isinstance(value, list) else [value]  # YAML has no tuples
    if not any(_fits(reading, hint) for reading in readings):
        raise LabsError(f"{key}={_typed(value)}: expected {_readable(hint)}.")


def _fits(value: Any, hint: Any) -> bool:
    if isinstance(value, bool) and "bool" not in str(hint) and hint is not Any:
        return False  # to Python, true is the number 1
    if isinstance(value, str) and typing.get_origin(hint) is Sequence:
        return False  # to Python, a word is a sequence of letters
    try:
        check_type(value, hint, collection_check_strategy=CollectionCheckStrategy.ALL_ITEMS)
    except TypeCheckError:
        return False
    return True


def _typed(value: Any) -> str:
    """Write a value as it is typed on the command line."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)


def _readable(hint: Any) -> str:
    """Write a type for a person: `int | None` as 'a whole number or null'.

    Examples:
        >>> _readable(int | None)
        'a whole number or null'
    """
    words = {
        int: "a whole number",
        float: "a number",
        str: "a word",
        bool: "true or false",
        type(None): "null",
    }
    if hint in words:
        return words[hint]
    origin, arguments = typing.get_origin(hint), [a for a in typing.get_args(hint) if not _is_left_out(a)]
    if origin is typing.Literal:
        return "one of " + ", ".join(str(a) for a in arguments)
    if arguments and origin not in (list, dict, tuple) and "Union" in str(origin):
        return " or ".join(_readable(a) for a in arguments)
    if origin in (list, tuple, Sequence):
        return f"a list [a, b], each {_readable(arguments[0])}" if arguments else "a list [a, b]"
    if origin in (dict, Mapping):
        return (
            f"a mapping {{key: value}}, each value {_readable(arguments[1])}" if arguments else "a mapping {key: value}"
        )
    name = getattr(hint, "__name__", str(hint)).replace("typing.", "")
    return f"settings with the _target_ of a {name}" if inspect.isclass(hint) or origin is Callable else name


def _is_left_out(hint: Any) -> bool:
    return hint is Path or getattr(hint, "__name__", "") == "Tensor"

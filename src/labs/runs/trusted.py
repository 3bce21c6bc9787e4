"""What a run directory may decide: somebody may have handed it over, so it runs no code and chooses no places.

What is built from it stands in `conf/`, or is an optimizer, a schedule or a callback of the libraries that conf/ uses.
What decides where files are written, or what Hydra does, is typed by the user. `trust=true` lifts both.
"""

import re
import shlex
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from labs import LabsError
from labs.runs.places import project_folder
from labs.runs.recipe import is_part

# Names and patterns of settings that no run directory decides; each stands for everything under it, too.
TYPED_ONLY = (
    *("hydra", "paths", "upstream", "trainer.default_root_dir", "trainer.profiler"),
    *("*.dirpath", "*.filename", "*.folder", "*.save_dir", "*.weights_folder"),
    "logger.*.*",  # where a logger writes, or sends what
)
# Modules of libraries, and of which classes they may be asked beyond those that conf/ names.
KINDS = {
    "torch.optim": ("torch.optim", "Optimizer"),
    "torch.optim.lr_scheduler": ("torch.optim.lr_scheduler", "LRScheduler"),
    "lightning.pytorch.callbacks": ("lightning.pytorch.callbacks", "Callback"),
}


def check_targets(node: Any, name: str, run: str) -> None:
    """Refuse to build what somebody else may have written into a recipe; nothing of it is imported for that.

    Args:
        node: plain containers, resolved.
        name: of the node in the recipe.
        run: how the run directory was typed, such as `resume=outputs/run`.

    Raises:
        LabsError: a `_target_`, however deep, is not one of those that may be built, or gets arguments without names.
    """
    for place, target in _targets(node, name):
        if place.endswith("._args_"):  # without names: nobody could say which of them is a place to write to
            raise LabsError(f"{run}: its recipe has {place}; settings have names. If you trust it, add trust=true.")
        if not is_allowed(target):
            raise LabsError(
                f"{run}: its recipe would call {target!s:.200} ({place}), which conf/ does not name and which could "
                "run any code. If you know where this directory comes from, add trust=true."
            )


def is_allowed(target: Any) -> bool:
    """Say whether a `_target_` may be built from somebody's run directory."""
    if not isinstance(target, str):
        return False
    if target in named_in_conf():
        return True
    module, _, name = target.rpartition(".")
    if module not in KINDS or not name.isidentifier():
        return False
    place, kind = KINDS[module]
    found = getattr(import_module(module), name, None)
    return isinstance(found, type) and issubclass(found, getattr(import_module(place), kind))


@cache
def named_in_conf() -> frozenset[str]:
    """Return every `_target_` that `conf/` names: the folder beside the program that runs, or that of this checkout."""
    texts = (path.read_text(encoding="utf-8") for path in (project_folder() / "conf").rglob("*.yaml"))
    return frozenset(target for text in texts for target in re.findall(r"^ *_target_: *([\w.]+)", text, re.MULTILINE))


def is_computed(word: str) -> bool:
    """Say whether a word calls something to get its value: that reads the environment, or hides what it holds.

    Examples:
        >>> is_computed("seed=${oc.env:SECRET}"), is_computed("datamodule.batch_size=${trainer.max_epochs}")
        (True, False)
    """
    return re.search(r"\$\{[^}]*:", word) is not None


def is_typed_only(name: str) -> bool:
    """Say whether a setting is decided by who types the command, never by a run directory.

    What a logger is, is not: `check_targets` judges it, and nobody is asked to type a stranger's `_target_`.

    Examples:
        >>> is_typed_only("paths.data"), is_typed_only("callbacks.best.dirpath"), is_typed_only("optimizer.lr")
        (True, True, False)
        >>> is_typed_only("logger.wandb.project"), is_typed_only("logger.wandb._target_")
        (True, False)
    """
    is_target = name.startswith("logger.") and name.endswith("._target_")
    return not is_target and not is_part(name, TYPED_ONLY)


def needed_again(command: str) -> str:
    """Return what a command that goes on with a run must repeat, after a space; nothing for most runs."""
    typed = [word for word in shlex.split(command) if "=" in word]
    words = [word for word in typed if is_computed(word) or is_typed_only(word.partition("=")[0])]
    words += ["trust=true"] if "_target_" in command else []
    return "".join(f" {shlex.quote(word)}" for word in words)


def names_in(name: str, value: Any) -> Iterator[str]:
    """Yield the name of a setting, and those of the settings in its value.

    Examples:
        >>> list(names_in("callbacks.best", {"dirpath": "/tmp", "mode": "max"}))
        ['callbacks.best', 'callbacks.best.dirpath', 'callbacks.best.mode']
    """
    yield name
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from names_in(f"{name}.{key}", inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from list(names_in(name, inner))[1:]


def links_out_of(run_dir: Path) -> list[Path]:
    """Return the links of a directory that lead out of it: a run would write there."""
    links = (path for path in run_dir.rglob("*") if path.is_symlink())
    return [link for link in links if not link.resolve().is_relative_to(run_dir.resolve())]


def _targets(node: Any, name: str) -> Iterator[tuple[str, Any]]:
    if isinstance(node, dict):
        yield from ((f"{name}.{key}", node[key]) for key in ("_target_", "_args_") if key in node)
        for key, value in node.items():
            yield from _targets(value, f"{name}.{key}")
    elif isinstance(node, (list, tuple)):
        for index, item in enumerate(node):
            yield from _targets(item, f"{name}[{index}]")

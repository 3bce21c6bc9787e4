"""The recipe of a run in its normal form: one text, from which come its key, a grid's cells and a report's rows.

What is part of it: every setting that can change a number, with its value; the content of weights, not their place; the
recipe of embedded weights. What is not part of it stands in one list, `NOT_PART`.
"""

import hashlib
import os
import shlex
from collections.abc import Collection, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from labs.runs.directory import weights_file
from labs.storage.files import check_file, read_text

# What a command does with a run: never repeated with it.
THE_CALL = ("grid", "search", "trial", "resume", "rerun", "sweep", "trust", "hydra")
# Where things lie, and what carries out the computation.
PLACES = (
    *("paths", "*.folder", "*.weights_folder", "*.dirpath", "trainer.default_root_dir", "trainer.accelerator"),
    *("datamodule.num_workers", "datamodule.source.workers"),
)
# What is shown or kept of a run.
SHOWN = (
    *("practical", "logger", "draw_architecture", "feature_cache"),
    *("trainer.enable_*", "trainer.log_every_n_steps", "trainer.profiler"),
    *("callbacks.architecture", "callbacks.feature_cache", "callbacks.features", "callbacks.learning_rate"),
    *("callbacks.classes", "callbacks.explain", "callbacks.hidden_units", "callbacks.histograms", "callbacks.keep"),
    *("callbacks.learning_curves", "callbacks.pictures", "callbacks.progress", "callbacks.pruning"),
    *("callbacks.samples", "callbacks.steps", "callbacks.watch", "callbacks.watchdog"),
)
# Each name or pattern stands for itself and for everything under it: none of it changes a number.
NOT_PART = (*THE_CALL, *PLACES, *SHOWN)

# With which a run does less than its epochs and its splits are, and their values with which it does not.
LIMITS = {
    **{f"trainer.limit_{split}_batches": ("null", "1.0") for split in ("train", "val", "test")},
    "trainer.fast_dev_run": ("null", "False", "0"),
    "trainer.overfit_batches": ("null", "0"),
    "trainer.max_steps": ("null", "-1"),
    "trainer.max_time": ("null",),
}
FOLD = "datamodule.fold"  # the part of the images that is tested: another sample, as another seed is
IMAGES = "datamodule.source.path"  # the user's own: known by what lies there, not by where that is
LARGEST = 200_000  # bytes of a recorded recipe; those of the hand-outs have 5,000
WEIGHT_FILES = (".ckpt", ".pt", ".pth", ".safetensors")


class Recipe(NamedTuple):
    """What a run is: its normal form, and what `metrics.json` says of it in words (experiment, seed, command, ...)."""

    text: str
    facts: dict[str, Any]

    @property
    def key(self) -> str:
        """Return the twelve letters that name the recipe: the same key, the same numbers."""
        return key_of(self.text)


def is_part(name: str, apart: tuple[str, ...] = NOT_PART) -> bool:
    """Say whether a setting belongs to the recipe.

    Examples:
        >>> is_part("module.optimizer.lr"), is_part("paths.data"), is_part("datamodule.source.folder")
        (True, False, False)
    """
    words = name.lstrip("+~").replace("/", ".").split(".")
    parents = [".".join(words[: place + 1]) for place in range(len(words))]
    return not any(fnmatchcase(parent, pattern) for parent in parents for pattern in apart)


def normal_form(settings: Mapping[str, Any], seed: int, start: str = "", fold: int | None = None) -> str:
    """Write a recipe: first what may differ within a row, then the settings that are part of it, sorted.

    Args:
        settings: resolved, by name; what follows the seed is written as a word in place of the number.
        seed: of the run.
        start: digest of the weights that it starts from, where they are those of a run.
        fold: of the images, that is tested, where there are folds.
    """
    first = {"seed": seed, **({"start": start} if start else {}), **({} if fold is None else {"fold": fold})}
    return f"{_dump(first)}---\n{_dump(_parts(settings, ''))}"


def key_of(text: str) -> str:
    """Return twelve letters that name a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def of_every_seed(text: str) -> str:
    """Return what a recipe has in common with those of other seeds and folds: what makes a row of a table."""
    return text.partition("---\n")[2]


def flat(text: str) -> dict[str, str]:
    """Return the settings of a recipe by their full names, such as `module.optimizer.lr`."""
    found: dict[str, str] = {}

    def walk(node: Any, name: str) -> None:
        if isinstance(node, dict) and (node or not name):
            for key, value in node.items():
                walk(value, f"{name}.{key}" if name else str(key))
        else:
            found[name] = "null" if node is None else str(node)

    try:
        walk(yaml.load(of_every_seed(text), Loader=_WithoutAliases) or {}, "")
    except (yaml.YAMLError, RecursionError):  # nobody reads it
        return {}
    return found


def read_recipe_text(file: Path) -> str:
    """Read a recipe that somebody else may have written.

    Raises:
        OSError: It is no file: reading it could wait forever.
        ValueError: It is larger than any recipe, or no UTF-8 text.
    """
    check_file(file)
    if file.stat().st_size > LARGEST:
        raise ValueError(f"it has {file.stat().st_size:,} bytes, and no recipe has more than {LARGEST:,}")
    return read_text(file)


def without_aliases(text: str) -> str:
    """Return YAML as it is, if nothing in it stands for something else: a few lines of that could fill the memory.

    Raises:
        YAMLError: It has an alias, or is no YAML.
        RecursionError: It is nested too deeply.
    """
    yaml.compose(text, Loader=_WithoutAliases)
    return text


def limits(text: str) -> list[str]:
    """Return the settings of a recipe that leave out some of its epochs or of its images, as they are typed.

    Examples:
        >>> limits(normal_form({"trainer": {"max_steps": -1, "limit_test_batches": 2}}, seed=0))
        ['trainer.limit_test_batches=2']
    """
    found = flat(text)
    return [f"{name}={found[name]}" for name, whole in LIMITS.items() if found.get(name, "null") not in whole]


def typed_settings(command: str, choices: Collection[str]) -> dict[str, str]:
    """Return what a command sets of the recipe, by name, except what the record of a run holds apart.

    That is the seed, the fold, the experiment, the data and the named choices.
    """
    try:
        words = shlex.split(command)
    except ValueError:  # a quote that is never closed: a command edited by hand
        words = command.split()
    overrides = [word for word in words if ("=" in word and not word.startswith("-")) or word.startswith("~")]
    pairs = ((name.lstrip("+"), value) for name, _, value in (override.partition("=") for override in overrides))
    apart = {"seed", FOLD, "experiment", "data", "run", "tags", "datamodule.root", *choices}
    # more devices than one are a larger batch
    same = (("trainer.devices", "1"), ("trainer", "default"), ("trainer", "cpu"), ("trainer", "gpu"))
    return {n: v for n, v in pairs if n not in apart and is_part(n) and (n, v) not in same}


def digest_of_file(file: Path) -> str:
    """Return the SHA-256 of a file's content."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def digest_of_images(path: Path) -> str:
    """Return a digest of a table's content, or of the names and lengths of the files in a folder; hidden ones apart."""
    if path.is_file():
        return digest_of_file(path)
    hashed = hashlib.sha256()
    for folder, folders, files in os.walk(path):
        folders[:] = sorted(name for name in folders if name[0] != ".")
        for file in (Path(folder, name) for name in sorted(files) if name[0] != "."):
            size = file.stat().st_size if file.exists() else 0  # a link may lead nowhere
            hashed.update(f"{file.relative_to(path).as_posix()} {size}\n".encode(errors="surrogateescape"))
    return hashed.hexdigest()


class _WithoutAliases(yaml.SafeLoader):
    """Read YAML in which nothing stands for something else: a few lines of that could fill the memory."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Refuse what no recipe holds."""
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("an alias")
        return super().compose_node(parent, index)


def _parts(node: Any, name: str) -> Any:
    """Return what is part of the recipe of a node: whole numbers as such, weight files by their content."""
    if isinstance(node, Mapping):
        inner = {str(key): (value, f"{name}.{key}" if name else str(key)) for key, value in node.items()}
        return {key: _parts(v, full) for key, (v, full) in inner.items() if v is not None and is_part(full)}
    if isinstance(node, (list, tuple)):
        return [_parts(item, name) for item in node]
    if isinstance(node, float) and node.is_integer() and name not in LIMITS:  # there 1 is a batch, and 1.0 all
        return int(node)
    if isinstance(node, str) and (node.endswith(WEIGHT_FILES) or name.endswith(".weights")):
        file = weights_file(Path(node).expanduser())  # itself, or that of a run
        return f"sha256 {digest_of_file(file)}" if file else node
    if name == IMAGES and isinstance(node, str) and (place := Path(node).expanduser()).exists():
        return f"images {digest_of_images(place)[:24]}"
    return node


def _dump(content: Any) -> str:
    return yaml.safe_dump(content, sort_keys=True, allow_unicode=True, width=1000)

"""Expand what Hydra's grammar does not know: settings by the word of their axis, paths with any name, `resume=`."""

import re
from pathlib import Path

from labs import LabsError

# An axis is one word, and its settings hang under that word: freeze.batch_norm=train is
# callbacks.freeze.batch_norm=train.
AXES = {
    "freeze": "callbacks.freeze",
    "feature_cache": "callbacks.feature_cache",
    "optimizer": "module.optimizer",
    "scheduler": "module.scheduler",
    "net": "module.net",
    "augment": "datamodule.augment",
    "reversal": "module.reversal",
    "lr_find": "callbacks.lr_find",
}

# Settings that are mappings of the user's own keys, which Hydra would merge with what is there, or refuse.
FREE_MAPPINGS = ("module.lr_scale", "callbacks.freeze.unfreeze", "search.space")


# Options and values with the name `true`, which Hydra would read as a truth value.
CALLED_TRUE = ("gan_loss", "module.loss", "lr_find")

# Settings that are folders: names such as 2026_11 or 1e5 stay as they are typed.
FOLDERS = ("paths.data", "paths.outputs", "paths.weights", "hydra.run.dir", "hydra.sweep.dir")

# Files and folders that are read, which may have any name; several of them are a sweep.
PATHS = ("datamodule.source.path",)

# Images and runs that are read: if one exists, it needs no quotes, whatever its name is.
READ = ("datamodule.images", "datamodule.content", "datamodule.style", "module.photographs", "module.judge.weights")

# Something in quotes, or a number with underscores, which Hydra would remove: 2026_11 becomes 202611.
QUOTED_OR_UNDERSCORED = re.compile(
    r"""'(?:\\.|[^'])*'|"(?:\\.|[^"])*"|(?<![^\s,:=[({])[+-]?\d[\d.]*_[\d._]*(?:[eE][+-]?\d+)?(?![^\s,\])}])"""
)

# A range of a search, such as `log(1e-4, 1)`, which Hydra would take for a function of its own.
RANGE = re.compile(r"""'[^']*'|"[^"]*"|\w+\([^()]*\)""")


def expand(arguments: list[str]) -> list[str]:
    """Expand the short forms in a list of command-line arguments.

    - `freeze.x=y`, `optimizer.x=y`, ... name the settings of an axis by its word (`AXES`).
    - `gan_loss=true` names an option, not a truth value.
    - `freeze.unfreeze={5: [layer4]}` and other mappings replace what is there.
    - `paths.outputs=2026_11` and other numbers with underscores stay what was typed; `~/` is the home directory.
    - `datamodule.source.path=a=b, c` needs no quotes.
    - `datamodule.images=a=b, c.png` needs none where there is such a file.
    - `search.space={optimizer.lr: log(1e-4, 1)}` needs no quotes around a range, and no `search=any`.
    - `weights=<run directory or checkpoint>` starts from the weights of a run.
    - `run=<run directory>` looks into the net of a run, which means the same.
    - `resume=<run directory>` repeats that run's overrides in that directory, from its last checkpoint.
    - `retry=<run directory>` does, too, but starts anew what has failed and skips what has finished.
      That directory runs no code and chooses no folders, unless `trust=true` is typed.

    Raises:
        LabsError: `resume` or `retry` names something that is not a run directory, or is part of a sweep, or
            repeats words that no directory decides.

    Examples:
        >>> expand(["experiment=cub_full", "optimizer.lr=0.01", "--cfg", "job"])
        ['experiment=cub_full', 'module.optimizer.lr=0.01', '--cfg', 'job']
    """
    expanded: list[str] = []
    if any(a.startswith("search.") for a in arguments) and not any(a.startswith("search=") for a in arguments):
        expanded.append("search=any")
    for argument in arguments:
        key, _, value = argument.partition("=")
        if key in ("resume", "retry") and value.lower() not in ("true", "false", "null"):
            if {"-m", "--multirun"} & set(arguments):
                raise LabsError(
                    f"{argument}: a run is repeated by itself, without -m; a grid goes on when it is typed again."
                )
            from labs.cli.repeat import repeat

            expanded += [*repeat(argument, arguments), *(["resume=true"] if key == "resume" else [])]
        elif key == "run" or (key == "weights" and ("/" in value or _exists(_bare(value)))):
            expanded.append(f"module.net.weights={_paths(value)}")
        elif key == "search.space":
            expanded += _long_names(f"{key}={RANGE.sub(_quoted_range, value)}")
        elif key in PATHS and "${" not in value and value not in ("", "null"):
            is_swept = {"-m", "--multirun"} & set(arguments)
            expanded.append(f"{key}={_paths(value) if is_swept else quote(_at_home(_bare(value)))}")
        else:
            expanded += _long_names(_as_typed(argument))
    return expanded


def _as_typed(argument: str) -> str:
    """Quote what Hydra would change, and replace `~` by the home directory."""
    key, equals, value = argument.partition("=")
    if "${" in value:
        return argument
    if key in FOLDERS:
        return f"{key}={quote(_at_home(_bare(value)))}"
    if key in READ and any(mark in value for mark in ",= ") and _exists(_at_home(_bare(value))):
        return f"{key}={quote(_at_home(_bare(value)))}"
    if value.startswith("~/"):
        return f"{key}={quote(_at_home(value))}"
    kept = QUOTED_OR_UNDERSCORED.sub(lambda found: found[0] if found[0][0] in "'\"" else f"'{found[0]}'", value)
    return f"{key}{equals}{kept}"


def _quoted_range(found: re.Match[str]) -> str:
    return found[0] if found[0][0] in "'\"" else f"'{found[0]}'"


def _paths(value: str) -> str:
    """Quote a path, or several with commas between them, which are a sweep."""
    paths = [value] if _exists(_at_home(_bare(value))) else value.split(",")
    return ",".join(quote(_at_home(_bare(path))) for path in paths)


def _exists(path: str) -> bool:
    try:
        return Path(path).exists()
    except (OSError, ValueError):  # a name too long, or one with a zero in it
        return False


def _bare(value: str) -> str:
    """Return a value without the quotes around it."""
    return value[1:-1] if len(value) > 1 and value[0] in ("'", '"') and value[-1] == value[0] else value


def _at_home(path: str) -> str:
    """Return a path with the home directory in place of `~`."""
    return str(Path(path).expanduser()) if path.startswith("~") else path


def _long_names(argument: str) -> list[str]:
    match = re.match(r"^([+~]*)(\w+)\.(.*)$", argument, re.DOTALL)
    if match and match[2] in AXES:
        argument = f"{match[1]}{AXES[match[2]]}.{match[3]}"
    key, _, value = argument.partition("=")
    if key in CALLED_TRUE:
        return [f"{key}={','.join(quote(v) if v == 'true' else v for v in value.split(','))}"]
    return [f"{key}=null", f"++{argument}"] if key in FREE_MAPPINGS else [argument]


def quote(value: str) -> str:
    """Quote a path where Hydra's grammar needs it: `=`, `,` and spaces mean something there.

    Examples:
        >>> quote("outputs/cub_table4"), quote("a, b")
        ('outputs/cub_table4', "'a, b'")
    """
    plain = re.fullmatch(r"[\w./-]*/[\w./-]*", value)  # a slash: `null` and `1` alone would not be words
    return value if plain else "'" + re.sub(r"(\\*)('|\Z)", _escaped, value) + "'"


def _escaped(found: re.Match[str]) -> str:
    """Escape a quote, and the backslashes before it or before the quote that closes: no others mean anything."""
    return found[1] * 2 + ("\\'" if found[2] else "")

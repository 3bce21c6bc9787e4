"""The pages of `python train.py --help`, `--help <name>` and `--list`, read from `conf/` and the practicals' sheets."""

import difflib
import re
import shutil
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

from labs import LabsError
from labs.cli.options import axes, comments, file_of, groups, header, options_of, practical_of
from labs.practicals import sheet_of
from labs.quantities import quantity

SHORT = """\
  epochs=3  lr=0.01  batch_size=32  steps=100  momentum=0.9  weight_decay=1e-4
  freeze=layer2 or freeze=layer1,layer2      layers by name
  weights=outputs/<experiment>/<time>        start from the weights of a run"""

# Hydra's own flags that a student needs; --hydra-help has the others.
FLAGS = """\
  --help <name>    an experiment, a grid or an axis   --list           experiments, grids and searches
  --cfg job        print the recipe and stop          -m, --multirun   run several values: seed=0,1,2
  --info defaults  which files make the recipe        --hydra-help     Hydra's own flags
  rerun=true       start finished runs again          sweep.on_error=stop   end a grid at the first failure
  resume=<run directory>   go on with a stopped run   hydra/launcher=joblib hydra.launcher.n_jobs=2   two cells at once
  hydra/launcher=slurm     each cell of a grid is a job of a cluster (docs/cluster.md)
  Tab completion in bash:  eval "$(python train.py --shell-completion install=bash)\""""

NO_PAGE = ("hydra", "paths", "debug")  # groups whose settings stand in --cfg job, not on the page of an experiment


def overview() -> str:
    """Write the page of `--help`."""
    return "\n".join(
        [
            _examples(),
            "",
            listing(),
            "Short forms, in every experiment that has such a setting",
            SHORT,
            "",
            "Axes: each is one word, and its settings follow it (optimizer=adamw optimizer.lr=1e-3)",
            *_axes(),
            f"  {'seed':<15}0, 1, 2, ...",
            "",
            "Flags and words for every run",
            FLAGS,
            "",
            "Whatever `python train.py experiment=<name> --cfg job` prints can be typed, such as trainer.devices=2",
        ]
    )


def listing() -> str:
    """Write the page of `--list`: experiments by practical, grids and searches, a line each."""
    by_practical: dict[str, list[str]] = {}
    for name in options_of("experiment"):
        by_practical.setdefault(practical_of(file_of("experiment", name)), []).append(name)
    lines = ["Experiments (python train.py experiment=<name>, or the name alone)"]
    for practical, experiments in sorted(by_practical.items()):
        sheet = sheet_of(practical)
        lines.append(f"  {practical}: {sheet.title} ({', '.join(filter(None, (sheet.handout, sheet.docs)))})")
        lines += _lines("experiment", experiments)
    for group, title in (("grid", "Grids"), ("search", "Searches")):
        lines += ["", f"{title} (python train.py -m {group}=<name>)", *_lines(group, options_of(group))]
    return "\n".join([*lines, ""])


def page(words: Sequence[str]) -> str:
    """Write the page of what the words name: an experiment, a grid, a search, an axis or an option.

    Args:
        words: such as `cub_full`, `experiment=cub_full`, `freeze` or `freeze=layer1`; settings beside them are ignored.

    Raises:
        LabsError: the words name nothing; the message says what is near.
    """
    for word in words:
        group, _, option = word.partition("=")
        for kind in ("experiment", "grid", "search"):
            name = option if group == kind else word
            if name in options_of(kind):
                return _experiment(name) if kind == "experiment" else _plan(kind, name)
    for word in words:
        group, _, option = word.partition("=")
        if option in options_of(group):
            return _option(group, option)
        if group in groups():
            return _axis(group)
    names = {word for group in groups() for word in (group, *options_of(group))}
    word = words[0].rpartition("=")[2] or words[0]
    for group in groups():
        if word in options_of(group):
            return _option(group, word)
    if any("=" in other and other.partition("=")[0] not in names for other in words):
        return overview()  # lr=0.01 --help
    close = difflib.get_close_matches(word.lower().replace("-", "_"), names, n=1)
    hint = f" Did you mean python train.py --help {close[0]}?" if close else ""
    raise LabsError(f"--help {word}: no experiment, grid or axis has this name.{hint} All: python train.py --list")


def _examples() -> str:
    """Return the first lines of the page, which `conf/` holds: nothing else names experiments."""
    import yaml

    text = file_of("hydra", "default").read_text(encoding="utf-8")
    return str(yaml.safe_load(text)["help"]["template"])


def _lines(group: str, names: Sequence[str]) -> list[str]:
    return [f"    {name:<23} {header(file_of(group, name))}" for name in names]


def _axes() -> Iterator[str]:
    width = max(shutil.get_terminal_size((120, 24)).columns, 80)
    for axis in axes():
        yield from textwrap.wrap(
            f"  {axis:<15}{', '.join(options_of(axis))}", width, subsequent_indent=" " * 17, break_on_hyphens=False
        )


def _axis(group: str) -> str:
    options = options_of(group)
    example = options[0] if options else "..."
    lines = [f"{group}: {quantity(len(options), 'option')}", *_lines(group, options)]
    return "\n".join([*lines, "", f"One of them with its settings: python train.py --help {group}={example}"])


def _option(group: str, option: str) -> str:
    """Write the page of an option: its file, which says what it is and what each setting means."""
    text = file_of(group, option).read_text(encoding="utf-8")
    kept = [line for line in text.splitlines() if not line.startswith("# @package")]
    return "\n".join([f"{group}={option}", "", *kept])


def _plan(kind: str, name: str) -> str:
    """Write the page of a grid or a search: what it is, its commands, and what it varies."""
    import yaml

    content: Any = yaml.safe_load(file_of(kind, name).read_text(encoding="utf-8"))
    varied = content.get("hydra", {}).get("sweeper", {}).get("params", {}) if kind == "grid" else content.get(kind, {})
    lines = [f"{kind}={name}", *_header(kind, name), "", "Varies" if kind == "grid" else "Settings"]
    lines += [f"  {key}={value}" for key, value in varied.items()]
    return "\n".join(lines)


def _header(group: str, name: str) -> list[str]:
    return [f"  {line.strip()}" if line.strip() else "" for line in comments(file_of(group, name))]


def _experiment(name: str) -> str:
    """Write the page of an experiment: what it is, its commands and numbers, and its settings with their meaning."""
    from labs.cli.short_forms import recipe_of, short_forms_of, value_of

    sheet = sheet_of(practical_of(file_of("experiment", name)))
    lines = [f"experiment={name}", *_header("experiment", name), ""]
    lines.append(f"Practical: {sheet.title} ({', '.join(filter(None, (sheet.handout, sheet.docs)))})")
    recipe = recipe_of((f"experiment={name}",))
    if recipe is None:
        return "\n".join(lines)
    choices = recipe.hydra.runtime.choices
    short = {f"{s}={value_of(recipe, long)}": long for s, long in short_forms_of(recipe).items()}
    lines += ["", "Short forms", *(f"  {typed:<24}{long}" for typed, long in short.items())]
    lines += ["", "Choices and settings, as this experiment has them; any of them can be typed"]
    for group in groups():
        option = str(choices.get(group))
        if group in NO_PAGE or option not in options_of(group) or group in ("experiment", "grid", "search"):
            continue
        lines.append(f"  {f'{group}={option}':<22}  {header(file_of(group, option))}")
        if group not in ("callbacks", "logger", "trainer", "data"):
            lines += _settings(group, option, recipe)
    return "\n".join([*lines, "", f"Everything else: python train.py experiment={name} --cfg job"])


def _settings(group: str, option: str, recipe: Any) -> Iterator[str]:
    """Yield a line for each setting of an option: its name as it is typed, its value here, and its comment."""
    from omegaconf import OmegaConf

    from labs.cli.overrides import AXES
    from labs.cli.short_forms import value_of

    node = value_of(recipe, AXES.get(group, group))
    for key, note in _notes(file_of(group, option).read_text(encoding="utf-8")).items():
        if not OmegaConf.is_dict(node) or key not in node or key.startswith("_"):
            continue
        value = value_of(recipe, f"{AXES.get(group, group)}.{key}")
        if OmegaConf.is_dict(value) or "folder" in key:  # settings of their own, or a place
            continue
        shown = str(value).lower() if isinstance(value, bool) else "null" if value is None else value
        shown = f"[{','.join(map(str, value))}]" if OmegaConf.is_list(value) else shown
        yield f"{f'    {group}.{key}={shown}':<42}  {note}".rstrip()


def _notes(text: str) -> dict[str, str]:
    """Return the top-level keys of an option file, each with the comment behind it."""
    found = {}
    for line in text.splitlines():
        if match := re.match(r"^(\w+):(?:[^#'\"]|'[^']*'|\"[^\"]*\")*(?:# *(.*))?$", line):
            found[match[1]] = match[2] or ""
    return found

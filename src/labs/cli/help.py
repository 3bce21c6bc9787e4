"""What conf/ computes: the name of a grid's cell, the page of `python train.py --help`.

The page lists experiments by practical, grids and axes, read from `conf/` and the sheets as they stand.
"""

import hashlib
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from labs.practicals import sheet_of
from labs.runs.computed import register_arithmetic
from labs.runs.recipe import THE_CALL, is_part
from labs.storage.files import cut

# Hydra's own flags that a student needs; --hydra-help has the rest.
FLAGS = """\
  --cfg job        print the recipe and stop          -m, --multirun   run a grid or comma-separated values
  --info defaults  which files make the recipe        --hydra-help     Hydra's own flags
  rerun=true       start anew what has finished       sweep.on_error=stop   end a grid at the first failure
  hydra/launcher=joblib hydra.launcher.n_jobs=2       run cells of a grid side by side"""

LONGEST = 160  # bytes of the name of a cell's folder

_GROUPS_APART = ("experiment", "grid", "search", "hydra", "paths")


def register_resolvers() -> None:
    """Make what conf/ computes known to it: `${labs_help:}`, `${labs_cell:...}` and so on."""
    register_arithmetic()
    OmegaConf.register_new_resolver("labs_help", lambda: help_text(config_folder()).replace("$", "$$"), replace=True)
    OmegaConf.register_new_resolver("labs_cell", cell_name, replace=True)
    OmegaConf.register_new_resolver("classes_in", classes_in, replace=True, use_cache=True)


def classes_in(path: str | None, *columns: str) -> int:
    """Count the classes of a folder or a table of images; none are in no folder, which is refused later.

    Args:
        path: as it is typed.
        columns: of a table: its columns for path, class and split, and what is done with others.
    """
    from labs.datamodules.folder_listing import list_images

    return len(list_images(path, columns[:3], columns[3]).classes) if path else 0


def cell_name(overrides: Sequence[str]) -> str:
    """Name a cell's folder by its overrides, with a digest of them where a file system would refuse that name.

    Examples:
        >>> cell_name(["seed=1", "grid=cub_table4", "experiment=cub_full"])
        'experiment=cub_full,seed=1'
        >>> cell_name(["datamodule.content=ph/1.png"]), cell_name(["datamodule.content=ph_1.png"])
        ('datamodule.content=ph_1.png...8d945cfb', 'datamodule.content=ph_1.png')
    """
    named = sorted(override for override in overrides if is_part(override.partition("=")[0], (*THE_CALL, "paths")))
    typed = ",".join(named)
    name = re.sub(r'[\x00-\x1f<>:"/\\|?*]', "_", typed)
    if name == typed == cut(name, LONGEST):
        return name
    digest = hashlib.sha256(typed.encode("utf-8", "surrogateescape")).hexdigest()
    return f"{cut(name, LONGEST - 20)}...{digest[:8]}"


def config_folder() -> Path:
    """Return the folder `conf/` beside the program that runs."""
    return Path(sys.argv[0]).resolve().parent / "conf"


def options_of(group: str) -> list[str]:
    """Return the options of an axis; none of what is no axis."""
    return sorted(path.stem for path in (config_folder() / group).glob("*.yaml")) if group else []


def help_text(conf: Path) -> str:
    """Write the help page from the option files under `conf` and the first words of their headers."""
    lines = ["Experiments"]
    by_practical: dict[str, list[tuple[str, str]]] = {}
    for path in sorted((conf / "experiment").glob("*.yaml")):
        by_practical.setdefault(practical_of(path), []).append((path.stem, header(path)))
    for practical, experiments in sorted(by_practical.items()):
        sheet = sheet_of(practical)
        lines.append(f"  {practical}: {sheet.title} ({', '.join(filter(None, (sheet.handout, sheet.docs)))})")
        lines += [f"    {name:<24}{what}" for name, what in experiments]
    lines += ["", "Grids (python train.py -m grid=...)"]
    lines += [f"    {path.stem:<24}{header(path)}" for path in sorted((conf / "grid").glob("*.yaml"))]
    lines += ["", "Searches (python train.py -m search=...)"]
    lines += [f"    {path.stem:<24}{header(path)}" for path in sorted((conf / "search").glob("*.yaml"))]
    lines += [
        "",
        "Axes: every one is one word, and its settings hang under it (optimizer=adamw optimizer.lr=1e-3)",
    ]
    for folder in sorted(p for p in conf.iterdir() if p.is_dir() and p.name not in _GROUPS_APART):
        options = [path.stem for path in sorted(folder.glob("*.yaml"))]
        lines.append(f"  {folder.name:<15}{', '.join(options)}")
    lines.append(f"  {'seed':<15}0, 1, 2, ...")
    lines += [
        "",
        "Flags",
        FLAGS,
        "",
        "Anything in `python train.py experiment=... --cfg job` can be set: trainer.max_epochs=5",
    ]
    return "\n".join(lines) + "\n"


def practical_of(experiment: Path) -> str:
    """Return the practical of an experiment's file, which another experiment may say that it builds on."""
    config: Any = OmegaConf.to_container(OmegaConf.load(experiment), resolve=False)
    bases = (name for name in config.get("defaults", []) if isinstance(name, str) and name != "_self_")
    own = (practical_of(experiment.with_name(f"{name}.yaml")) for name in bases)
    return str(config.get("practical") or next(own, "other"))


def header(path: Path) -> str:
    """Return what an option file says of itself: the first comment that is not a package directive."""
    comments = (line[1:].strip() for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("#"))
    return next((c for c in comments if not c.startswith("@package")), "")

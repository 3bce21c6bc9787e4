"""What a run says when it ends, and what it takes with it when it could not start."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from rich.console import Console
from rich.table import Column, Table

from labs.cli.again import rank
from labs.practicals import sheet_of
from labs.runs.directory import give_back_recipe, read_facts, shown_path

# What exists of a run before its first epoch has ended.
BEFORE_TRAINING = (
    "train.log",
    "metrics.json",
    "environment.json",
    "freeze.txt",
    "net.txt",
    "architecture.png",
    "architecture_generator.png",
    "architecture_discriminator.png",
    "traceback.txt",
)


@contextmanager
def leave_no_trace(cfg: DictConfig) -> Iterator[None]:
    """Take back what a run wrote if an error stopped it before its first epoch ended; other files stay.

    A resumed run that was refused leaves the recipe of the run that it could not go on with.
    """
    run_dir = Path(cfg.paths.run_dir)
    try:
        yield
    except Exception:
        if not (run_dir / "log.tsv").exists() and not cfg.resume:
            _take_back(run_dir)
        elif cfg.resume:
            give_back_recipe(run_dir)
        raise


def say_results(cfg: DictConfig, recipe: dict[str, Any], *, before: bool) -> None:
    """Print the closing table of metrics, where they are kept, and how to look at them; once for all processes.

    `before` says that the run had finished before this command.
    """
    if rank() > 0:
        return
    run_dir = Path(cfg.paths.run_dir)
    facts, sheet = read_facts(run_dir), sheet_of(recipe["practical"])
    notes = f"  ({', '.join(facts['labels'])})" if facts["labels"] else ""
    epoch = f", epoch {facts['best_epoch']} of {facts['epochs']}" if "best_epoch" in facts else ""
    heads, *lines = sheet.results(facts, run_dir)
    table = Table(heads[0], *(Column(head, justify="right") for head in heads[1:]))
    table.columns[0].no_wrap = True
    for line in lines:
        table.add_row(*line)
    console = Console()
    console.print(
        f"{recipe['experiment']}, seed {recipe['seed']}{epoch}{notes}", style="italic", highlight=False, soft_wrap=True
    )
    console.print(table)
    if before:
        console.print("finished before  nothing was trained; rerun=true starts anew", highlight=False, soft_wrap=True)
    console.print(f"run directory  {shown_path(run_dir)}", highlight=False, soft_wrap=True)
    if (run_dir / sheet.picture).is_file():
        console.print(f"picture        {shown_path(run_dir / sheet.picture)}", highlight=False, soft_wrap=True)
    console.print(f"look at it     tensorboard --logdir {cfg.paths.outputs}", highlight=False, soft_wrap=True)


def _take_back(run_dir: Path) -> None:
    if rank() > 0:
        return
    for name in BEFORE_TRAINING:
        (run_dir / name).unlink(missing_ok=True)
    for name in (".hydra", "tensorboard", "csv"):
        shutil.rmtree(run_dir / name, ignore_errors=True)
    with suppress(OSError):  # not empty: something else is in there
        run_dir.rmdir()

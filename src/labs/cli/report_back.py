"""What a run says when it ends, and what it takes with it when it could not start."""

import csv
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from labs.cli.again import rank
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
    facts = read_facts(Path(cfg.paths.run_dir))
    notes = f"  ({', '.join(facts['labels'])})" if facts["labels"] else ""
    epoch = f", epoch {facts['best_epoch']} of {facts['epochs']}" if "best_epoch" in facts else ""
    pictures = Path(cfg.paths.run_dir) / "pictures.tsv"
    table = _of_pictures(pictures) if pictures.is_file() else _of_splits(facts)
    console = Console()
    console.print(
        f"{recipe['experiment']}, seed {recipe['seed']}{epoch}{notes}", style="italic", highlight=False, soft_wrap=True
    )
    console.print(table)
    if before:
        console.print("finished before  nothing was trained; rerun=true starts anew", highlight=False, soft_wrap=True)
    console.print(f"run directory  {shown_path(cfg.paths.run_dir)}", highlight=False, soft_wrap=True)
    sheet = Path(cfg.paths.run_dir) / "images" / "sheet.png"
    if sheet.is_file():
        console.print(f"pictures       {shown_path(sheet)}", highlight=False, soft_wrap=True)
    console.print(f"look at it     tensorboard --logdir {cfg.paths.outputs}", highlight=False, soft_wrap=True)


def _of_splits(facts: dict[str, Any]) -> Table:
    metrics = facts["metrics"]
    if "test/acc" not in metrics:
        table = _table("measured", "value")
        for name, value in metrics.items():
            table.add_row(name, f"{value:.4g}")
        return table
    table = _table("split", "images", "accuracy", "loss")
    for split, count in facts["counts"].items():
        accuracy, loss = metrics.get(f"{split}/acc"), metrics.get(f"{split}/loss")
        if accuracy is not None and loss is not None:
            table.add_row(split, str(count), f"{100 * accuracy:.2f} %", f"{loss:.4f}")
    return table


def _of_pictures(file: Path) -> Table:
    """Return what was measured of each picture, as the run wrote it down."""
    with file.open(newline="", encoding="utf-8") as lines:
        heads, *rows = csv.reader(lines, delimiter="\t")
    shown = [place for place, head in enumerate(heads) if not head.endswith(("_start", "rollbacks"))]  # 80 columns
    table = _table(*(heads[place].replace("_", " ") for place in shown))
    for row in rows:
        table.add_row(row[0], *(f"{float(row[place]):.3g}" for place in shown[1:]))
    return table


def _table(first: str, *others: str) -> Table:
    table = Table()
    table.add_column(first, no_wrap=True)
    for column in others:
        table.add_column(column, justify="right")
    return table


def _take_back(run_dir: Path) -> None:
    if rank() > 0:
        return
    for name in BEFORE_TRAINING:
        (run_dir / name).unlink(missing_ok=True)
    for name in (".hydra", "tensorboard", "csv"):
        shutil.rmtree(run_dir / name, ignore_errors=True)
    with suppress(OSError):  # not empty: something else is in there
        run_dir.rmdir()

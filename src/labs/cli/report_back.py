"""What a run says when it ends, and what it takes with it when it could not start."""

import json
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from lightning_utilities.core.rank_zero import rank_zero_only
from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from labs.errors import LabsError

# What exists of a run before its first epoch has ended.
BEFORE_TRAINING = ("train.log", "metrics.json", "environment.json", "freeze.txt", "net.txt", "architecture.png")


@contextmanager
def leave_no_trace(cfg: DictConfig) -> Iterator[None]:
    """Take back what a run wrote if an error stopped it before its first epoch ended; other files stay."""
    run_dir = Path(cfg.paths.run_dir)
    try:
        yield
    except Exception:
        if not (run_dir / "log.tsv").exists() and not cfg.resume:
            _take_back(run_dir)
        raise


@contextmanager
def one_cell(cfg: DictConfig, *, multirun: bool) -> Iterator[None]:
    """Run a cell of a grid: on one device, and with its error said at once instead of after the last cell."""
    if multirun and str(cfg.trainer.devices) not in ("1", "[0]"):
        raise LabsError(
            f"trainer.devices={cfg.trainer.devices}: the cells of a grid run one after another in one process, on one "
            "device; type trainer.devices=1, or run the cells by single commands."
        )
    try:
        yield
    except Exception as error:
        if multirun:
            from labs.cli.explain import explain

            message = str(error) if isinstance(error, LabsError) else explain(error, sys.argv[1:])
            print(f"\nfailed: {cfg.paths.run_dir}\n  {message or repr(error)}", file=sys.stderr)
        raise


@rank_zero_only
def say_results(cfg: DictConfig, recipe: dict[str, Any], metrics: dict[str, float]) -> None:
    """Print the closing table of metrics, where they are kept, and how to look at them."""
    facts = json.loads((Path(cfg.paths.run_dir) / "metrics.json").read_text())
    notes = f"  ({', '.join(facts['labels'])})" if facts["labels"] else ""
    epoch = f", epoch {facts['best_epoch']} of {facts['epochs']}" if "best_epoch" in facts else ""
    table = Table(title=f"{recipe['experiment']}, seed {recipe['seed']}{epoch}{notes}", title_justify="left")
    for column in ("split", "images", "accuracy", "loss"):
        table.add_column(column, justify="left" if column == "split" else "right")
    for split, count in facts["counts"].items():
        accuracy, loss = metrics.get(f"{split}/acc"), metrics.get(f"{split}/loss")
        if accuracy is not None and loss is not None:
            table.add_row(split, str(count), f"{100 * accuracy:.2f} %", f"{loss:.4f}")
    console = Console()
    console.print(table)
    console.print(f"run directory  {_relative(cfg.paths.run_dir)}", highlight=False, soft_wrap=True)
    console.print(f"look at it     tensorboard --logdir {cfg.paths.outputs}", highlight=False, soft_wrap=True)


@rank_zero_only
def _take_back(run_dir: Path) -> None:
    for name in BEFORE_TRAINING:
        (run_dir / name).unlink(missing_ok=True)
    for name in (".hydra", "tensorboard", "csv"):
        shutil.rmtree(run_dir / name, ignore_errors=True)
    with suppress(OSError):  # not empty: something else is in there
        run_dir.rmdir()


def _relative(path: str) -> Path:
    """Shorten a path below the working directory, as it would be typed."""
    return Path(path).relative_to(Path.cwd()) if Path(path).is_relative_to(Path.cwd()) else Path(path)

"""What a run says when it ends, and what it takes with it when it could not start."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lightning_utilities.core.rank_zero import rank_zero_only
from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table


@contextmanager
def discard_if_empty(cfg: DictConfig) -> Iterator[None]:
    """Remove the run directory if an error stopped the run before it trained an epoch."""
    run_dir = Path(cfg.paths.run_dir)
    try:
        yield
    except Exception:
        if not (run_dir / "log.tsv").exists() and not cfg.resume:
            shutil.rmtree(run_dir, ignore_errors=True)
        raise


@rank_zero_only
def say_results(cfg: DictConfig, recipe: dict[str, Any], metrics: dict[str, float]) -> None:
    """Print the closing table of metrics, where they are kept, and how to look at them."""
    facts = json.loads((Path(cfg.paths.run_dir) / "metrics.json").read_text())
    notes = f"  ({', '.join(facts['labels'])})" if facts["labels"] else ""
    table = Table(title=f"{recipe['experiment']}, seed {recipe['seed']}{notes}", title_justify="left")
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


def _relative(path: str) -> Path:
    """Shorten a path below the working directory, as it would be typed."""
    return Path(path).relative_to(Path.cwd()) if Path(path).is_relative_to(Path.cwd()) else Path(path)

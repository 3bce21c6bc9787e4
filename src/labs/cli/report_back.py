"""What a run says when it ends."""

import csv
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from labs.runs.directory import read_facts, shown_path
from labs.runs.life import Run


def say_results(run: Run, outputs: str) -> None:
    """Print the closing table of metrics, where they are kept, and how to look at them; once for all processes."""
    if not run.is_first:
        return
    facts = read_facts(run.directory)
    notes = f"  ({', '.join(facts['labels'])})" if facts["labels"] else ""
    epoch = f", epoch {facts['best_epoch']} of {facts['epochs']}" if "best_epoch" in facts else ""
    pictures = run.directory / "pictures.tsv"
    table = _of_pictures(pictures) if pictures.is_file() else _of_splits(facts)
    console = Console()
    console.print(
        f"{facts['experiment']}, seed {facts['seed']}{epoch}{notes}", style="italic", highlight=False, soft_wrap=True
    )
    console.print(table)
    if run.recorded_before:
        console.print("recorded before  by an earlier labs: its recipe is known by what was typed", soft_wrap=True)
    if not run.is_needed:
        console.print("finished before  nothing was trained; rerun=true starts anew", highlight=False, soft_wrap=True)
    console.print(f"run directory  {shown_path(run.directory)}", highlight=False, soft_wrap=True)
    sheet = run.directory / "images" / "sheet.png"
    if sheet.is_file():
        console.print(f"pictures       {shown_path(sheet)}", highlight=False, soft_wrap=True)
    console.print(f"look at it     tensorboard --logdir {outputs}", highlight=False, soft_wrap=True)


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

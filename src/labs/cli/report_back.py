"""The closing table of a run."""

import shlex
from pathlib import Path

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from labs.practicals import final_metrics, sheet_of
from labs.runs.directory import read_facts, shown_path
from labs.runs.life import Run


def say_results(run: Run, outputs: str) -> None:
    """Print the table of final metrics, the run directory, and how to look at it; once for all processes."""
    if not run.is_first:
        return
    facts, sheet = read_facts(run.directory), sheet_of(run.facts["practical"])
    notes = f"  ({', '.join(facts['labels'])})" if facts["labels"] else ""
    epoch = f", epoch {facts['best_epoch']} of {facts['epochs']}" if {"best_epoch", "epochs"} <= set(facts) else ""
    is_tested = any(name.startswith("test/") for name in facts["metrics"])  # not with validate_only=true
    heads, *lines = (sheet.results if is_tested else final_metrics)(facts, run.directory)
    table = Table(heads[0], *(Column(head, justify="right") for head in heads[1:]))
    table.columns[0].no_wrap = True
    for line in lines:
        table.add_row(*line)
    console = Console(markup=False, emoji=False)  # a folder may be called [layer1,layer2]
    console.print(
        f"{run.facts['experiment']}, seed {run.facts['seed']}{epoch}{notes}",
        style="italic",
        highlight=False,
        soft_wrap=True,
    )
    console.print(table)
    for warning in (line for line in facts.get("warnings", ()) if line not in run.shown):
        console.print(Text.assemble(("warning", "bold yellow"), f" {warning}"), soft_wrap=True)
    if run.recorded_before:
        console.print(
            "recorded before  by an earlier version of labs, which identified runs by their words", soft_wrap=True
        )
    if not run.is_needed:
        console.print(
            "finished before  nothing was trained; rerun=true starts it again", highlight=False, soft_wrap=True
        )
    console.print(f"run directory  {shown_path(run.directory)}", highlight=False, soft_wrap=True)
    if (run.directory / sheet.picture).is_file():
        console.print(f"picture        {shown_path(run.directory / sheet.picture)}", highlight=False, soft_wrap=True)
    if (run.directory / "tensorboard").is_dir():  # another logger has nothing to look at there
        among_others = run.directory.absolute().is_relative_to(Path(outputs).absolute())
        look = ["tensorboard", "--logdir", outputs if among_others else shown_path(run.directory)]
        console.print(f"look at it     {shlex.join(look)}", highlight=False, soft_wrap=True, markup=False)

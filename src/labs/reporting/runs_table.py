"""Runs as a table for a notebook."""

from pathlib import Path

import pandas as pd

from labs.reporting.find import find_runs
from labs.runs.places import found_folder


def runs_table(*folders: Path | str) -> pd.DataFrame:
    """Return one row per run, with everything that its directory says in numbers and words.

    Args:
        folders: run directories, or folders that hold some, such as that of a grid; none: the outputs of the project.

    Returns:
        The columns `run` (for `labs.load_run`), `status`, `experiment`, `data`, `seed`, the choices (`net`, `freeze`,
        ...), what was typed beyond them (`optimizer.lr`, ...), the metrics (`test/acc`, in [0, 1], ...), `epochs`,
        `seconds` and `labels`. A run that is not finished has no metrics, or those so far.

    Raises:
        LabsError: A folder does not exist, or holds no run.
    """
    runs = find_runs([found_folder(folder, "folder") for folder in folders or ("outputs",)])
    return pd.DataFrame([
        {
            "run": str(run.directory), "status": run.status, "experiment": run.experiment, "data": run.data,
            "seed": run.seed, **run.choices, **run.overrides, **run.metrics, "epochs": run.epochs,
            "seconds": run.seconds, "labels": ", ".join(run.labels),
        }
        for run in runs
    ])  # fmt: skip

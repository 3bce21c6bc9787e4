"""Processes and run directories: who has one, and who is the first of a run."""

import os
from pathlib import Path

from filelock import FileLock, Timeout


def is_occupied(run_dir: Path) -> bool:
    """Say whether another process is training in a directory."""
    lock = lock_of(run_dir)
    if not Path(lock.lock_file).is_file():
        return False
    try:
        with lock:
            return False
    except Timeout:
        return True


def is_first_process() -> bool:
    """Say whether this is the process that the user started, whatever starts the others."""
    from lightning_utilities.core.rank_zero import rank_zero_only

    variables = ("RANK", "LOCAL_RANK", "SLURM_PROCID", "JSM_NAMESPACE_RANK")  # in the order that Lightning asks
    of_environment = next((int(os.environ[name]) for name in variables if name in os.environ), 0)
    return int(getattr(rank_zero_only, "rank", of_environment)) == 0


def lock_of(run_dir: Path) -> FileLock:
    """Return the lock of a run directory, which is not waited for; a killed process frees it."""
    return FileLock(run_dir / ".hydra" / "run.lock", timeout=0)

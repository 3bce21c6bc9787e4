"""Processes and run directories: who has one, and who is the first of a run."""

import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

RANKS = ("RANK", "LOCAL_RANK", "SLURM_PROCID", "JSM_NAMESPACE_RANK")  # variables, in the order that Lightning asks
JOBS = ("SLURM_NTASKS", "TORCHELASTIC_RUN_ID", "LSB_JOBID")  # by which Lightning knows that others start its processes


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

    of_environment = next((int(os.environ[name]) for name in RANKS if name in os.environ), 0)
    return int(getattr(rank_zero_only, "rank", of_environment)) == 0


def forget_stray_ranks(devices: Any, num_nodes: int, accelerator: str = "auto") -> None:
    """Be the first process of a run that has only one, whatever rank some other job left in the environment.

    Lightning believes the variables, and so the process that is all alone would write nothing.

    Args:
        devices: as in `trainer.devices`: a number, a list, `auto` or -1 for all.
        num_nodes: machines.
        accelerator: as in `trainer.accelerator`.
    """
    from lightning_utilities.core.rank_zero import rank_zero_only

    if str(devices) in ("auto", "-1"):
        import torch

        devices = 1 if accelerator == "cpu" else torch.cuda.device_count()
    listed = devices.strip(" ,").split(",") if isinstance(devices, str) and "," in devices else devices
    count = str(len(listed) if isinstance(listed, Sequence) and not isinstance(listed, str) else listed)
    if num_nodes == 1 and count in ("0", "1"):
        os.environ.update({name: "0" for name in RANKS if name in os.environ})
        for name in JOBS:  # a job of several tasks may run a command of one
            os.environ.pop(name, None)
        warnings.filterwarnings("ignore", message=".*`srun` command is available.*")  # Lightning's hint for several
        setattr(rank_zero_only, "rank", 0)  # noqa: B010 - Lightning may have been imported already; not in its type


def lock_of(run_dir: Path) -> FileLock:
    """Return the lock of a run directory, which is not waited for; a killed process frees it."""
    return FileLock(run_dir / ".hydra" / "run.lock", timeout=0)

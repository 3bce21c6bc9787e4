"""What a job of a cluster does: it becomes the command of one cell.

submitit starts a Python process that calls `become`, and that process turns into `python train.py ...`. So the signals
of SLURM reach the run itself, whose `runs/requeue.py` is the one mechanism that saves and asks to be queued again:
submitit's own handlers, which would ask a second time, end with the process that they belong to. The exit code of the
run is that of the job.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from labs.runs.requeue import was_queued_again
from labs.runs.threads import with_threads


def become(command: Sequence[str], working: str, run_dir: str, threads: int) -> None:
    """Turn this process into the command of a cell; what it prints goes to `output.txt` in its directory.

    Args:
        command: the program and its arguments.
        working: the folder in which the grid was typed.
        run_dir: of the cell.
        threads: of the process, unless the environment of the job says how many.
    """
    from submitit import JobEnvironment

    rank = JobEnvironment().global_rank
    if was_queued_again():
        command = [word for word in command if not word.startswith("rerun=")]  # the job began anew; now it goes on
    os.chdir(working)
    output = Path(run_dir, f"output.{rank}.txt" if rank else "output.txt")
    sys.stdout.flush()
    for stream, file in ((0, os.open(os.devnull, os.O_RDONLY)), (1, _append_to(output)), (2, _append_to(output))):
        os.dup2(file, stream)
    os.execve(sys.executable, [sys.executable, *command], with_threads(os.environ, threads))


def _append_to(file: Path) -> int:
    return os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)

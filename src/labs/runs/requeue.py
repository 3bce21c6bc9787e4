"""SLURM: a job that is stopped by SIGUSR1 asks to be queued again, and goes on in the directory that it had."""

import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from labs import LabsError
from labs.runs.directory import shown_path
from labs.runs.processes import is_first_process
from labs.storage.files import WRITTEN, read_text, write_text

_begun: list[Path] = []  # the directories of the runs that this process has begun


def job_id() -> str | None:
    """Return the number of the SLURM job in which this command runs; None outside SLURM.

    Examples:
        >>> os.environ |= {"SLURM_JOB_ID": "8", "SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": "1"}
        >>> job_id()
        '7_1'
        >>> for name in ("SLURM_JOB_ID", "SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID"):
        ...     del os.environ[name]
    """
    of = os.environ
    array = f"{of.get('SLURM_ARRAY_JOB_ID')}_{of.get('SLURM_ARRAY_TASK_ID')}"
    found = (name for name in (array, of.get("SLURM_JOB_ID", "")) if re.fullmatch("[0-9]+(_[0-9]+)?", name))
    return next(found, None)


def requeue() -> None:
    """Ask SLURM to queue this job again, once for all processes of a run.

    A run that was queued again before and has saved nothing since is not: it would go on like this forever.
    """
    job = job_id()
    if job is None or not is_first_process():
        return
    problem = _no_progress() or _ask(job)
    result = f"was not queued again: {problem}. Type scontrol requeue {job}" if problem else "is queued again"
    print(f"SLURM job {job} {result}", file=sys.stderr)


def _ask(job: str) -> str:
    """Return why SLURM refused, or an empty text."""
    try:
        asked = subprocess.run(
            ["scontrol", "requeue", job],
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=60,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return "" if asked.returncode == 0 else asked.stderr.strip() or f"exit code {asked.returncode}"


def _no_progress() -> str:
    """Return that the only run of this command saved nothing since its job was queued again, or an empty text."""
    if len(_begun) != 1 or not was_queued_again():  # a grid goes on with its other cells
        return ""
    if any(file.suffix == ".ckpt" and file.is_relative_to(_begun[0].absolute()) for file in WRITTEN):
        return ""
    return "it has saved nothing since it was queued again, so it needs more time (--time, hydra.launcher.timeout_min)"


def was_queued_again() -> bool:
    """Return whether SLURM has started this job before."""
    return os.environ.get("SLURM_RESTART_COUNT", "0") not in ("", "0")


def begin(run_dir: Path) -> None:
    """Note that this process begins a run."""
    _begun.append(run_dir)


def remember(run_dir: Path, outputs: Path) -> None:
    """Note where this command runs, for when its job is queued again; a folder outside `outputs` was typed."""
    note = _note(outputs, sys.argv[1:])
    place = run_dir.absolute()
    if note is not None and is_first_process() and place.is_relative_to(outputs.absolute()):
        note.parent.mkdir(parents=True, exist_ok=True)
        write_text(note, place.relative_to(outputs.absolute()).as_posix() + "\n")


def directory_of_job(outputs: str, fresh: str) -> str:
    """Return the run directory that this very command had before its job was queued again; else a fresh one.

    Args:
        outputs: the folder of all runs.
        fresh: the directory of a new run, relative to it.
    """
    root = Path(outputs)
    note = _note(root, sys.argv[1:])
    if note is None or not was_queued_again():
        return f"{outputs}/{fresh}"
    try:
        before = read_text(note).strip()
        inside = (root / before).resolve().is_relative_to(root.resolve())
    except (OSError, ValueError):  # stopped before it had a directory, or damaged
        return f"{outputs}/{fresh}"
    return f"{outputs}/{before if before and inside else fresh}"


def cluster(run_dir: Path) -> list[Any]:
    """Return the plugins of a run whose processes SLURM starts: Lightning asks for no second requeue of its own.

    Raises:
        LabsError: a checkpoint lies there that Lightning would begin with, whatever the run asks for.
    """
    from lightning.fabric.plugins.environments.slurm import SLURMEnvironment

    if not SLURMEnvironment.detect():
        return []
    if strays := sorted(run_dir.glob("hpc_ckpt_*.ckpt")):
        raise LabsError(
            f"{shown_path(strays[0])}: PyTorch Lightning wrote this file, and would begin with it whatever is typed. "
            "Move it elsewhere and type the command again."
        )
    return [SLURMEnvironment(auto_requeue=False)]


def _note(outputs: Path, words: Sequence[str]) -> Path | None:
    """Return the file that knows the directory of a command; a job may have several commands."""
    job = job_id()
    digest = hashlib.sha256("\0".join(words).encode("utf-8", "surrogateescape")).hexdigest()
    return None if job is None else outputs / ".slurm" / job / f"{digest[:16]}.txt"

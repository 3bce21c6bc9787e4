"""The jobs of a grid on a cluster: which were submitted, which are queued or running, and how the others ended.

Each submission has a folder of its own in `<grid>/.slurm/`, with what submitit writes and `jobs.json`. Nothing of it is
ever loaded here but `jobs.json`: submitit's pickles are read by the jobs alone.
"""

import os
import re
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from labs import LabsError
from labs.cli.grid.cells import Cell, State
from labs.cli.grid.side_by_side import last_error
from labs.runs.directory import check_size
from labs.runs.trusted import links_out_of
from labs.storage.files import check_file, read_json, to_json, write_text

FOLDER = ".slurm"
# Whatever else `squeue` shows is waiting in the queue.
RUNNING = ("RUNNING", "COMPLETING", "SUSPENDED", "STOPPED", "SIGNALING", "STAGE_OUT", "RESIZING")
OVER = ("BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "TIMEOUT", "REVOKED")


@dataclass(frozen=True)
class Job:
    """The job of a cell: its number, who runs it, its cell's folder, and how long `output.txt` was before it."""

    number: str
    executor: str
    directory: str
    begin: int

    def is_plausible(self) -> bool:
        """Say whether the words of a file that somebody may have edited are those of a job."""
        return (
            isinstance(self.number, str)
            and re.fullmatch("[0-9]+(_[0-9]+)?", self.number) is not None
            and self.executor in ("slurm", "local")
            and isinstance(self.directory, str)
            and self.directory == Path(self.directory).name
            and isinstance(self.begin, int)
            and self.begin >= 0
        )


class Jobs:
    """The jobs that were submitted for the cells of a grid; a cell is known by the key of its recipe.

    Args:
        grid: its folder.

    Raises:
        LabsError: the folder of the jobs is a link, or has links that lead out of it.
    """

    def __init__(self, grid: Path) -> None:
        self.grid, self.folder = grid, grid / FOLDER
        links = [self.folder] if self.folder.is_symlink() else links_out_of(self.folder)
        if links:
            raise LabsError(f"{links[0]} is a link that leads out of the grid. Remove it, and type the command again.")
        self.newest: dict[str, tuple[Job, Path]] = {}  # and the folder of its submission
        for file in sorted(self.folder.glob("*/jobs.json")):
            self.newest |= {key: (job, file.parent) for key, job in _read(file).items()}

    def states(self, keys: Sequence[str]) -> dict[str, State]:
        """Return which cells have a job that is queued or running."""
        known = {key: self.newest[key] for key in keys if key in self.newest}
        there = _in_the_queue() if any(job.executor == "slurm" for job, _ in known.values()) else {}
        found: dict[str, State] = {}
        for key, (job, folder) in known.items():
            if job.executor == "slurm" and job.number in there:
                found[key] = there[job.number]
            elif job.executor == "local" and _is_alive(job.number, folder):
                found[key] = "running"
        return found

    def how_it_ended(self, cell: Cell) -> tuple[State, str, str]:
        """Return how the last try of a cell without a result ended, its error, and what it printed.

        A cell that was never tried is waiting.
        """
        job, folder = self.newest.get(cell.recipe.key, (None, None))
        facts, printed, message = cell.facts(), "", ""
        if job and folder:
            printed = _printed(self.grid / job.directory / "output.txt", job.begin)
            message = _of_slurm(folder, job.number)
        status = facts.get("status")
        if status == "failed":
            return "failed", facts.get("error") or "it failed", printed
        if status in ("running", "interrupted"):
            return "interrupted", message, printed
        if "\nerror: " in printed or "Traceback (most recent call last)" in printed:
            return "failed", last_error(printed), printed
        if not (job and folder) or status == "finished":  # with rerun=true, it begins anew
            return "waiting", "", ""
        if not printed and (log := _log(folder, job.number)):  # it never became the run: a wrong setup command
            return "failed", message or log[-1], "\n".join(log)
        return "interrupted", message or "its job ended before the run began", printed

    def note(self, folder: Path, jobs: dict[str, Job]) -> None:
        """Write down what was submitted."""
        write_text(folder / "jobs.json", to_json({key: asdict(job) for key, job in jobs.items()}))


def _read(file: Path) -> dict[str, Job]:
    """Read a `jobs.json`; what is damaged in it is as good as not there."""
    try:
        check_size(file)
        content: Any = read_json(file)
        jobs = {str(key): Job(**facts) for key, facts in content.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}
    return {key: job for key, job in jobs.items() if job.is_plausible()}


def _in_the_queue() -> dict[str, State]:
    """Ask SLURM for this user's jobs that are queued or running: one question, however many jobs there are.

    `squeue` works on every cluster; `sacct`, which submitit asks, needs a database that some do not have.

    Raises:
        LabsError: it does not answer, so that nobody knows which cells must be left alone.
    """
    command = ["squeue", "--noheader", "--array", f"--user={os.getuid()}", "--format=%i %T"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SQUEUE_")}  # hides jobs
    try:
        asked = subprocess.run(
            command, capture_output=True, encoding="utf-8", errors="replace", timeout=120, check=False, env=environment
        )
        problem = "" if asked.returncode == 0 else asked.stderr.strip() or f"exit code {asked.returncode}"
    except (OSError, subprocess.TimeoutExpired) as error:
        problem = str(error)
    if problem:
        raise LabsError(
            f"squeue does not say which jobs of this grid are still there ({' '.join(problem.split())}), and no cell "
            "is submitted twice. Type the command again on a machine where squeue works."
        )
    words = [line.split() for line in asked.stdout.splitlines()]
    states = {line[0]: line[1] for line in words if len(line) == 2 and line[1] not in OVER}
    return {number: "running" if state in RUNNING else "queued" for number, state in states.items()}


def _is_alive(number: str, folder: Path) -> bool:
    """Say whether the process of a local job is still there, and not another one of the same number."""
    command = Path("/proc", number, "cmdline")
    if Path("/proc/self/cmdline").exists():
        try:
            return os.fsencode(folder) in command.read_bytes()
        except OSError:
            return False
    try:
        os.kill(int(number), 0)
    except OSError:
        return False
    return True


def _printed(file: Path, begin: int) -> str:
    """Return the end of a file, from a place on; empty if it is no file."""
    try:
        check_file(file)
        with file.open("rb") as output:
            output.seek(max(begin, output.seek(0, os.SEEK_END) - 1_000_000))
            return output.read().decode(errors="replace")
    except OSError:
        return ""


def _of_slurm(folder: Path, number: str) -> str:
    """Return the last line that SLURM itself wrote of a job, such as that its time was up."""
    lines = [line for line in _log(folder, number) if "DUE TO JOB REQUEUE" not in line]  # after which it went on
    causes = [line for line in lines if re.match(r"slurmstepd\S*: error: ", line)]  # srun's lines only follow from them
    return next(reversed(causes or [line for line in lines if line.startswith("srun: error: ")]), "")


def _log(folder: Path, number: str) -> list[str]:
    """Return what a job wrote before it became the run."""
    texts = (_printed(file, 0) for file in sorted(folder.glob(f"{number}_*_log.err")))
    return [line.strip()[:300] for text in texts for line in text.splitlines() if line.strip()]

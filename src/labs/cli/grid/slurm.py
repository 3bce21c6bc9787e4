"""Submit the cells of a grid as jobs of a cluster with SLURM, and leave.

The same command later leaves alone what is queued or running, collects what has finished, goes on with what was stopped
and retries what failed.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn

from filelock import FileLock, Timeout
from hydra.core.config_loader import ConfigLoader
from hydra.core.utils import JobReturn
from joblib import cpu_count
from omegaconf import DictConfig

from labs import LabsError
from labs.cli.explain import say_error
from labs.cli.grid.cells import Cell
from labs.cli.grid.closing import say, sum_up
from labs.cli.grid.jobs import Job, Jobs
from labs.cli.grid.launch import job_returns, prepare
from labs.cli.grid.submission import Resources, Submission
from labs.runs.directory import shown_path


def refuse_search() -> NoReturn:
    """Say how a search runs on a cluster.

    Raises:
        LabsError: always.
    """
    raise LabsError(
        "hydra/launcher=slurm submits and leaves, but a search proposes trials from the results of earlier ones. "
        "Submit the whole search as one job, with hydra/launcher=joblib for several trials at once; docs/cluster.md "
        "has the script."
    )


class Slurm:
    """Submit cells as jobs.

    Args:
        settings: `hydra.launcher.*`.
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.submission = Submission(settings)

    def expect(self, count: int) -> None:
        """Submit any number."""

    def check(self, cells: Sequence[Cell]) -> None:
        """Refuse cells whose job cannot give them the processes or the GPUs that they need."""
        for cell in cells:
            self.submission.resources(cell)

    def launch(
        self, loader: ConfigLoader, config: DictConfig, job_overrides: Sequence[Sequence[str]], first: int
    ) -> list[JobReturn]:
        """Submit the cells that need a run, and say how all of them are; arguments as for `launch.launch`.

        Raises:
            LabsError: another command submits cells of this grid at this moment, or SLURM refuses them.
        """
        grid = Path(config.hydra.sweep.dir).absolute()
        cells = prepare(self, loader, config, job_overrides, first)
        jobs = Jobs(grid)
        jobs.folder.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(jobs.folder / "lock", timeout=0):
                ready = _look(cells, jobs)
                if config.sweep.on_error == "stop" and any(cell.state == "failed" for cell in cells):
                    ready = []
                lines = self._submit(self._with_room(ready, cells), jobs)
        except Timeout:
            raise LabsError("another command submits cells of this grid at this moment; type it again later.") from None
        nothing_yet = not any(cell.state in ("done", "failed") for cell in cells)  # to write a report of
        sum_up(cells, grid, interrupted=nothing_yet)
        for line in lines:
            say(line)
        return job_returns(cells, good=("done", "queued", "submitted", "running", "interrupted", "waiting"))

    def _with_room(self, ready: Sequence[Cell], cells: Sequence[Cell]) -> Sequence[Cell]:
        """Return the cells for which there is room: submitit's local executor has no queue, and starts all at once."""
        if self.submission.executor != "local":
            return ready
        most = min(cpu_count(), self.submission.settings["array_parallelism"])
        return ready[: max(most - sum(cell.state == "running" for cell in cells), 0)]

    def _submit(self, cells: Sequence[Cell], jobs: Jobs) -> list[str]:
        """Submit cells, those that ask for the same as one array, and return what to print of their jobs."""
        groups: dict[Resources, list[Cell]] = {}
        for cell in cells:
            _say_end(cell)
            if _begin(cell):
                groups.setdefault(self.submission.resources(cell), []).append(cell)
        if not groups:
            return []
        folder = jobs.folder / datetime.now().strftime("%Y-%m-%d_%H-%M-%S-%f")
        folder.mkdir()
        noted, lines = {}, []
        for asked, group in groups.items():
            begins = [_size(cell.directory / "output.txt") for cell in group]
            numbers = self.submission.submit(group, asked, folder, jobs.grid.name)
            for cell, number, begin in zip(group, numbers, begins, strict=True):
                noted[cell.recipe.key] = Job(number, self.submission.executor, cell.directory.name, begin)
                cell.state = "submitted"
            jobs.note(folder, noted)
            lines.append(self.submission.describe(numbers, asked))
        for link in folder.glob(".submission_file_*.sh"):  # submitit's; a grid that is moved has no links
            link.unlink()
        output = shown_path(jobs.grid / "<cell>" / "output.txt")
        return [*lines, f"output  {output}", f"logs    {shown_path(folder)} (before and after a cell's own output)"]


def _look(cells: Sequence[Cell], jobs: Jobs) -> list[Cell]:
    """Find out how each cell is, and return those that need a job."""
    states = jobs.states([cell.recipe.key for cell in cells])
    ready = []
    for cell in cells:
        cell.look()  # again: it may have ended while the others were composed
        if state := states.get(cell.recipe.key):
            cell.state = state
        elif cell.state in ("skipped", "elsewhere"):
            cell.state = "done" if cell.state == "skipped" else "running"
        else:
            cell.state, cell.error, printed = jobs.how_it_ended(cell)
            if cell.state == "failed":
                cell.end("failed", cell.error, printed)
            ready.append(cell)
    return ready


def _say_end(cell: Cell) -> None:
    """Print how the earlier try of a cell ended that is submitted again."""
    if cell.state == "failed":
        say(f"failed  {cell.name}: {cell.error}", "red")
        say(f"  output  {shown_path(cell.directory / 'output.txt')}")
    elif cell.state == "interrupted":
        say(f"interrupted  {cell.name}{f': {cell.error}' if cell.error else ''}", "yellow")


def _begin(cell: Cell) -> bool:
    """Make the directory of a cell; one that cannot be written fails alone."""
    try:
        cell.start()
    except OSError as error:
        cell.end("failed", say_error(error))
        return False
    return True


def _size(file: Path) -> int:
    return file.stat().st_size if file.is_file() else 0

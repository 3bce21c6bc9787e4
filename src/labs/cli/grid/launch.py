"""The way through a grid: compose its cells, run those that still need it, sum up, and write the page."""

import shlex
import sys
import threading
import traceback
from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from hydra.core.config_loader import ConfigLoader
from hydra.core.utils import JobReturn, JobStatus
from joblib import Parallel, delayed
from omegaconf import DictConfig, OmegaConf

from labs import LabsError
from labs.cli.check import check_recipe
from labs.cli.explain import say_error
from labs.cli.grid.board import Board
from labs.cli.grid.cells import Cell, State, compose_cells, write_plan
from labs.cli.grid.closing import sum_up
from labs.runs.signals import exit_code


class Way(Protocol):
    """A way to run cells, as far as it is asked before they run."""

    def expect(self, count: int) -> None:
        """Note how many cells there will be, which decides how many run at once."""

    def check(self, cells: Sequence[Cell]) -> None:
        """Raise a `LabsError` if cells cannot be run this way."""


class Run(Way, Protocol):
    """A way to run cells, and to wait for them."""

    at_once: int

    def interruptible(self, halt: threading.Event) -> AbstractContextManager[None]:
        """Return a context in which a signal to stop reaches the running cells."""

    def __call__(self, cell: Cell) -> None:
        """Run one cell and note how it ended."""


def launch(
    run: Run, loader: ConfigLoader, config: DictConfig, job_overrides: Sequence[Sequence[str]], first: int
) -> list[JobReturn]:
    """Run the cells of a grid that have not finished, and return how each ended, for Hydra's sweeper.

    Args:
        run: how to run cells.
        loader: Hydra's.
        config: the recipe of the whole grid.
        job_overrides: one list per cell.
        first: the number of the first cell.

    Raises:
        LabsError: a cell cannot run as it is written; then none is started.
    """
    grid, cells = Path(config.hydra.sweep.dir), prepare(run, loader, config, job_overrides, first)
    code = None
    with Board(grid.name, cells, run.at_once) as board:
        try:
            run_all(cells, run, board, stop=config.sweep.on_error == "stop")
        except (KeyboardInterrupt, SystemExit) as error:
            code = exit_code(error) or 1
    sum_up(cells, grid, interrupted=code is not None)
    if code is not None:
        sys.exit(code)
    return job_returns(cells, good=("done", "skipped", "elsewhere"))


def prepare(
    way: Way, loader: ConfigLoader, config: DictConfig, job_overrides: Sequence[Sequence[str]], first: int
) -> list[Cell]:
    """Compose the cells of a grid, check those that need a run, and write which cells it has.

    Raises:
        LabsError: a cell cannot run as it is written.
    """
    if config.sweep.on_error not in ("continue", "stop"):
        raise LabsError(f"sweep.on_error={config.sweep.on_error}: expected continue or stop.")
    if not isinstance(config.rerun, bool):
        raise LabsError(f"rerun={config.rerun}: expected true or false.")
    cells = compose_cells(loader, config, job_overrides, first)
    waiting = [cell for cell in cells if cell.state == "waiting"]
    way.expect(len(waiting))
    check_cells(waiting, way)
    write_plan(cells, Path(config.hydra.sweep.dir), shlex.join(["python", "train.py", *sys.argv[1:]]))
    return cells


def check_cells(cells: Sequence[Cell], run: Way) -> None:
    """Refuse cells that cannot run as they are written."""
    run.check(cells)
    for cell in cells:
        check_recipe(cell.own_recipe)


def run_all(cells: Sequence[Cell], run: Run, board: Board, *, stop: bool) -> None:
    """Run all waiting cells."""
    halt = threading.Event()

    def one(cell: Cell) -> None:
        if not halt.is_set():
            run_cell(cell, run, board)
        if stop and cell.state == "failed":
            halt.set()

    with run.interruptible(halt):
        # one at a time means here and now, in the main thread; threads only wait for their cell's process
        Parallel(n_jobs=run.at_once, backend="threading")(
            delayed(one)(cell) for cell in cells if cell.state == "waiting"
        )


def run_cell(cell: Cell, run: Run, board: Board) -> None:
    """Run a cell, unless another process has begun or finished it in the meantime; the cell notes how it ended."""
    cell.look()
    if cell.state != "waiting":
        board.announce(cell)
        return
    try:
        cell.start()
        board.announce(cell)
        run(cell)
    except (KeyboardInterrupt, SystemExit):  # Lightning ends an interrupted run with SystemExit
        cell.end("interrupted")
        raise
    except OSError as error:  # its directory cannot be written
        cell.end("failed", say_error(error), "".join(traceback.format_exception(error)))
    finally:
        board.announce(cell)


class _CellReturn(JobReturn):
    @property
    def return_value(self) -> Any:
        """Raise the error of a grid with gaps, without Hydra's line on one of its cells: the summary names them all."""
        if isinstance(self._return_value, Exception):
            raise self._return_value
        return self._return_value

    @return_value.setter
    def return_value(self, value: Any) -> None:
        self._return_value = value


def job_returns(cells: Sequence[Cell], good: Collection[State]) -> list[JobReturn]:
    """Return how each cell ended, for Hydra's sweeper; cells in other than `good` states are gaps."""
    gaps = sum(cell.state not in good for cell in cells)
    error = LabsError(f"{gaps} of {len(cells)} cells have no result; the lines above say why.")
    return [
        _CellReturn(
            overrides=cell.overrides,
            cfg=cell.config,
            hydra_cfg=OmegaConf.masked_copy(cell.config, ["hydra"]),
            working_dir=str(cell.directory),
            status=JobStatus.COMPLETED if cell.state in good else JobStatus.FAILED,
            _return_value=None if cell.state in good else error,
        )
        for cell in cells
    ]

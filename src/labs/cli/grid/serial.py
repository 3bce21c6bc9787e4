"""Run cells one after another in this process, which pays for imports and data once."""

import io
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from threading import Event
from typing import TextIO

from hydra.core.utils import run_job
from hydra.types import HydraContext, TaskFunction
from omegaconf import OmegaConf

from labs import LabsError
from labs.cli.explain import say_error
from labs.cli.grid.cells import Cell
from labs.runs.signals import Stopped, stop, stop_signals_go_to


class Serial:
    """Run cells through Hydra's own `run_job`; what they print goes to `output.txt` in their directories."""

    at_once = 1

    def __init__(self, hydra_context: HydraContext, task_function: TaskFunction) -> None:
        self.hydra_context, self.task_function = hydra_context, task_function

    def expect(self, count: int) -> None:
        """Run one at a time, however many there are."""

    def check(self, cells: Sequence[Cell]) -> None:
        """Refuse cells that need several devices: Lightning starts further processes by repeating the command."""
        for cell in cells:
            devices = cell.config.trainer.devices
            if str(devices) != "1" and not (OmegaConf.is_list(devices) and len(devices) == 1):
                raise LabsError(
                    f"trainer.devices={cell.config.trainer.devices}: cells that run in one process have one device; "
                    "type hydra/launcher=joblib hydra.launcher.n_jobs=1, which gives each cell a process of its own."
                )

    @contextmanager
    def interruptible(self, halt: Event) -> Iterator[None]:
        """Let a signal end the cell that runs, and remember it: an exception can be lost on its way through a library.

        Raises:
            Stopped: at the end, if it was lost.
        """
        received: list[int] = []

        def remember(number: int, frame: object) -> None:
            received.append(number)
            halt.set()
            stop(number)

        with stop_signals_go_to(remember):
            yield
        if received:
            raise Stopped(received[0])

    def __call__(self, cell: Cell) -> None:
        """Run one cell."""
        with printed_to(cell.directory / "output.txt"):
            job = run_job(
                hydra_context=self.hydra_context,
                task_function=self.task_function,
                config=cell.config,
                job_dir_key="hydra.sweep.dir",
                job_subdir_key="hydra.sweep.subdir",
            )
        error = job._return_value
        if not isinstance(error, Exception):
            cell.end("done")
        else:
            cell.end("failed", say_error(error), "".join(traceback.format_exception(error)))


class _Output(io.TextIOBase):
    """A stream whose file can change: loggers keep the stream that they found when they were made."""

    file: TextIO | None = None

    def write(self, text: str) -> int:
        return self.file.write(text) if self.file else len(text)

    def flush(self) -> None:
        if self.file:
            self.file.flush()


_OUTPUT = _Output()


@contextmanager
def printed_to(path: Path) -> Iterator[None]:
    """Send standard output and standard error to the end of a file."""
    with (
        path.open("a", encoding="utf-8", buffering=1) as _OUTPUT.file,
        redirect_stdout(_OUTPUT),
        redirect_stderr(_OUTPUT),
    ):
        try:
            yield
        finally:
            _OUTPUT.file = None

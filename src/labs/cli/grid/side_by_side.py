"""Run cells side by side on one machine, each in a fresh process with its share of the threads and GPUs."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Event

from joblib import cpu_count, effective_n_jobs

from labs import LabsError
from labs.cli.grid.cells import Cell
from labs.cli.grid.gpus import Gpus, gpus_wanted, visible_gpus
from labs.runs.signals import STOPS, Stopped, code_of, is_first, stop_signals_go_to
from labs.runs.threads import with_threads


class SideBySide:
    """Run each cell as the single command that repeats it; what it prints goes to `output.txt` in its directory.

    Args:
        n_jobs: cells at once, as joblib counts: -1 is one per core, or one per GPU if the cells use GPUs.

    Raises:
        LabsError: `n_jobs` is not a number of cells.
    """

    def __init__(self, n_jobs: int) -> None:
        if isinstance(n_jobs, bool) or not isinstance(n_jobs, int) or n_jobs == 0:
            raise LabsError(
                f"hydra.launcher.n_jobs={n_jobs}: expected a whole number of cells, or -1 for one per core or GPU."
            )
        self.at_once = self.most = self.count = effective_n_jobs(n_jobs)
        self.is_typed = n_jobs > 0
        self.gpus, self.wanted = Gpus(visible_gpus()), 0
        self.processes: list[subprocess.Popen[bytes]] = []
        self.received: int | None = None  # the first signal to stop

    def expect(self, count: int) -> None:
        """Let a few cells share all threads."""
        self.count = count
        self._share()

    def check(self, cells: Sequence[Cell]) -> None:
        """Take any cells; look at how many GPUs they want."""
        available, before = len(self.gpus.cells), self.wanted
        self.wanted = max((self._wanted(cell) for cell in cells), default=0)
        self._share()
        is_shared = self.is_typed and self.at_once > 1 and self.at_once * self.wanted > available > 0
        if is_shared and self.wanted > before:
            print(
                f"{self.at_once} cells at once share {available} GPU{'s'[: available > 1]}; "
                "leave hydra.launcher.n_jobs= out for as many at once as there are GPUs"
            )

    def __call__(self, cell: Cell) -> None:
        """Run one cell, from a thread of its own."""
        environment = with_threads(os.environ, max(1, cpu_count() // self.at_once))
        path = cell.directory / "output.txt"
        with path.open("ab") as output, self.gpus.taken(self._wanted(cell)) as own:
            begin = output.tell()
            process = subprocess.Popen(
                [sys.executable, sys.argv[0], *cell.arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment | own,
                start_new_session=True,  # Ctrl-C comes to this process, which hands it on
            )
            self.processes.append(process)
            if self.received:  # between the look at `halt` and here
                process.send_signal(self.received)
            code = process.wait()
        with path.open("rb") as output:
            output.seek(begin)
            printed = output.read().decode(errors="replace")
        if code == 0:
            cell.end("done")
        elif self.received or code in map(code_of, STOPS) or cell.was_interrupted():
            cell.end("interrupted")
        elif code < 0:
            cell.end("interrupted", f"killed by {signal.Signals(-code).name}, by hand or because memory was full")
        else:
            recorded = cell.facts().get("error") if cell.has_written() else None
            cell.end("failed", recorded or last_error(printed), printed)

    def _wanted(self, cell: Cell) -> int:
        return gpus_wanted(cell.config.trainer, len(self.gpus.cells))

    def _share(self) -> None:
        """Let as many cells run at once as there are, and as the processor or the GPUs allow."""
        most = self.gpus.at_once(self.most, self.wanted, is_typed=self.is_typed)
        self.at_once = max(1, min(most, self.count))

    @contextmanager
    def interruptible(self, halt: Event) -> Iterator[None]:
        """Hand a signal to stop on to every cell that runs, which then saves what it has; a second one kills them.

        Raises:
            Stopped: at the end, if there was one.
        """

        def send(sign: int) -> None:
            for process in self.processes:
                if process.poll() is None:
                    process.send_signal(sign if os.name != "nt" else signal.SIGTERM)  # Windows has no other

        def kill(code: int) -> None:
            for process in self.processes:
                process.kill()

        def hand_on(number: int, frame: object) -> None:
            if is_first(number, kill):
                # SIGUSR1 asks SLURM for a requeue, which is the grid's affair
                self.received = number if number == signal.SIGINT else signal.SIGTERM
                halt.set()
                send(self.received)

        try:
            with stop_signals_go_to(hand_on):
                yield
        finally:
            send(signal.SIGTERM)  # if something else ended the grid: nobody would wait for them
        if self.received:
            raise Stopped(self.received)


def last_error(printed: str) -> str:
    r"""Return the message that a process ended with: ours, or the last line of a traceback.

    Examples:
        >>> last_error("Traceback ...\nlabs.LabsError: seed=one: expected\n  a number")
        'seed=one: expected a number'
        >>> last_error("Traceback ...\nZeroDivisionError: division by zero\n")
        'ZeroDivisionError: division by zero'
    """
    for ours in ("\nlabs.LabsError: ", "\nerror: "):
        if ours in printed:
            return " ".join(printed.rpartition(ours)[2].split())
    return printed.strip().rpartition("\n")[2] or "it ended without a message"

"""End a run that hangs, with the stacks of its processes, instead of waiting for half an hour or forever."""

import faulthandler
import json
import os
import platform
import signal
import subprocess
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import lightning.pytorch as pl

from labs import LabsError
from labs.callbacks.record import Record
from labs.quantities import duration
from labs.runs.life import Run
from labs.runs.pulse import HungError, Pulse, waits_for_others, where
from labs.runs.signals import first_signal
from labs.storage.files import WRITTEN, write_text

GRACE = 5.0  # seconds for the other processes to write their stacks, and for the main thread to end by itself
AT_LAST = 12 * GRACE
# Of the connection between the processes; there is no class of its own for it.
LOST = ("gloo", "NCCL", "Connection closed", "Connection reset", "Broken pipe", "TCPStore")
ALARM = getattr(signal, "SIGVTALRM", None)  # interrupts a main thread that sleeps; used by nobody else


class Watchdog(pl.Callback):
    """End a run if none of its processes goes on, or if one of them is stopped or has died.

    A thread of each process looks where the main thread stands (`labs.runs.pulse`). With several processes, each notes
    it in a file of the run directory, so that no process needs another one to report. A process in which this thread
    itself is stopped changes its file no more. Time in which a whole process is stopped does not count for itself, so
    that a laptop may sleep.

    The stacks of all threads of each process are written to `stacks.<rank>.txt`; the record says `failed`.

    Args:
        minutes: How long a process may stand at the same place.
    """

    def __init__(self, *, minutes: float = 15.0) -> None:
        if not minutes > 0:  # nor not a number
            raise LabsError(
                f"callbacks.watchdog.minutes={minutes:g}: expected a number above 0, such as 15, or "
                "callbacks.watchdog=null."
            )
        self.limit = 60 * minutes
        self.poll = min(1.0, self.limit / 20)
        self._thread: threading.Thread | None = None
        self.ranks, self.started = 1, list[Any]()

    # Lightning's hooks

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Begin to watch."""
        self._stop()
        self.folder, self.run = Path(trainer.default_root_dir), _run_of(trainer)
        self.rank, self.ranks = trainer.global_rank, trainer.world_size
        self.started = getattr(trainer.strategy.launcher, "procs", [])  # the other processes, in the first one
        device = trainer.strategy.root_device
        self.pulse = Pulse(threading.get_ident(), device.index if device.type == "cuda" else None)
        self.peers: dict[int, _Peer] = {}
        self.seen: set[int] = set()  # ranks that have ever noted anything: on another disk, none does
        self.error = HungError("")
        self._over, self._raised = threading.Event(), threading.Event()
        self._restore: Any = None
        if ALARM is not None and threading.current_thread() is threading.main_thread():
            self._restore = signal.signal(ALARM, self._raise)
        for thread in threading.enumerate():  # Lightning's own kills all processes, before anything is recorded
            if thread.name == "child-process-observer":
                thread._child_processes = []  # type: ignore[attr-defined]
        self._file("stacks.{}.txt").unlink(missing_ok=True)  # of an earlier try
        if self.ranks > 1:
            self._note()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
        self._thread.start()

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Stop watching."""
        self._stop()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Stop watching.

        Raises:
            HungError: If the error only says that the connection to another process is lost.
        """
        self._stop()
        if isinstance(exception, HungError):
            self._kill_others()
        elif self.ranks > 1 and isinstance(exception, RuntimeError) and any(word in str(exception) for word in LOST):
            if first_signal():  # they were all asked to stop
                return
            time.sleep(1.0)  # until the system knows how it ended
            lost = self._lost()
            self._kill_others()
            raise HungError(
                lost or f"another process of this run has ended, and rank {self.rank} cannot go on without it."
            ) from exception

    # In the thread

    def _watch(self) -> None:
        before, since_note = time.monotonic(), 0.0
        while not self._over.wait(self.poll):
            seconds = min(time.monotonic() - before, 2 * self.poll)  # it may have been stopped for longer
            before = time.monotonic()
            self.pulse.look(seconds)
            since_note += seconds
            if self.ranks > 1 and since_note >= min(5.0, self.limit / 10):
                self._note()
                self._read(since_note)
                since_note = 0.0
            if first_signal():  # the processes end one after another, and the first may draw for a while
                continue
            if lost := self._lost():
                self._end(lost)
            elif found := self._hung():
                self._dump()
                self._end(found)

    def _hung(self) -> str:
        """Return what is wrong, or an empty text."""
        stopped = {rank: peer for rank, peer in self.peers.items() if peer.silent >= self.limit}
        here = self.pulse.still >= self.limit and len(self.seen) == self.ranks - 1
        others = (peer.still >= 0.8 * self.limit for rank, peer in self.peers.items() if rank not in stopped)
        if not stopped and not (here and all(others)):
            return ""
        limit = duration(self.limit)
        if self.ranks == 1:
            return f"the run stands still: for {limit} it has been at {where(self.pulse.stack)}."
        stands = {self.rank: (waits_for_others(self.pulse.stack), where(self.pulse.stack))}
        stands |= {rank: (peer.waits, peer.where) for rank, peer in self.peers.items() if rank not in stopped}
        culprits = [rank for rank, (waits, _) in stands.items() if not waits] if not stopped else []
        lines = [
            f"rank {rank} of {self.ranks} stands still: its process {peer.pid} on {peer.host} has not run for {limit} "
            f"(somebody stopped it, or its machine is gone); it was at {peer.where}."
            for rank, peer in stopped.items()
        ]
        lines += [
            f"rank {rank} of {self.ranks} stands still: for {limit} it has been at {stands[rank][1]}."
            for rank in culprits
        ]
        waiting = [f"Rank {rank} waits at {stands[rank][1]}." for rank in sorted(set(stands) - set(culprits))]
        return " ".join([*(lines or ["the run stands still: all its processes wait for each other."]), *waiting])

    def _lost(self) -> str:
        """Return which of the processes that this one started has died, or an empty text."""
        for rank, process in enumerate(self.started, start=1):
            code = process.poll()
            if code is not None and code < 0:
                name = signal.Signals(-code).name
                return f"rank {rank} of {self.ranks} was killed by {name}, by hand or because memory was full."
            if code:
                return f"rank {rank} of {self.ranks} has ended with exit code {code}; its message stands above."
        return ""

    def _end(self, what: str) -> None:
        """Let the first process report and end all others; every other one waits for that, but not for long."""
        faulthandler.dump_traceback_later(AT_LAST, exit=True, file=2)  # if even this thread waits, for a lost disk
        if self._over.wait(GRACE * (1 if self.rank == 0 else 3)):  # the main thread came to know it by itself
            return
        written = sorted(path.name for path in self.folder.glob("stacks.*.txt"))
        stacks = f" The stacks are in {', '.join(written)} of the run directory." if written else ""
        hint = " Set callbacks.watchdog.minutes=<minutes> if it only needed more time." if written else ""
        self.error = HungError(what + stacks + hint)
        if self._restore is not None and ALARM is not None:
            signal.pthread_kill(self.pulse.thread, ALARM)
            if self._raised.wait(GRACE):
                self.pulse.still = 0.0
                self._over.wait(GRACE)  # otherwise somebody has caught the error
                return
        self._kill_others()  # the main thread waits in native code, and cannot be reached
        with suppress(Exception):
            if self.run is not None:
                self.run.__exit__(HungError, self.error, None)
        os.write(2, f"\nerror: {self.error}\n".encode(errors="replace"))
        os._exit(2)

    def _raise(self, number: int, frame: object = None) -> None:
        self._raised.set()
        raise self.error

    def _dump(self) -> None:
        """Write the stacks of all threads."""
        path = self._file("stacks.{}.txt")
        with suppress(OSError), tempfile.TemporaryFile("w+", encoding="utf-8") as file:
            faulthandler.dump_traceback(file, all_threads=True)
            file.seek(0)
            write_text(path, f"rank {self.rank}, process {os.getpid()}: {where(self.pulse.stack)}\n\n{file.read()}")
        WRITTEN.discard(path.absolute())  # it stays, also if the run had no result

    def _note(self) -> None:
        """Say that this process runs, and where it stands."""
        facts = {
            "tick": time.monotonic(), "still": self.pulse.still, "where": where(self.pulse.stack),
            "waits": waits_for_others(self.pulse.stack), "pid": os.getpid(), "host": platform.node(),
        }  # fmt: skip
        with suppress(OSError):  # a full disk says so elsewhere
            write_text(self._file(".hydra/pulse.{}.json"), json.dumps(facts))

    def _read(self, seconds: float) -> None:
        """Look at what the others noted; only their own clocks are compared with each other."""
        for rank in set(range(self.ranks)) - {self.rank}:
            file = self.folder / ".hydra" / f"pulse.{rank}.json"
            if not file.exists():  # not begun, or ended in order
                self.peers.pop(rank, None)
                continue
            with suppress(OSError, ValueError):
                self.peers.setdefault(rank, _Peer()).take(json.loads(file.read_text(encoding="utf-8")), seconds)
                self.seen.add(rank)

    def _file(self, name: str) -> Path:
        return self.folder / name.format(self.rank)

    def _kill_others(self) -> None:
        """End the processes that this one started, in whatever state they are, and remove their notes."""
        for process in self.started:
            if process.poll() is None:
                process.kill()
                with suppress(subprocess.TimeoutExpired):
                    process.wait(timeout=GRACE)
        for rank in range(self.ranks if self.started else 0):
            (self.folder / ".hydra" / f"pulse.{rank}.json").unlink(missing_ok=True)

    def _stop(self) -> None:
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._over.set()
        faulthandler.cancel_dump_traceback_later()
        if self._restore is not None and ALARM is not None:
            signal.signal(ALARM, self._restore)
        thread.join()
        self._file(".hydra/pulse.{}.json").unlink(missing_ok=True)


class _Peer:
    """What another process of the run noted, and for how long it has noted nothing."""

    def __init__(self) -> None:
        self.silent = self.tick = self.still = 0.0
        self.waits, self.where, self.host, self.pid = False, "an unknown place", "", 0

    def take(self, facts: dict[str, Any], seconds: float) -> None:
        """Take a note."""
        self.silent = 0.0 if facts["tick"] != self.tick else self.silent + seconds
        self.tick, self.still, self.waits = facts["tick"], facts["still"], facts["waits"]
        self.where, self.host, self.pid = facts["where"], facts["host"], facts["pid"]


def _run_of(trainer: pl.Trainer) -> Run | None:
    records = (callback for callback in trainer.callbacks if isinstance(callback, Record))  # type: ignore[attr-defined]
    return next((record.run for record in records), None)

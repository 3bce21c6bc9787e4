"""A line every minute in which nothing else was printed, so that a log file shows that a run is alive."""

import time
from collections.abc import Callable
from contextlib import suppress
from threading import Event, Thread

SILENCE = 60.0  # seconds


class Heartbeat:
    """Print what a run is doing whenever it has printed nothing for a while, also within a single long step.

    It looks at the run from a thread of its own, which changes nothing.

    Args:
        say: Returns the line to print; an empty text prints nothing.
    """

    def __init__(self, say: Callable[[], str]) -> None:
        self._say, self._stop = say, Event()
        self.spoke = time.monotonic()  # when a line was printed last

    def start(self) -> None:
        """Begin to watch."""
        self.stop()
        self._stop, self.spoke = Event(), time.monotonic()
        Thread(target=self._watch, args=(self._stop,), name="heartbeat", daemon=True).start()

    def stop(self) -> None:
        """Print nothing from now on."""
        self._stop.set()

    def print(self, line: str) -> None:
        """Print a line, and wait again."""
        self.spoke = time.monotonic()
        print(line, flush=True)

    def _watch(self, stop: Event) -> None:
        while not stop.wait(max(0.05, self.spoke + SILENCE - time.monotonic())):
            if time.monotonic() - self.spoke >= SILENCE:
                with suppress(Exception):  # a run that changes while it is looked at, a closed pipe
                    if line := self._say():
                        self.print(line)
                self.spoke = time.monotonic()

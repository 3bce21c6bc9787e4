"""Ctrl-C and the signals of a scheduler end a command the same way: what it has is kept, and its exit code says why."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

STOPS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1") if hasattr(signal, name))
SAME = 1.0  # seconds in which further signals belong to the first: a closing terminal or a scheduler sends several

_received: list[tuple[int, float]] = []  # the first signal of this command, and when it came


class Stopped(KeyboardInterrupt):
    """A signal asked the process to stop."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number

    def __str__(self) -> str:
        return signal.Signals(self.number).name


def stop(number: int, frame: Any = None) -> None:
    """Handle a signal: raise `Stopped`.

    Lightning, and whatever else has something to save, already knows this exception as Ctrl-C.
    """
    if is_first(number):
        raise Stopped(number)


def is_first(number: int, at_once: Callable[[int], None] | None = None) -> bool:
    """Note a signal, and return whether it is the first; a second one ends the process at once, or as `at_once` does.

    `at_once` receives the exit code.
    """
    if not _received:
        _received.append((number, time.monotonic()))
        return True
    if time.monotonic() - _received[0][1] > SAME:
        (at_once or end_at_once)(code_of(_received[0][0]))
    return False


def first_signal() -> int | None:
    """Return the signal that this command was asked to stop with, if it was."""
    return _received[0][0] if _received else None


def end_at_once(code: int) -> None:
    """End the process without anything further; its last checkpoint is whole, and its lock is freed."""
    os.write(2, b"\nstopped at once; the same command goes on from the last checkpoint\n")
    os._exit(code)


def is_in_a_hurry(error: BaseException) -> bool:
    """Return whether a scheduler stops the run, which soon kills it: there is no time for drawing."""
    return isinstance(error, Stopped) and error.number != signal.SIGINT


@contextmanager
def stop_signals_go_to(handler: Callable[[int, Any], None]) -> Iterator[None]:
    """Let a function handle the signals that stop; afterwards what handled them before does so again.

    A signal that is ignored stays ignored: `nohup` and a shell that starts a command in the background ask for that.
    """
    _received.clear()
    before = {number: signal.getsignal(number) for number in STOPS}
    heard = [number for number in STOPS if before[number] != signal.SIG_IGN]
    for number in heard:
        signal.signal(number, handler)
    try:
        yield
    finally:
        for number in heard:
            signal.signal(number, before[number])


def code_of(number: int) -> int:
    """Return the exit code for a signal: 130 for Ctrl-C, and 143 for all that ask a process to end.

    Examples:
        >>> code_of(signal.SIGINT), code_of(signal.SIGTERM), code_of(signal.SIGHUP)
        (130, 143, 143)
    """
    return 128 + (signal.SIGINT if number == signal.SIGINT else signal.SIGTERM)


def exit_code(error: BaseException | None) -> int | None:
    """Return the exit code of a command that a signal stopped; None if none did.

    Libraries turn the exception into one of their own, such as `SystemExit(1)`, so its causes are asked, too.

    Examples:
        >>> exit_code(Stopped(signal.SIGUSR1)), exit_code(KeyboardInterrupt()), exit_code(SystemExit(1))
        (143, 130, None)
    """
    seen: set[int] = set()
    while error is not None and id(error) not in seen:  # causes can go round in a circle
        seen.add(id(error))
        if isinstance(error, KeyboardInterrupt):
            return code_of(getattr(error, "number", signal.SIGINT))
        error = error.__cause__ or error.__context__
    return None

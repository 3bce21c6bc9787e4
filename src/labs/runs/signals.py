"""Ctrl-C, SIGTERM and a closed terminal end a command the same way: what it has is kept, and its exit code says why."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

STOPS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


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
    raise Stopped(number)


@contextmanager
def stop_signals_go_to(handler: Callable[[int, Any], None]) -> Iterator[None]:
    """Let a function handle the signals that stop; afterwards what handled them before does so again.

    A signal that is ignored stays ignored: `nohup` and a shell that starts a command in the background ask for that.
    """
    before = {number: signal.getsignal(number) for number in STOPS}
    heard = [number for number in STOPS if before[number] != signal.SIG_IGN]
    for number in heard:
        signal.signal(number, handler)
    try:
        yield
    finally:
        for number in heard:
            signal.signal(number, before[number])


def exit_code(error: BaseException | None) -> int | None:
    """Return the exit code of a command that a signal stopped, 128 and the signal's number; None if none did.

    Libraries turn the exception into one of their own, such as `SystemExit(1)`, so its causes are asked, too.

    Examples:
        >>> exit_code(Stopped(signal.SIGTERM)), exit_code(KeyboardInterrupt()), exit_code(SystemExit(1))
        (143, 130, None)
    """
    while error is not None:
        if isinstance(error, KeyboardInterrupt):
            return 128 + getattr(error, "number", signal.SIGINT)
        error = error.__cause__ or error.__context__
    return None

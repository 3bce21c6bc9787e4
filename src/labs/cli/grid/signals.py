"""Ctrl-C and SIGTERM, handled for a while by somebody else."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def stop_signals_go_to(handler: Callable[..., None]) -> Iterator[None]:
    """Let a function handle Ctrl-C and SIGTERM; afterwards what handled them before does again."""
    before = {sign: signal.signal(sign, handler) for sign in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for sign, earlier in before.items():
            signal.signal(sign, earlier)

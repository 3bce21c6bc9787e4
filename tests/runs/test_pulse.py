"""What goes on is seen to go on, however slow it is; what stands still is seen to stand still."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

from labs.runs.pulse import Pulse, is_patient, waits_for_others, where

SECONDS = 1.2


def still_after(work: Callable[[threading.Event], object]) -> Pulse:
    """Return the pulse of a thread that works for a while."""
    over = threading.Event()
    thread = threading.Thread(target=work, args=[over], daemon=True)
    thread.start()
    assert thread.ident is not None
    pulse, begun = Pulse(thread.ident), time.monotonic()
    pulse.look(0.05)
    while time.monotonic() - begun < SECONDS:
        time.sleep(0.05)
        pulse.look(0.05)
    over.set()
    return pulse


def one_long_operation(over: threading.Event) -> None:
    hashlib.pbkdf2_hmac("sha256", b"", b"", 20_000_000)  # seconds in native code, at one place


def many_short_ones(over: threading.Event) -> None:
    while not over.is_set():
        sum(range(1000))


def many_short_waits(over: threading.Event) -> None:
    while not over.wait(0.03):
        time.sleep(0.03)


def test_a_thread_that_waits_stands_still() -> None:
    pulse = still_after(lambda over: over.wait())
    assert pulse.still > SECONDS / 3
    assert "in wait" in where(pulse.stack)
    assert "tests/runs/test_pulse.py" in where(pulse.stack)


@pytest.mark.parametrize("work", [one_long_operation, many_short_ones, many_short_waits])
def test_a_thread_that_computes_or_moves_goes_on(work: Callable[[threading.Event], object]) -> None:
    assert still_after(work).still < SECONDS / 3


def test_a_wait_for_another_process_is_no_hang(tmp_path: Path) -> None:
    with FileLock(tmp_path / "lock"):

        def waits(over: threading.Event) -> None:
            FileLock(tmp_path / "lock").acquire(cancel_check=over.is_set)

        assert still_after(waits).still == 0


def test_places() -> None:
    assert is_patient([("/x/labs/storage/web.py", 1, "read")])
    assert is_patient([("C:\\x\\filelock\\_api.py", 1, "acquire")])
    assert not is_patient([("/x/labs/modules/web.py", 1, "read")])
    assert waits_for_others([("/x/torch/distributed/c10d.py", 1, "wait")])
    assert waits_for_others([("/x/torch/autograd/graph.py", 1, "_engine_run_backward")])
    assert where([]) == "an unknown place"

"""Whether a process goes on: where its main thread stands, and for how long it has stood there."""

import sys
import sysconfig
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from labs import LabsError

BUSY = 0.05  # processor time, as a fraction of the time that passes, that only a computation uses
LIBRARIES = tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")})
OURS = str(Path(__file__).parents[1])
# Code whose waiting is no hang: for another process that makes the same files, for a download, which has limits of its
# own, and for a person in a debugger.
PATIENT = ("filelock", "labs/storage/download.py", "labs/storage/web.py", "pdb.py", "bdb.py")


class HungError(LabsError):
    """A process of the run stands still, or has ended by itself."""


class Pulse:
    """Watch a thread of this process from another one.

    It goes on as long as its stack changes, memory of the GPU is allocated, or, without a GPU, the process computes. So
    nothing has to report progress: preparing data, drawing or a batch of many minutes are all seen. On a GPU, processor
    time means nothing, because waiting for the device also uses it.

    Args:
        thread: identifier of the thread.
        device: index of the GPU that trains; None: it trains on another device.
    """

    def __init__(self, thread: int, device: int | None = None) -> None:
        self.thread, self.device = thread, device
        self.still = 0.0  # seconds
        self.stack: list[tuple[str, int, str]] = []  # file, line and function, the innermost first
        self._before: object = None
        self._used = time.process_time()

    def look(self, seconds: float) -> None:
        """Look again, after so many seconds in which this process was not stopped."""
        frames = _frames(sys._current_frames().get(self.thread))
        self.stack = [(frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name) for frame in frames]
        now = ([(id(frame.f_code), frame.f_lasti) for frame in frames], _allocations(self.device))
        used, self._used = time.process_time() - self._used, time.process_time()
        computes = self.device is None and used > BUSY * seconds
        goes_on = now != self._before or computes or is_patient(self.stack)
        self.still = 0.0 if goes_on else self.still + seconds
        self._before = now


def is_patient(stack: Sequence[tuple[str, int, str]]) -> bool:
    """Return whether a thread waits where waiting is no hang."""
    files = [file.replace("\\", "/") for file, _, _ in stack]
    return any(f"/{file}".endswith(f"/{name}") or f"/{name}/" in file for file in files for name in PATIENT)


def waits_for_others(stack: Sequence[tuple[str, int, str]]) -> bool:
    """Return whether a thread waits for other processes of the run, also where gradients are averaged."""
    return any("torch/distributed/" in file.replace("\\", "/") or name == _BACKWARD for file, _, name in stack)


def where(stack: Sequence[tuple[str, int, str]]) -> str:
    """Name the innermost line of `labs` or of the user's code, and that of the library in which it waits.

    Examples:
        >>> where([("/usr/x.py", 3, "wait"), ("/usr/y.py", 8, "step")])
        '/usr/x.py:3 in wait'
    """
    own = next((line for line in stack if _is_own(line[0])), None)
    if own is None or own == stack[0]:
        return _line(own or stack[0]) if stack else "an unknown place"
    return f"{_line(own)}, which waits at {_line(stack[0])}"


def _is_own(file: str) -> bool:
    return file.startswith(OURS) or not (file.startswith("<") or file.startswith(LIBRARIES))


def _line(line: tuple[str, int, str]) -> str:
    file, number, name = line
    known = (str(Path(OURS).parent), str(Path.cwd()), *LIBRARIES)
    roots = [f"{root}/" for root in known if file.startswith(f"{root}/")]
    return f"{file.removeprefix(max(roots, key=len, default=''))}:{number} in {name}"


def _frames(innermost: FrameType | None) -> list[FrameType]:
    found = []
    while innermost is not None:
        found.append(innermost)
        innermost = innermost.f_back
    return found


def _allocations(device: int | None) -> int:
    """Return how often memory of the GPU was allocated: every operation does, and waiting does not."""
    if device is None:
        return 0
    import torch

    return int(torch.cuda.memory_stats(device).get("allocation.all.allocated", 0))


_BACKWARD = "_engine_run_backward"

"""Runs in forked processes, which Windows has not: everything is imported once, so a small run takes little time."""

import contextlib
import importlib
import os
import pkgutil
import runpy
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]


def import_everything(draw: bool = False) -> None:
    """Import what runs need, with one thread; the judge of generated images then trains for few steps.

    Args:
        draw: Whether runs draw their curves, a quarter of a small run's time.
    """
    sys.path.insert(0, str(ROOT / "src"))
    import torch

    torch.set_num_threads(1)  # a forked process has no other thread
    os.environ["OMP_NUM_THREADS"] = "1"
    import lightning.pytorch  # noqa: F401
    import matplotlib

    matplotlib.use("Agg")
    import labs
    import labs.metrics.judge

    for module in pkgutil.walk_packages(labs.__path__, "labs."):
        with contextlib.suppress(ImportError):  # an extra that is not installed
            importlib.import_module(module.name)
    labs.metrics.judge.STEPS = 20
    if not draw:
        undrawn()


def undrawn() -> None:
    """Leave out the curves of the runs of this process."""
    import labs.callbacks.record

    setattr(labs.callbacks.record.Record, "draw", lambda self: None)  # noqa: B010 - a method


def run(command: Sequence[str]) -> tuple[int, str]:
    """Run `python train.py` with these words; return its exit code and what it printed."""
    return end_of(*start(command))


def has_ended(child: int) -> bool:
    """Return whether a run has ended; `end_of` can still be asked how."""
    return os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def end_of(child: int, printed: Path) -> tuple[int, str]:
    """Wait for a run; return its exit code and what it printed."""
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    text = printed.read_text(encoding="utf-8", errors="replace")
    printed.unlink()
    return code, text


def start(command: Sequence[str], *, draw: bool = True) -> tuple[int, Path]:
    """Run `python train.py` with these words in a forked process; what it prints goes to a file."""
    number, name = tempfile.mkstemp(prefix="labs-run-")
    child = os.fork()
    if child:
        os.close(number)
        return child, Path(name)
    os.dup2(number, 1)
    os.dup2(number, 2)
    sys.stdout, sys.stderr = (open(one, "w", encoding="utf-8", closefd=False) for one in (1, 2))  # noqa: SIM115
    sys.argv = [str(ROOT / "train.py"), *command]
    code = 1
    try:
        if not draw:
            undrawn()
        runpy.run_path(sys.argv[0], run_name="__main__")
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(bool(error.code))
    except BaseException:  # this process must never go on as its parent would
        import traceback

        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                stream.flush()
        os._exit(code)

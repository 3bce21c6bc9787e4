"""The command line: the only part of `labs` that knows Hydra's configuration.

Light by design: `--help`, `--cfg job` and mistyped names of groups and settings are answered at once, without torch.
The type of a value is checked against the constructor that receives it, which has to be imported for that.
"""

import functools
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from labs.runs.requeue import requeue
from labs.runs.signals import exit_code, first_signal, stop, stop_signals_go_to
from labs.runs.threads import set_waiting

Result = TypeVar("Result")
OURS = "LABS_SET_HYDRA_FULL_ERROR"  # we set it, so that Hydra hands exceptions on instead of printing a traceback


class _FailureError(BaseException):
    """Carry an exception past Hydra, which would print a line of its own about it."""


def past_hydra(task: Callable[..., Result]) -> Callable[..., Result]:
    """Let `report_mistakes` alone report the exceptions of a single run; those of a grid's cells go to its launcher."""

    @functools.wraps(task)
    def wrapped(*arguments: object) -> Result:
        from hydra.core.hydra_config import HydraConfig
        from hydra.types import RunMode

        try:
            return task(*arguments)
        except Exception as error:
            if HydraConfig.get().mode == RunMode.MULTIRUN:
                raise
            raise _FailureError from error

    return wrapped


@contextmanager
def report_mistakes() -> Iterator[None]:
    """Turn a user's mistake into one message and exit code 2; a stopped command ends with the signal's exit code.

    `HYDRA_FULL_ERROR=1` in the environment shows the full traceback of any error.
    """
    set_waiting()
    before, typed = os.environ.get("HYDRA_FULL_ERROR"), sys.argv[1:]
    if OURS in os.environ and os.environ.get("LOCAL_RANK", "0") != "0":  # a further process of a run, which inherits it
        before = None
    try:
        os.environ |= {"HYDRA_FULL_ERROR": "1"} | ({} if before == "1" else {OURS: "1"})
        with stop_signals_go_to(stop):
            yield
    except (KeyboardInterrupt, SystemExit) as error:
        if first_signal() == getattr(signal, "SIGUSR1", -1):  # by which SLURM says that the job's time is up
            requeue()
        code = exit_code(error)
        if code is None:  # a command that has said why it ends
            raise
        if isinstance(error, KeyboardInterrupt):  # before or after the training, which ends an interrupt itself
            print("\ninterrupted", file=sys.stderr)
        sys.exit(code)
    except (Exception, _FailureError) as caught:
        from labs.cli.explain import explain

        failure = caught.__cause__ if isinstance(caught, _FailureError) else caught
        assert failure is not None
        message = explain(failure, sys.argv[1:], typed)
        if message is None or before == "1":
            raise failure from failure.__cause__
        print(f"\nerror: {message}", file=sys.stderr)
        sys.exit(2)
    finally:
        os.environ.pop("HYDRA_FULL_ERROR")
        os.environ.pop(OURS, None)
        if before is not None:
            os.environ["HYDRA_FULL_ERROR"] = before


def command_line(main: Callable[[], None]) -> None:
    """Run a `@hydra.main` function with our short forms, our help page and our error messages."""
    from labs.cli.flags import answer
    from labs.cli.terminal import print_everywhere, show

    print_everywhere()
    with report_mistakes():
        if (page := answer(sys.argv[1:])) is not None:
            show(page)
            return
        from labs.cli.bare_words import understood
        from labs.cli.grid.words import of_the_grid
        from labs.cli.overrides import expand
        from labs.cli.prefixes import check_prefixes
        from labs.cli.resolvers import register_resolvers

        register_resolvers()
        words = expand(understood(sys.argv[1:]))
        check_prefixes(words)
        sys.argv[1:] = of_the_grid(words)
        main()

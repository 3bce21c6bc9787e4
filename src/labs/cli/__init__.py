"""The command line: the only part of `labs` that knows Hydra's configuration.

Light by design: `--help`, `--cfg job` and mistyped names of groups and settings answer at once, without torch. A value
of the wrong type is found against the constructor that receives it, which has to be imported for that.
"""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from labs import LabsError
from labs.runs.signals import exit_code, stop, stop_signals_go_to


@contextmanager
def report_mistakes() -> Iterator[None]:
    """End a user's mistake in one message and exit code 2, and a command that was stopped in the signal's exit code.

    `HYDRA_FULL_ERROR=1` in the environment shows the full traceback of any error.
    """
    before = os.environ.get("HYDRA_FULL_ERROR")
    try:
        os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then hands exceptions on instead of printing a traceback
        with stop_signals_go_to(stop):
            yield
    except (KeyboardInterrupt, SystemExit) as error:
        code = exit_code(error)
        if code is None:  # --help, or a command that has said why it ends
            raise
        if isinstance(error, KeyboardInterrupt):  # before or after the training, which ends an interrupt itself
            print("\ninterrupted", file=sys.stderr)
        sys.exit(code)
    except Exception as error:
        from labs.cli.explain import explain

        message = str(error) if isinstance(error, LabsError) else explain(error, sys.argv[1:])
        if message is None or before == "1":
            raise
        print(f"\nerror: {message}", file=sys.stderr)
        sys.exit(2)
    finally:
        os.environ.pop("HYDRA_FULL_ERROR")
        if before is not None:
            os.environ["HYDRA_FULL_ERROR"] = before


def command_line(main: Callable[[], None]) -> None:
    """Run a `@hydra.main` function with our short forms, our help page and our error messages."""
    from labs.cli.grid.words import of_the_grid
    from labs.cli.help import register_resolvers
    from labs.cli.overrides import expand
    from labs.cli.prefixes import check_prefixes
    from labs.cli.terminal import print_everywhere

    print_everywhere()
    register_resolvers()
    with report_mistakes():
        words = expand(sys.argv[1:])
        check_prefixes(words)
        sys.argv[1:] = of_the_grid(words)
        main()

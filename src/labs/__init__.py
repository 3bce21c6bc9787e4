"""The practicals of five deep-learning vision courses, as one PyTorch Lightning + Hydra codebase.

`labs.load_run(run_directory)` returns the net of a run, `labs.trained_net(name=...)` one of ImageNet's: docs/python.md.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from labs.runs.load import load_run as load_run
    from labs.runs.trained_net import trained_net as trained_net


class LabsError(Exception):
    """Tell the user what was expected, what was found and what to type instead.

    The command line prints the message alone, without a traceback, and exits with code 2.
    """


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is asked for: `import labs` alone takes no time."""
    if name == "load_run":
        from labs.runs.load import load_run

        return load_run
    if name == "trained_net":
        from labs.runs.trained_net import trained_net

        return trained_net
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

"""The practicals of five deep-learning vision courses, as one PyTorch Lightning + Hydra codebase.

`labs.load_run("outputs/cub_full")` returns the net of a run, `labs.trained_net(name=...)` a net with ImageNet's
classes, and `labs.runs_table("outputs")` a table of runs: docs/python.md.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from labs.reporting.runs_table import runs_table as runs_table
    from labs.runs.load import load_run as load_run
    from labs.runs.trained_net import trained_net as trained_net

_HOMES = {
    "load_run": "labs.runs.load",
    "runs_table": "labs.reporting.runs_table",
    "trained_net": "labs.runs.trained_net",
}


class LabsError(Exception):
    """A mistake of the user: the message says what is wrong, then what to type.

    The command line prints the message alone, without a traceback, and exits with code 2.
    """


def __getattr__(name: str) -> Any:
    """Import a function when it is first used: `import labs` alone takes no time."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """List what tab completion should offer."""
    return [*_HOMES, "LabsError"]

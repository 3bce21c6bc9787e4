"""How the cells of a grid are run: `hydra/launcher=serial` and `hydra/launcher=joblib`.

Hydra looks for launchers in the namespace package `hydra_plugins` and imports them at every start, so nothing heavy is
imported here before a grid is launched.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

if TYPE_CHECKING:
    from labs.cli.grid.launch import Run


class SerialLauncher(Launcher):
    """Run the cells one after another in this process, which pays for imports and data once."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Take what Hydra hands to every launcher."""
        self.hydra_context, self.task_function, self.config = hydra_context, task_function, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run every cell that is not finished yet."""
        from labs.cli.grid.launch import launch

        return launch(self._run(), self.hydra_context.config_loader, self.config, job_overrides, initial_job_idx)

    def _run(self) -> "Run":
        from labs.cli.grid.serial import Serial

        return Serial(self.hydra_context, self.task_function)


class JoblibLauncher(SerialLauncher):
    """Run several cells at once, each in a process of its own with its share of the machine's threads.

    Args:
        n_jobs: cells at once, as joblib counts: -1 is one a core.
    """

    def __init__(self, n_jobs: int = -1) -> None:
        self.n_jobs = n_jobs

    def _run(self) -> "Run":
        from labs.cli.grid.side_by_side import SideBySide

        return SideBySide(self.n_jobs)

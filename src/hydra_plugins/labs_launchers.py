"""How cells of grids and searches are found, `hydra/sweeper=cells`, and run, `hydra/launcher`: serial, joblib or slurm.

Hydra looks for launchers in the namespace package `hydra_plugins` and imports them at every start, so nothing heavy is
imported here before a grid is launched.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hydra._internal.core_plugins import basic_sweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

if TYPE_CHECKING:
    from labs.cli.grid.launch import Run


class CellSweeper(basic_sweeper.BasicSweeper):
    """Find the cells of a grid: every combination of the values that its file and the command name."""

    def sweep(self, arguments: list[str]) -> list[Sequence[JobReturn]]:
        """Launch the cells; they are composed and checked there, once, before anything is written."""
        from labs.cli.grid.words import of_the_cells

        assert self.hydra_context is not None
        assert self.launcher is not None
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        words = parser.parse_overrides([*self._parse_config(), *of_the_cells(arguments)])
        if self.config is not None and self.config.get("search"):
            assert isinstance(self.launcher, SerialLauncher)
            self.launcher.search(words)
            return []
        (cells,) = self.split_arguments([word for word in words if not word.is_hydra_override()], None)
        returns = self.launcher.launch(cells, initial_job_idx=0)
        for cell in returns:
            _ = cell.return_value  # raises what the cell failed of
        return [returns]


class SerialLauncher(Launcher):
    """Run the cells one after another in this process, which pays for imports and data once."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Take what Hydra hands to every launcher."""
        self.hydra_context, self.task_function, self.config = hydra_context, task_function, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run every cell that is not finished yet."""
        from labs.cli.grid.launch import launch

        return launch(self._run(), self.hydra_context.config_loader, self.config, job_overrides, initial_job_idx)

    def search(self, words: Sequence[Override]) -> None:
        """Run the trials of a search."""
        from labs.cli.search.launch import Search

        Search(self._run(), self.hydra_context.config_loader, self.config, words)()

    def _run(self) -> "Run":
        from labs.cli.grid.serial import Serial

        return Serial(self.hydra_context, self.task_function)


class JoblibLauncher(SerialLauncher):
    """Run several cells at once, each in a process of its own with its share of the machine's threads and GPUs.

    Args:
        n_jobs: cells at once, as joblib counts: -1 is one per core, or one per GPU.
    """

    def __init__(self, n_jobs: int = -1) -> None:
        self.n_jobs = n_jobs

    def _run(self) -> "Run":
        from labs.cli.grid.side_by_side import SideBySide

        return SideBySide(self.n_jobs)


class SlurmLauncher(SerialLauncher):
    """Submit each cell that is not finished as a job of a cluster, and leave.

    Args:
        settings: `hydra.launcher.*`, as conf/hydra/launcher/slurm.yaml lists them.
    """

    def __init__(self, **settings: Any) -> None:
        self.settings = settings

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Submit every cell that is not finished, queued or running."""
        from labs.cli.grid.slurm import Slurm

        return Slurm(self.settings).launch(
            self.hydra_context.config_loader, self.config, job_overrides, initial_job_idx
        )

    def search(self, words: Sequence[Override]) -> None:
        """Refuse a search: it stays."""
        from labs.cli.grid.slurm import refuse_search

        refuse_search()

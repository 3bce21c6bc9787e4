"""Trackio as a logger: Lightning has none for it (its issue 21466)."""

from argparse import Namespace
from collections.abc import Mapping
from typing import Any

from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.loggers.logger import Logger
from lightning.pytorch.utilities import rank_zero_only


class TrackioLogger(Logger):
    """Log metrics and settings to Trackio, on this machine.

    Args:
        project: that the run belongs to.
        name: of the run.
    """

    def __init__(self, *, project: str, name: str) -> None:
        super().__init__()
        self.project, self.run_name = project, name
        self.settings: dict[str, Any] = {}
        self._run: Any = None

    @property
    def name(self) -> str:
        """Return the project."""
        return self.project

    @property
    def version(self) -> str:
        """Return the name of the run."""
        return self.run_name

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """Return Trackio's run, which begins with the first use."""
        if self._run is None:
            import trackio  # only a run that logs to it needs the package

            self._run = trackio.init(
                self.project, name=self.run_name, config=self.settings, embed=False, resume="allow"
            )
        return self._run

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Keep the settings, which are sent as the run begins."""
        self.settings |= vars(params) if isinstance(params, Namespace) else params

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log numbers at a step."""
        self.experiment.log(dict(metrics), step=step)

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """End the run; Lightning asks for it after training, and again after the test."""
        if self._run is not None:
            self._run.finish()
            self._run = None

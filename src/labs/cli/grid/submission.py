"""What the job of a cell asks a cluster for, and how it is handed to SLURM: through submitit, as an array."""

import os
import re
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import OmegaConf

from labs import LabsError
from labs.cli.grid.cells import Cell
from labs.cli.grid.job import become
from labs.runs.processes import devices_of
from labs.runs.threads import BRIEFLY, NOT_AT_ALL

# The types of the settings, and whether they can be null.
SETTINGS: dict[str, tuple[type | tuple[type, ...], bool]] = {
    "executor": (str, False),
    **dict.fromkeys(("partition", "account", "qos"), ((str, int), True)),
    **dict.fromkeys(("timeout_min", "cpus_per_task", "array_parallelism", "signal_delay_s"), (int, False)),
    "gpus_per_node": (int, True),
    "mem_gb": ((int, float), True),
    "setup": (list, False),
}


class Resources(NamedTuple):
    """What a job asks for beside what is the same for all: machines, and the processes and GPUs of each machine."""

    nodes: int
    tasks: int
    gpus: int | None


class Submission:
    """Hand cells to a cluster.

    Args:
        settings: `hydra.launcher.*`.

    Raises:
        LabsError: a setting is wrong, or the package is missing.
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.settings: dict[str, Any] = {
            n: OmegaConf.to_object(v) if OmegaConf.is_config(v) else v for n, v in settings.items()
        }
        for name, value in self.settings.items():
            _check(name, value)
        self.executor: str = self.settings["executor"]
        if find_spec("submitit") is None:
            raise LabsError("hydra/launcher=slurm: the package submitit is not installed; type pip install submitit.")

    def resources(self, cell: Cell) -> Resources:
        """Return what the job of a cell asks for.

        Raises:
            LabsError: says what to type so that the job and the run ask for the same.
        """
        trainer, gpus = cell.config.trainer, self.settings["gpus_per_node"]
        on_cpu, nodes = trainer.accelerator == "cpu", trainer.num_nodes
        devices = devices_of(trainer.devices)
        if devices is None:
            devices = 1 if on_cpu else gpus
        if not devices:
            raise LabsError(
                f"trainer.devices={trainer.devices}: a job must say before it starts how many GPUs it needs; type "
                "trainer.devices=2, or hydra.launcher.gpus_per_node=2."
            )
        needs_gpus = not on_cpu and (devices > 1 or trainer.accelerator != "auto")
        if needs_gpus and gpus is None:
            gpus = devices
        elif needs_gpus and gpus < devices:
            raise LabsError(
                f"trainer.devices={trainer.devices}: each job would have {gpus} GPUs; type "
                f"hydra.launcher.gpus_per_node={devices}, or trainer=cpu."
            )
        if self.executor == "local":  # there, Lightning starts the processes of a run; on a cluster, srun does
            if nodes != 1:
                raise LabsError(f"trainer.num_nodes={nodes}: hydra.launcher.executor=local has one machine.")
            devices = 1
        return Resources(nodes, devices, gpus)

    def submit(self, cells: Sequence[Cell], asked: Resources, folder: Path, name: str) -> list[str]:
        """Submit cells that ask for the same as one array, and return the numbers of their jobs.

        Args:
            cells: one job each.
            asked: what each job asks for.
            folder: a new one, for what submitit writes: a job loads the pickle of its number from there.
            name: of the grid.

        Raises:
            LabsError: there is no SLURM here, or it refuses the jobs.
        """
        with _environment_of_jobs():
            import submitit
            from submitit.core.utils import FailedJobError, FailedSubmissionError

            calls = [partial(become, *self._call(cell)) for cell in cells]
            parameters = self._parameters(asked, name)
            try:
                executor = submitit.AutoExecutor(folder=folder, cluster=self.executor)
            except RuntimeError as error:
                raise LabsError(
                    "hydra/launcher=slurm: this machine has no srun. Type the command where the cluster takes jobs, or "
                    "try it here with hydra.launcher.executor=local."
                ) from error
            try:
                executor.update_parameters(**parameters)
            except (NameError, ValueError, TypeError, AssertionError) as error:
                raise LabsError(f"hydra.launcher: {' '.join(str(error).split())}") from error
            try:
                with _detached(folder / "local.log") if self.executor == "local" else nullcontext():
                    return [job.job_id for job in executor.submit_array(calls)]
            except (FailedJobError, FailedSubmissionError, OSError) as error:
                raise LabsError(f"SLURM refused the jobs: {' '.join(str(error).split())}") from error

    def describe(self, numbers: Sequence[str], asked: Resources) -> str:
        """Return one line on the jobs of an array: what each asks for, and how they are shown and ended."""
        parts = [f"{asked.nodes} nodes" if asked.nodes > 1 else ""]
        parts += [f"{asked.tasks} processes per node" if asked.tasks > 1 else ""]
        parts += [f"cores per process: {self.settings['cpus_per_task']}", f"GPUs per node: {asked.gpus or 'none'}"]
        needs = ", ".join(filter(None, [*parts, f"minutes: {self.settings['timeout_min']}"]))
        if self.executor == "local":
            return f"jobs    processes {', '.join(numbers)} of this machine ({needs})"
        job = numbers[0].partition("_")[0]
        listed = f"{job}_[0-{len(numbers) - 1}]" if len(numbers) > 1 else job
        return f"jobs    {listed} ({needs}); squeue -j {job} shows them, scancel {job} ends them"

    def _call(self, cell: Cell) -> tuple[list[str], str, str, int]:
        program = str(Path(sys.argv[0]).absolute())
        return [program, *cell.arguments], str(Path.cwd()), str(cell.directory), self.settings["cpus_per_task"]

    def _parameters(self, asked: Resources, name: str) -> dict[str, Any]:
        """Return what submitit is asked for; it leaves out what is null."""
        typed = {key: value for key, value in self.settings.items() if key.startswith("slurm_")}
        names = ("partition", "account", "qos", "array_parallelism", "signal_delay_s")
        cores = self.settings["cpus_per_task"]
        # Since SLURM 22.05, srun does not take the number of cores from sbatch. Where a process has ended, the others
        # get ten minutes, in which the first one saves; --kill-on-bad-exit would give them none.
        waits = ["--wait=600"] if asked.nodes * asked.tasks > 1 else []
        srun = [f"--cpus-per-task={cores}", *waits, *typed.pop("slurm_srun_args", [])]
        return {
            "name": "labs-" + re.sub(r"[^\w.-]", "_", name),
            "nodes": asked.nodes,
            "tasks_per_node": asked.tasks,
            "gpus_per_node": asked.gpus,
            "cpus_per_task": cores,
            "mem_gb": self.settings["mem_gb"],
            "timeout_min": self.settings["timeout_min"],
            **{f"slurm_{key}": self.settings[key] for key in names},
            "slurm_setup": self.settings["setup"] or None,
            "slurm_srun_args": srun,
            "slurm_additional_parameters": {"requeue": True, **typed.pop("slurm_additional_parameters", {})},
            **typed,
        }


def _check(name: str, value: Any) -> None:
    """Refuse a setting that the launcher does not have, or a value of another type.

    Raises:
        LabsError: says what is expected.
    """
    if name.startswith("slurm_"):
        return  # submitit knows them
    if name not in SETTINGS:
        raise LabsError(
            f"hydra.launcher.{name}: hydra/launcher=slurm has {', '.join(SETTINGS)}. Other options of submitit have "
            f"the prefix slurm_: +hydra.launcher.slurm_{name}={value}"
        )
    kinds, can_be_null = SETTINGS[name]
    fits = isinstance(value, kinds) and not isinstance(value, bool)
    if fits and isinstance(value, (int, float)) and kinds != (str, int):
        fits = value > 0 or (name == "gpus_per_node" and value == 0)
    if name == "executor":
        fits = value in ("slurm", "local")
    if name == "setup" and fits:
        fits = all(isinstance(command, str) for command in value)
    if fits or (value is None and can_be_null):
        return
    words = {"executor": "slurm or local", "setup": "a list of commands, such as ['module load cuda']"}
    expected = words.get(name, "a name" if kinds == (str, int) else "a number above 0")
    raise LabsError(f"hydra.launcher.{name}={value}: expected {expected}.")


@contextmanager
def _environment_of_jobs() -> Iterator[None]:
    """Let jobs inherit the environment, without that of a job in which this command may itself run.

    SIGUSR1 is the signal that a run saves at; submitit reads when it is imported, here and in the job, that it has to
    send this one.
    """
    before = dict(os.environ)
    if "SLURM_JOB_ID" in before:
        ranks = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
        for name in before:
            if (name.startswith(("SLURM", "SRUN_")) or name in ranks) and name not in ("SLURM_CONF", "SLURM_CLUSTERS"):
                del os.environ[name]
    for name, value in {**NOT_AT_ALL, **BRIEFLY}.items():
        if os.environ.get(name) == value:  # chosen for this machine, which may be busier than that of a job
            del os.environ[name]
    os.environ["SUBMITIT_PREEMPT_SIGNAL"] = "USR1"
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextmanager
def _detached(log: Path) -> Iterator[None]:
    """Let local jobs outlive this command and its terminal: they ignore its end, and hold none of its pipes."""
    streams = [os.dup(1), os.dup(2)]
    heard = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    sys.stdout.flush()
    with log.open("ab") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, heard)
        for stream, kept in zip((1, 2), streams, strict=True):
            os.dup2(kept, stream)
            os.close(kept)

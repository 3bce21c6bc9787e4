"""Running a recipe again where it ran before: nothing is repeated, and nothing that was stopped starts anew."""

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from omegaconf import DictConfig, OmegaConf

from labs import LabsError
from labs.runs.directory import read_facts

# What a run does with a directory, or where: not what it computes.
NOT_RECIPE = ("hydra", "paths", "resume", "rerun", "sweep")


def digest(content: Any) -> str:
    """Hash plain containers to twelve letters that do not depend on the order of keys.

    Examples:
        >>> digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
        True
    """
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[:12]


def recipe_key(cfg: DictConfig, experiment: str) -> str:
    """Hash the resolved recipe, without the paths: the same key, the same numbers."""
    recipe = OmegaConf.masked_copy(cfg, [str(key) for key in cfg if key not in NOT_RECIPE])
    recipe.paths = dict.fromkeys(cfg.paths, "")  # settings that point into a folder resolve to the same on any machine
    resolved: Any = OmegaConf.to_container(recipe, resolve=True)
    (resolved.get("callbacks") or {}).pop("feature_cache", None)  # it changes no number
    net = resolved.get("module", {}).get("net", {})
    net["weights"] = _weights_identity(str(net.get("weights")))
    return digest([experiment, {name: value for name, value in resolved.items() if name != "paths"}])


def _weights_identity(weights: str) -> str:
    """Return what tells weights apart: the content of a file or of a run's checkpoint, not where it lies."""
    checkpoints = [Path(weights) / "checkpoints" / f"{name}.ckpt" for name in ("best", "last")]  # a GAN has no best
    file = next((path for path in (Path(weights), *checkpoints) if path.is_file()), None)
    if file is None:
        return weights
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def is_finished(run_dir: Path, key: str) -> bool:
    """Say whether a directory holds the finished run of this very recipe."""
    facts = read_facts(run_dir)
    return facts.get("key") == key and facts.get("status") == "finished"


def go_on_here(cfg: DictConfig, key: str) -> bool:
    """Say whether the run directory still needs its run, and set `cfg.resume` where one was stopped.

    The same recipe in the same directory is skipped if it has finished, resumed if it was interrupted or killed, and
    started anew if it failed; another recipe starts anew. `rerun=true` starts anew in any case, `resume=true` goes on
    from the last checkpoint even under other settings.

    Raises:
        LabsError: both were asked for.
    """
    if cfg.rerun and cfg.resume:
        raise LabsError("rerun=true starts anew and resume goes on: type one of them.")
    run_dir = Path(cfg.paths.run_dir)
    if cfg.rerun:
        return True
    facts = read_facts(run_dir)
    if facts.get("key") == key and not cfg.resume:
        cfg.resume = facts.get("status") in ("running", "interrupted")
    return not is_finished(run_dir, key)


def is_occupied(run_dir: Path) -> bool:
    """Say whether another process is training in a directory."""
    lock = _lock(run_dir)
    if not Path(lock.lock_file).is_file():
        return False
    try:
        with lock:
            return False
    except Timeout:
        return True


def rank() -> int:
    """Return the number of this process among those of a run: what Lightning has set, or will set when it is imported.

    0 is the process that the user started, whatever starts the others.
    """
    from lightning_utilities.core.rank_zero import rank_zero_only

    variables = ("RANK", "LOCAL_RANK", "SLURM_PROCID", "JSM_NAMESPACE_RANK")  # in the order that Lightning asks
    of_environment = next((int(os.environ[name]) for name in variables if name in os.environ), 0)
    return int(getattr(rank_zero_only, "rank", of_environment))


@contextmanager
def alone_in(run_dir: Path) -> Iterator[None]:
    """Keep other processes out of a run directory; a killed process frees it.

    Raises:
        LabsError: another process is training there.
    """
    if rank() > 0:  # started by the process that holds the directory
        yield
        return
    lock = _lock(run_dir)
    Path(lock.lock_file).parent.mkdir(parents=True, exist_ok=True)
    try:
        lock.acquire()
    except Timeout:
        raise LabsError(
            f"another process is training in {run_dir}; wait for it, or choose another directory."
        ) from None
    try:
        yield
    finally:
        lock.release()


def _lock(run_dir: Path) -> FileLock:
    return FileLock(run_dir / ".hydra" / "run.lock", timeout=0)

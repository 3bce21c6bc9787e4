"""What a run ran on: versions, commit, machine, device."""

import importlib.metadata
import os
import platform
import subprocess
import sys
from pathlib import Path

import torch

from labs.runs.threads import WAITING, cores

PACKAGES = (
    "torch",
    "torchvision",
    "lightning",
    "hydra-core",
    "omegaconf",
    "torchmetrics",
    "numpy",
    "pillow",
    "scikit-learn",
    "scikit-image",
)
NAMED = 10  # files that differ from the commit


def environment(device: torch.device | str = "cpu") -> dict[str, object]:
    """Collect plain facts about the software and the machine, for `environment.json`."""
    kind = torch.device(device).type
    name = torch.cuda.get_device_name(device) if kind == "cuda" else platform.processor() or platform.machine()
    return {
        "labs": importlib.metadata.version("labs"),
        "git_commit": git_commit(),
        "python": platform.python_version(),
        **{package: importlib.metadata.version(package) for package in PACKAGES},
        "platform": platform.platform(),
        "device": f"{kind} ({name})",
        "cuda": torch.version.cuda if kind == "cuda" else None,
        "cpu_count": os.cpu_count(),
        "cores": cores(),
        "threads": torch.get_num_threads(),
        "threads_wait": {name: os.environ[name] for name in WAITING if name in os.environ},
        "argv": [Path(sys.argv[0]).name, *sys.argv[1:]],
    }


def git_commit(folder: Path = Path(__file__).parent) -> str:
    """Return the commit of the checkout that a folder lies in, with the files that differ from it or are not in it.

    Ignored files do not count; a folder in which no file is tracked counts as one. Outside git it says so.
    """

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", *arguments], cwd=folder, capture_output=True, encoding="utf-8", errors="replace", check=True,
            timeout=10,
        ).stdout  # fmt: skip

    try:
        commit, lines = git("rev-parse", "HEAD").strip(), git("status", "--porcelain").splitlines()
    except (OSError, subprocess.SubprocessError):
        return "not in a git checkout"
    untracked = [line[3:] for line in lines if line.startswith("??")]
    modified = [line[3:] for line in lines if not line.startswith("??")]
    notes = [f"{word}: {_some(names)}" for word, names in (("modified", modified), ("untracked", untracked)) if names]
    return f"{commit} ({'; '.join(notes)})" if notes else commit


def _some(names: list[str]) -> str:
    more = [f"and {len(names) - NAMED} more"] if len(names) > NAMED else []
    return ", ".join([*names[:NAMED], *more])

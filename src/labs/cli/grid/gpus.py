"""GPUs for cells that run side by side: each cell sees as many as it wants, those with the fewest cells."""

import importlib.metadata
import os
import re
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from omegaconf import OmegaConf

from labs.runs.processes import devices_of

VISIBLE = "CUDA_VISIBLE_DEVICES"


class Gpus:
    """The GPUs of this machine, and how many cells use each.

    Args:
        names: as in `CUDA_VISIBLE_DEVICES`: numbers or identifiers.
    """

    def __init__(self, names: list[str]) -> None:
        self.cells = dict.fromkeys(names, 0)
        self._lock = threading.Lock()

    def at_once(self, most: int, wanted: int, *, is_typed: bool) -> int:
        """Return how many cells run at once: a number that was typed, or else as many as have GPUs of their own.

        Args:
            most: number of cells that was typed, or that the processor allows.
            wanted: largest number of GPUs that a cell wants.
            is_typed: whether somebody typed `most`.
        """
        return most if is_typed or not (wanted and self.cells) else max(1, min(most, len(self.cells) // wanted))

    @contextmanager
    def taken(self, count: int) -> Iterator[dict[str, str]]:
        """Reserve GPUs for a cell; return what its process finds in its environment."""
        if not (count and self.cells):
            yield {}
            return
        with self._lock:
            mine = sorted(self.cells, key=self.cells.__getitem__)[:count]
            self._add(mine, 1)
        try:
            yield {VISIBLE: ",".join(mine)}
        finally:
            with self._lock:
                self._add(mine, -1)

    def _add(self, names: list[str], number: int) -> None:
        for name in names:
            self.cells[name] += number


def gpus_wanted(trainer: Any, available: int) -> int:
    """Return how many GPUs a cell uses; 0 if it trains on something else, or names its GPUs itself.

    Args:
        trainer: its settings: `accelerator` and `devices`, as in Lightning.
        available: GPUs of this machine.
    """
    devices = trainer.devices
    if trainer.accelerator not in ("auto", "gpu", "cuda") or OmegaConf.is_list(devices) or "," in str(devices):
        return 0
    count = devices_of(devices)
    return available if count is None else count


def visible_gpus(environment: Mapping[str, str] = os.environ) -> list[str]:
    """Return the GPUs that a process may use: those in `CUDA_VISIBLE_DEVICES`, or else all, without loading torch."""
    if "+cpu" in importlib.metadata.version("torch"):
        return []
    typed = environment.get(VISIBLE)
    if typed is None:
        return listed(_nvidia_smi())
    names = [name.strip() for name in typed.split(",")]
    end = next((place for place, name in enumerate(names) if name in ("", "-1")), len(names))  # CUDA stops there
    return list(dict.fromkeys(names[:end]))


def listed(text: str) -> list[str]:
    """Return the identifiers in a list of `nvidia-smi -L`: of a GPU that is divided (MIG), those of its parts.

    Numbers would not do: `nvidia-smi` and CUDA count in different orders.

    Examples:
        >>> listed('''GPU 0: NVIDIA A100 (UUID: GPU-5)
        ...   MIG 1g.5gb     Device  0: (UUID: MIG-6)
        ...   MIG 1g.5gb     Device  1: (UUID: MIG-7)
        ... GPU 1: NVIDIA A100 (UUID: GPU-8)''')
        ['MIG-6', 'MIG-7', 'GPU-8']
    """
    found = re.findall(r"UUID: ((?:GPU|MIG)-[\w/-]+)", text)
    parts = [*found[1:], ""]
    return [name for name, following in zip(found, parts) if name[:3] == "MIG" or following[:3] != "MIG"]


def _nvidia_smi() -> str:
    try:
        done = subprocess.run(["nvidia-smi", "-L"], capture_output=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):  # no such GPU, or no driver
        return ""
    return done.stdout.decode(errors="replace") if done.returncode == 0 else ""

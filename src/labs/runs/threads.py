"""Threads of the processor: how they wait for each other, and how many of them share a training step."""

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
CHOSEN = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
NUMBERS = (*CHOSEN, "OPENBLAS_NUM_THREADS")
# On an idle machine as fast as libgomp's own 300,000 spins, which take milliseconds (docs/speed.md).
BRIEFLY = {"GOMP_SPINCOUNT": "5000"}
NOT_AT_ALL = {"OMP_WAIT_POLICY": "PASSIVE"}  # on an idle machine small steps take twice as long
LOAD = Path("/proc/loadavg")  # of Linux
WORTH = 5 * 10**7  # parameters times pixels of a step that keep a thread busy: a rule of thumb


def with_threads(environment: Mapping[str, str], count: int) -> dict[str, str]:
    """Return the environment of a process that has so many threads.

    If the user has set one of the numbers, it holds for all: another number of threads rounds differently.

    Examples:
        >>> sorted(with_threads({}, 4)), with_threads({"OMP_NUM_THREADS": "1"}, 4)
        (['MKL_NUM_THREADS', 'OMP_NUM_THREADS', 'OPENBLAS_NUM_THREADS'], {'OMP_NUM_THREADS': '1'})
    """
    is_chosen = any(name in environment for name in NUMBERS)
    return {**environment, **({} if is_chosen else dict.fromkeys(NUMBERS, str(count)))}


def set_waiting() -> None:
    """Let threads that share a computation spin briefly while they wait for each other; not at all on a busy machine.

    Call it before torch is imported. By default they spin for milliseconds, in which they hold the core that the thread
    they wait for needs: on a busy machine, training then takes many times as long. How they wait changes no number.
    `OMP_WAIT_POLICY` and `GOMP_SPINCOUNT` in the environment win.
    """
    if not any(name in os.environ for name in WAITING):
        os.environ.update(NOT_AT_ALL if is_busy() else BRIEFLY)


def is_busy() -> bool:
    """Say whether other programs use half of the machine's cores or more: now, and over the last minute."""
    try:
        load, _, _, running, _ = LOAD.read_text(encoding="ascii").split()
        others = min(float(load), int(running.partition("/")[0]) - 1)
    except (OSError, ValueError):  # another system
        return False
    return others >= (os.cpu_count() or 1) / 2


def cores() -> int:
    """Return how many cores this process may use: its affinity and its container can allow fewer than there are."""
    from joblib import cpu_count

    return int(cpu_count())


def threads_for(parameters: int, pixels: int, available: int) -> int:
    """Return how many threads a training step can use: no more than it keeps busy, and no more than there are cores.

    It depends on the recipe and the machine, never on how busy the machine is: several threads round sums differently,
    and the same command must give the same numbers.

    Args:
        parameters: of the net.
        pixels: of all images of a step.
        available: cores.

    Examples:
        >>> threads_for(2, 1, available=8), threads_for(11_000_000, 32 * 224 * 224, available=8)
        (1, 8)
    """
    return max(1, min(available, math.ceil(parameters * pixels / WORTH)))


def share_work(module: "nn.Module", data: object) -> None:
    """Choose the threads of this process for a method and its data; `OMP_NUM_THREADS` in the environment wins."""
    import torch

    if any(name in os.environ for name in CHOSEN):
        return
    parameters = sum(parameter.numel() for parameter in module.parameters())
    pixels = getattr(data, "batch_size", 1) * getattr(data, "image_size", 1) ** 2
    torch.set_num_threads(threads_for(parameters, pixels, cores()))

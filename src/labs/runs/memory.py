"""How much memory this process takes, and how much it may still take."""

import os
import sys
from pathlib import Path

import torch

PROC, CGROUP = Path("/proc"), Path("/sys/fs/cgroup")  # of Linux


def taken(device: torch.device) -> int | None:
    """Return the bytes that this process takes: of the GPU that it computes on, else of the machine's memory.

    None where the system does not say it without a library of its own (macOS, Windows).
    """
    if device.type == "cuda":
        return torch.cuda.memory_reserved(device)
    try:
        return int((PROC / "self" / "statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return None


def most_taken(device: torch.device) -> int | None:
    """Return the largest number of bytes that this process took so far; None where the system does not say it."""
    if device.type == "cuda":
        return torch.cuda.max_memory_reserved(device)
    try:
        from resource import RUSAGE_SELF, getrusage
    except ImportError:  # Windows
        return None
    return getrusage(RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def free(device: torch.device) -> int | None:
    """Return the bytes that this process may still take; a container may allow fewer than the machine has."""
    if device.type == "cuda":
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + kept
    try:
        lines = (PROC / "meminfo").read_text(encoding="ascii").splitlines()
        machine = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, ValueError, StopIteration):
        return None
    try:  # "max" if there is no limit
        limit, used = (int((CGROUP / name).read_text(encoding="ascii")) for name in ("memory.max", "memory.current"))
    except (OSError, ValueError):
        return machine
    return min(machine, max(limit - used, 0))


def size(number: float) -> str:
    """Write a number of bytes for a person.

    Examples:
        >>> size(2_340_000_000), size(23_400_000_000), size(45_600_000), size(1_200)
        ('2.3 GB', '23 GB', '46 MB', '0 MB')
    """
    if number < 995_000_000:
        return f"{number / 1e6:.0f} MB"
    return f"{number / 1e9:.1f} GB" if number < 9.95e9 else f"{number / 1e9:.0f} GB"

"""Statistics of a training split, measured once and kept on disk."""

import json
import math
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from labs.functional.normalization import Normalization, channel_statistics
from labs.storage.files import write_text
from labs.storage.seals import read_facts, sealed, unbroken
from labs.storage.stores import digest


def cached_statistics(pixels: np.ndarray, rows: np.ndarray, cache: Path, key: Sequence[object]) -> Normalization:
    """Measure once per key (dataset, split, size) and content; read the result from `cache` afterwards.

    A file that was changed since is not used: the statistics are measured again, and a line says so.
    """
    words = (str(part).replace("/", "_")[-80:] for part in (*key, digest(pixels, rows)))  # a name may contain a path
    file = cache / ("-".join(words) + ".json")
    found = _read(file, pixels.shape[1])
    if found is not None:
        return found
    if os.path.lexists(file):
        why = "is damaged, was changed, or is of an earlier version"
        print(f"{file} {why}; the statistics are measured again.", file=sys.stderr, flush=True)
    measured = channel_statistics(pixels, rows)
    with suppress(OSError):  # a full disk or a read-only folder: the next run measures again
        cache.mkdir(parents=True, exist_ok=True)
        facts = {"mean": measured.mean, "std": measured.std, "images": len(rows)}
        write_text(file, json.dumps(sealed(facts)))
    return measured


def _read(file: Path, channels: int) -> Normalization | None:
    """Return what a file holds, if it is what `cached_statistics` wrote."""
    try:
        facts = read_facts(file)
        mean, std = ([float(value) for value in facts[name]] for name in ("mean", "std"))
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        return None
    usable = len(mean) == len(std) == channels and all(map(math.isfinite, mean + std)) and min(std) > 0
    return Normalization("dataset", tuple(mean), tuple(std)) if usable and unbroken(facts) else None

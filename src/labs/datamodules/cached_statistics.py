"""Statistics of a training split, measured once and kept on disk."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from labs.functional.normalization import Normalization, channel_statistics
from labs.storage.files import write_text
from labs.storage.stores import digest


def cached_statistics(pixels: np.ndarray, rows: np.ndarray, cache: Path, key: Sequence[object]) -> Normalization:
    """Measure once per key (dataset, split, size) and content; read the result from `cache` afterwards."""
    words = (str(part).replace("/", "_")[-80:] for part in (*key, digest(pixels, rows)))  # a name may contain a path
    file = cache / ("-".join(words) + ".json")
    try:
        stored = json.loads(file.read_text(encoding="utf-8"))
        return Normalization("dataset", tuple(stored["mean"]), tuple(stored["std"]))
    except (OSError, ValueError, KeyError, TypeError):  # missing or damaged: measure
        measured = channel_statistics(pixels, rows)
    cache.mkdir(parents=True, exist_ok=True)
    write_text(file, json.dumps({"mean": measured.mean, "std": measured.std, "images": len(rows)}))
    return measured

"""Inner products of features: computed once, kept beside the features, and reused by later runs."""

import hashlib
import time
from pathlib import Path

import numpy as np

from labs.functional.gram_svm import gram_matrix
from labs.storage.feature_stores import make_room
from labs.storage.stores import NoRoomError, digest, stored

VERSION = 1  # raised whenever the numbers change


def stored_gram(features: np.ndarray, folder: Path, budget: int) -> tuple[np.ndarray, float]:
    """Return the inner products (images, images) of features (images, width), and the seconds to compute them.

    A store is identified by the content of the features. If there is no room for it, nothing is stored.

    Args:
        features: features of the images, (images, width).
        folder: folder of the stores.
        budget: maximum size of all stores together, in bytes; the least recently used ones are deleted to make room.
    """
    name = hashlib.sha256(f"gram {VERSION} {digest(features)}".encode()).hexdigest()[:24]
    start = time.perf_counter()

    def fill(values: np.ndarray) -> dict[str, float]:
        values[:] = gram_matrix(features)
        return {"seconds": time.perf_counter() - start}

    file = folder / f"{name}.npy"
    try:
        if not file.exists():
            make_room(folder, 8 * len(features) ** 2, budget)
        found = stored(file, (len(features), len(features)), np.float64, fill)
    except NoRoomError:
        return gram_matrix(features), time.perf_counter() - start
    return found.array, float(found.facts["seconds"])

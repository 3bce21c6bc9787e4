"""Inner products of features: computed once, kept beside the features, read by every run that asks again."""

import hashlib
import time
from pathlib import Path

import numpy as np

from labs.functional.gram_svm import gram_matrix
from labs.storage.stores import NoRoomError, digest, stored

VERSION = 1  # raised whenever the numbers change


def stored_gram(features: np.ndarray, folder: Path) -> tuple[np.ndarray, float]:
    """Return the inner products (images, images) of features (images, width), and the seconds that they took once.

    A store is found by the content of the features. Where there is no room for one, they are computed.
    """
    name = hashlib.sha256(f"gram {VERSION} {digest(features)}".encode()).hexdigest()[:24]
    start = time.perf_counter()

    def fill(values: np.ndarray) -> dict[str, float]:
        values[:] = gram_matrix(features)
        return {"seconds": time.perf_counter() - start}

    try:
        found = stored(folder / f"{name}.npy", (len(features), len(features)), np.float64, fill)
    except NoRoomError:
        return gram_matrix(features), time.perf_counter() - start
    return found.array, float(found.facts["seconds"])

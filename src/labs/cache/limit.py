"""Keep what runs keep on disk within the size that `LABS_CACHE_GB` names."""

import os
import sys
import time
from pathlib import Path

from rich.filesize import decimal

from labs import LabsError
from labs.cache.items import find_items, remove

LIMIT = "LABS_CACHE_GB"
# Memory-mapped files: a process that has one open can still read it when it is gone.
DROPPED = ("pixels", "features", "spectra")
IN_USE = 600.0  # seconds since its last use in which another run may be about to open a file


def keep_within_limit(data: Path) -> None:
    """Remove decoded images and features that were not used for longest, until the caches are below the limit.

    Does nothing without `LABS_CACHE_GB`. Whatever is removed is made again by a run that needs it.

    Raises:
        LabsError: The limit is not a number of gigabytes.
    """
    typed = os.environ.get(LIMIT, "").strip()
    if not typed:
        return
    try:
        limit = float(typed) * 1e9
    except ValueError:
        limit = -1
    if not 0 <= limit < float("inf"):
        raise LabsError(f"{LIMIT}={typed}: expected a number of gigabytes, such as {LIMIT}=20.")
    items, removed = find_items(data, None), 0
    kept = sum(item.bytes for item in items)
    for item in items:  # least recently used first
        if kept <= limit:
            break
        if item.kind in DROPPED and time.time() - item.used > IN_USE and remove(item):
            kept -= item.bytes
            removed += item.bytes
    if removed or kept > limit:
        left = f"; {decimal(kept)} stay, which are in use or of other kinds" if kept > limit else ""
        print(
            f"{LIMIT}={typed}: {decimal(removed)} of decoded images and features were removed{left} "
            "(python -m labs.cache shows what there is).",
            file=sys.stderr,
            flush=True,
        )

"""Fill a folder completely or not at all."""

import glob
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_UNFINISHED = ".unfinished"  # end of the names of folders that are being filled


@contextmanager
def whole_folder(root: Path) -> Iterator[Path]:
    """Yield a temporary folder to fill; rename it to `root` if the block succeeds, and remove it otherwise.

    Folders that killed processes left for the same `root` are removed, not on Windows: a living process holds a lock on
    its own. Several processes that fill the same `root` at once need a lock on `root`, too.
    """
    root.parent.mkdir(parents=True, exist_ok=True)
    for left in root.parent.glob(f".{glob.escape(root.name)}.*{_UNFINISHED}"):
        with _locked(left) as mine:
            if mine:
                shutil.rmtree(left, ignore_errors=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{root.name}.", suffix=_UNFINISHED, dir=root.parent))
    with _locked(partial):
        try:
            yield partial
            partial.chmod(0o755)  # mkdtemp makes the folder private
            partial.rename(root)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def _locked(folder: Path) -> Iterator[bool]:
    """Lock a folder until the block or the process ends; yield whether that was possible."""
    if fcntl is None:  # Windows
        yield False
        return
    try:
        opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:  # removed meanwhile, or a link
        yield False
        return
    try:
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:  # another process is filling it, or this disk has no locks
            yield False
        else:
            yield True
    finally:
        os.close(opened)

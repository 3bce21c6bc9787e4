"""A folder for downloads: each file is checked before it is moved into place."""

import hashlib
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from labs import LabsError
from labs.storage.archive import digest_of
from labs.storage.failures import RefusedError
from labs.storage.manifest import Row, Wanted
from labs.storage.web import Web

STAGING = ".parts"  # subfolder for files that are not complete yet
CHECKS = 2  # files checked at the same time: a decoded image can be large


class Inbox:
    """Download files into a folder to which no other process is writing.

    Args:
        folder: An existing folder.
        web: Downloads the files.
        accept: Checks a file; returns why it cannot be used, or an empty string. Called in threads.
    """

    def __init__(self, folder: Path, web: Web, accept: Callable[[Path], str]) -> None:
        self.folder, self.web, self.accept = folder, web, accept
        self._checking = threading.Semaphore(CHECKS)
        if (folder / STAGING).is_symlink():  # what it leads to is not ours to write or to clear
            raise LabsError(f"{(folder / STAGING).absolute()} is a link, so that nothing is written to it; remove it.")
        (folder / STAGING).mkdir(exist_ok=True)
        for leftover in (folder / STAGING).iterdir():  # from a killed process
            leftover.unlink()

    def found(self, file: Wanted) -> Row | None:
        """Describe the file that exists already, whoever put it there; return None if there is none."""
        path = self.folder / file.name
        if not path.is_file():
            return None
        digest = digest_of(path, "sha256")
        why = self._fault(path, file, digest)
        if why:
            return Row.of(file, why=f"the existing file: {why}")
        return Row.of(file, sha256=digest, length=path.stat().st_size)

    def fetch(self, file: Wanted) -> Row:
        """Make one attempt to download a file; if it fails, an existing file stays unchanged.

        Raises:
            FailedError: The download failed, or the file cannot be used.
        """
        staged = self.folder / STAGING / str(threading.get_ident())
        target = self.folder / file.name
        hashed = hashlib.sha256()
        try:
            with staged.open("xb") as out, closing(self.web.get(file.url)) as chunks:
                for chunk in chunks:
                    hashed.update(chunk)
                    out.write(chunk)
            why = self._fault(staged, file, hashed.hexdigest())
            if why:
                raise RefusedError(why)
            target.parent.mkdir(parents=True, exist_ok=True)
            staged.replace(target)
        finally:
            staged.unlink(missing_ok=True)
        return Row.of(file, sha256=hashed.hexdigest(), length=target.stat().st_size)

    def _fault(self, path: Path, file: Wanted, digest: str) -> str:
        if file.sha256 not in (None, digest):
            return f"wrong SHA-256 ({digest})"
        with self._checking:
            return self.accept(path)

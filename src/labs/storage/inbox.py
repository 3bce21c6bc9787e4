"""A folder that files come into from the network: each is checked before it takes its place."""

import hashlib
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from labs.storage.archive import digest_of
from labs.storage.manifest import Row, Wanted
from labs.storage.web import RefusedError, Web

STAGING = ".parts"  # a folder in the folder: where files wait until they are whole
CHECKS = 2  # files that are looked at at a time: a decoded image can be large


class Inbox:
    """Bring files into a folder that nobody else writes to now.

    Args:
        folder: It exists.
        web: Where the files come from.
        accept: Looks at a file and says why it cannot be used; nothing if it can. Called in threads.
    """

    def __init__(self, folder: Path, web: Web, accept: Callable[[Path], str]) -> None:
        self.folder, self.web, self.accept = folder, web, accept
        self._checking = threading.Semaphore(CHECKS)
        (folder / STAGING).mkdir(exist_ok=True)
        for leftover in (folder / STAGING).iterdir():  # of a process that was killed
            leftover.unlink()

    def found(self, file: Wanted) -> Row | None:
        """Describe what lies at a file's place, whoever put it there; None if nothing does."""
        path = self.folder / file.name
        if not path.is_file():
            return None
        digest = digest_of(path, "sha256")
        why = self._fault(path, file, digest)
        if why:
            return Row.of(file, why=f"the file in its place: {why}")
        return Row.of(file, sha256=digest, length=path.stat().st_size)

    def fetch(self, file: Wanted) -> Row:
        """Make one attempt to bring a file; what lies at its place is left alone.

        Raises:
            FailedError: It did not come, or cannot be used.
        """
        staged = self.folder / STAGING / str(threading.get_ident())
        target = self.folder / file.name
        hashed = hashlib.sha256()
        try:
            with staged.open("wb") as out, closing(self.web.get(file.url)) as chunks:
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

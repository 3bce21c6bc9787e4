"""The trials of a search in a file on disk, which the processes of the trials read and write, too."""

import os
from pathlib import Path
from typing import Any, Literal

import optuna
from filelock import FileLock
from optuna.pruners import BasePruner, MedianPruner, NopPruner
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial

JOURNAL = "journal.log"
STUDY = "search"  # the name inside the journal
# A trial is stopped when it is worse than the median of those that ended was in the same epoch; not before five have.
PRUNERS: dict[str, BasePruner] = {"median": MedianPruner(n_startup_trials=5), "none": NopPruner()}


class _Lock:
    """Lock the journal by a lock that a killed process frees."""

    def __init__(self, path: Path) -> None:
        self._lock = FileLock(path)

    def acquire(self) -> bool:
        """Wait for the lock."""
        self._lock.acquire()
        return True

    def release(self) -> None:
        """Free the lock."""
        self._lock.release()


def open_journal(folder: Path, direction: Literal["maximize", "minimize"] | None = None) -> optuna.Study:
    """Open the trials of the search in a folder.

    Args:
        folder: of the search.
        direction: `maximize` or `minimize`, where the journal may have to be begun.

    Raises:
        KeyError: there is no search, and no direction to begin one with.
        ValueError: the journal cannot be read.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    lock: Any = _Lock(folder / f".{JOURNAL}.lock")
    backend = JournalFileBackend(str(folder / JOURNAL), lock_obj=lock)
    storage = JournalStorage(backend)
    if direction is None:
        return optuna.load_study(study_name=STUDY, storage=storage)
    return optuna.create_study(study_name=STUDY, storage=storage, direction=direction, load_if_exists=True)


def cut_torn_line(folder: Path) -> None:
    """Cut off a last line that a full disk or a killed process left without its end.

    What is written after it could not be read. Nobody may be writing now.
    """
    file = folder / JOURNAL
    if not file.is_file():
        return
    with file.open("rb+") as journal:
        content = journal.read()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            journal.truncate(whole)
            os.fsync(journal.fileno())


def trial_of(study: optuna.Study, number: int) -> optuna.Trial:
    """Return a trial that has not ended, by its number."""
    frozen: FrozenTrial = study.get_trials(deepcopy=False)[number]
    return optuna.Trial(study, frozen._trial_id)


def noted(study: optuna.Study) -> dict[str, Any]:
    """Return what the search says of itself: what it varies, its metric, its seeds."""
    return dict(study.user_attrs)

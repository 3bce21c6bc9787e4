"""The journal of a search: a file on disk that the processes of all trials read and write."""

import os
from pathlib import Path
from typing import Any, Literal

import optuna
from filelock import FileLock
from optuna.pruners import BasePruner, MedianPruner, NopPruner
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial

from labs import LabsError
from labs.quantities import quantity

JOURNAL = "journal.log"
STUDY = "search"  # the name inside the journal
# Once five trials have finished, a trial is stopped if it is worse than their median in the same epoch.
PRUNERS: dict[str, BasePruner] = {"median": MedianPruner(n_startup_trials=5), "none": NopPruner()}


class _Lock:
    """A lock for the journal that is released when its process is killed."""

    def __init__(self, path: Path) -> None:
        self._lock = FileLock(path)

    def acquire(self) -> bool:
        """Wait for the lock."""
        self._lock.acquire()
        return True

    def release(self) -> None:
        """Release the lock."""
        self._lock.release()


def open_journal(folder: Path, direction: Literal["maximize", "minimize"] | None = None) -> optuna.Study:
    """Open the journal of the search in a folder.

    Args:
        folder: folder of the search.
        direction: `maximize` or `minimize`; needed to start a new journal.

    Raises:
        KeyError: the folder has no search, and no direction is given to start one.
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
    """Remove an incomplete last line, left by a full disk or a killed process.

    Lines written after it could not be read. No process may be writing now.
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
    """Return an unfinished trial by its number.

    Raises:
        LabsError: the search has no such trial.
    """
    trials: list[FrozenTrial] = study.get_trials(deepcopy=False)
    if not 0 <= number < len(trials):
        raise LabsError(
            f"trial={number}: the search has {quantity(len(trials), 'trial')}, and numbers them itself; leave it out."
        )
    frozen = trials[number]
    return optuna.Trial(study, frozen._trial_id)


def noted(study: optuna.Study) -> dict[str, Any]:
    """Return the recorded settings of the search: what it varies, its metric, its seeds."""
    return dict(study.user_attrs)

"""The life of a run in its directory: begun, running, then finished, interrupted or failed.

A run that has begun holds its directory, and has no result yet; whatever stops it now was a refusal, and what it wrote
is taken back. With its first result it is running: from then on the directory is its own. It knows nothing of
Lightning, epochs or metrics, so that whatever computes something can live it.
"""

import shlex
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from filelock import Timeout

from labs import LabsError
from labs.quantities import quantity
from labs.runs.directory import FORMAT, one_line, read_facts, shown_path
from labs.runs.processes import is_first_process, lock_of
from labs.runs.pulse import HungError
from labs.runs.recipe import Recipe
from labs.runs.recognition import files_of, is_of, refuse_try_out, refuse_what_no_run_wrote
from labs.runs.trusted import needed_again
from labs.storage.files import WRITTEN, leftovers, read_text, to_json, write_text

State = Literal["begun", "running", "finished", "interrupted", "failed"]

WRITTEN_BEFORE = ".hydra/written.txt"  # what the runs of this directory have written
# What libraries write by themselves: new files of these names are the run's, and any other there is the user's.
OF_LIBRARIES = (
    *("tensorboard/**/events.out.tfevents.*", "tensorboard/**/hparams.yaml"),
    *("csv/**/metrics.csv", "csv/**/hparams.yaml", "wandb/**/*"),
)


class Run:
    """A run in its directory, used around all that it does: no other process has the directory meanwhile.

    Args:
        directory: where it lives.
        recipe: what it is.
        documents: further files that say how it was made, by name, such as `.hydra/config.yaml`.
        resume: go on from the last checkpoint, whatever its recipe.
        rerun: start anew even if it has finished.

    Raises:
        LabsError: another process has the directory, or files lie there that a run would overwrite.
    """

    def __init__(
        self,
        directory: Path,
        recipe: Recipe,
        documents: Mapping[str, str],
        *,
        resume: bool = False,
        rerun: bool = False,
    ) -> None:
        if resume and rerun:
            raise LabsError("rerun=true starts anew and resume goes on: type one of them.")
        self.directory, self.recipe, self.resumes, self.rerun = directory, recipe, resume, rerun
        self.documents = {".hydra/recipe.yaml": recipe.text, **documents}
        self.state: State = "begun"
        self._patterns = files_of(recipe.facts["practical"])
        self.facts: dict[str, Any] = {
            "format": FORMAT, "status": "begun", **recipe.facts, "key": recipe.key, "metrics": {}, "labels": [],
            "error": None,
        }  # fmt: skip
        self.is_needed = True
        self.recorded_before = False  # in a format that knows no recipe in normal form
        self.earlier: dict[Path, int] = {}  # results to replace, and when they were written
        self.is_first = is_first_process()
        self.shown: list[str] = []  # warnings that were printed while it trained
        self._there: set[Path] = set()  # what lay in the folders of libraries when it began
        self._before: dict[Path, bytes] = {}  # what stood in the files of earlier runs, if this one is refused
        self._listed = ""

    # Around the run

    def __enter__(self) -> Self:
        """Lock the directory and look at what is there: nothing is written before that is known."""
        if not self.is_first:  # started by the process that holds the directory
            self._look()
            return self
        self._lock = lock_of(self.directory)
        Path(self._lock.lock_file).parent.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire()
        except Timeout:
            raise LabsError(
                f"another process is training in {self.directory}; wait for it, or choose another directory."
            ) from None
        try:
            self._look()
        except BaseException:
            self._leave()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Say how the run ended; take back what a refused one wrote."""
        if not self.is_first:
            return
        try:
            if self.is_needed:
                self._end(error)
        finally:
            self._leave()

    def running(self) -> None:
        """Say that there is a first result: the directory is this run's from now on, and says what it is."""
        if self.state != "begun":
            return
        self._enter_state("running")
        self._before = {}
        if self.is_first:
            for file, written in self.earlier.items():
                if file.exists() and file.stat().st_mtime_ns == written:  # not replaced yet
                    file.unlink()
            (self.directory / "traceback.txt").unlink(missing_ok=True)  # of an earlier try, also if this one goes on
            if self.earlier or self.resumes:
                self._write_documents()
        self.save()

    def interrupt(self, error: BaseException) -> None:
        """Record at once that a signal stopped the run: what else it does at its end may be cut short."""
        if not self._is_refused(True):
            with suppress(OSError):  # as in the end
                self._note_end("interrupted", error)

    def save(self) -> None:
        """Write `metrics.json`, unless an earlier run's results stand there and this one has none yet."""
        if not self.is_first or (self.state == "begun" and (self.earlier or self.resumes)):
            return
        self.write_json("metrics.json", self.facts)
        self._write_list()

    def write(self, name: str, text: str) -> None:
        """Write a text file of the run's, by its name in the directory."""
        if self.is_first:
            write_text(self.directory / name, text)

    def write_json(self, name: str, content: Mapping[str, Any]) -> None:
        """Write a JSON file of the run's, by its name in the directory."""
        self.write(name, to_json(content))

    # What the parts of its life do

    def _look(self) -> None:
        facts = read_facts(self.directory)
        refuse_what_no_run_wrote(self.directory, self.recipe.facts["practical"])
        if is_of(facts, self.recipe) and not self.rerun:
            self.recorded_before = facts["format"] < FORMAT
            self.resumes = self.resumes or facts.get("status") in ("running", "interrupted")
            self.is_needed = facts.get("status") != "finished"
        if self.is_needed:
            refuse_try_out(self.directory, self.recipe)
        if not self.is_needed or not self.is_first:
            return
        WRITTEN.difference_update(self._own())  # of an earlier run in this process
        for path in leftovers(self.directory, (*self._patterns, WRITTEN_BEFORE)):
            path.unlink()
        self._there = set(self._of_libraries())
        listed = [path for path in self._list() if path.is_file()]
        kept = {path.absolute() for path in listed if path.suffix != ".ckpt"} - self._there
        self._before = {path: path.read_bytes() for path in kept}
        if not self.resumes:
            self.earlier = {path: path.stat().st_mtime_ns for path in listed}
        if not (self.earlier or self.resumes):
            self._write_documents()  # now, so that one that is killed at once can be typed again, and reported
        self.save()

    def _end(self, error: BaseException | None) -> None:
        if error is None:
            self._enter_state("finished")
            self.save()
            return
        stopped = isinstance(error, (KeyboardInterrupt, SystemExit))
        if self._is_refused(stopped or isinstance(error, HungError)):
            self._take_back()
        else:
            with suppress(OSError):  # a full disk, a folder that is gone: the error on its way says so
                self._note_end("interrupted" if stopped else "failed", error)
                if not stopped:
                    trace = "".join(traceback.format_exception(error))
                    self.write("traceback.txt", f"{self.facts['command']}\n\n{trace}")
            if (self.directory / ".hydra" / "overrides.yaml").is_file():  # embedded weights go on by themselves
                if isinstance(error, OSError):
                    error.add_note(f"Then {self._again()}")  # of one message, with what is wrong
                else:
                    epochs = self.facts.get("epochs", 0)
                    when = f"after {quantity(epochs, 'epoch')}" if epochs else "before its first epoch ended"
                    print(f"\n{self.state} {when}; {self._again()}", file=sys.stderr)

    def _again(self) -> str:
        """Return how to go on, or to start again if the run has trained but its checkpoint could not be written."""
        lost = self.facts.get("epochs", 0) and not (self.directory / "checkpoints" / "last.ckpt").is_file()
        place = shown_path(self.directory)
        words = shlex.join([f"retry={place}", "rerun=true"] if lost else [f"resume={place}"])
        command = f"python train.py {words}{needed_again(self.facts['command'])}"
        return f"{'start again' if lost else 'go on'} with: {command}"

    def _is_refused(self, stopped: bool) -> bool:
        """Return whether a run that ends now has not begun: what lay in its directory before is to stand there."""
        return self.state == "begun" and bool(not stopped or self.earlier or self.resumes)

    def _note_end(self, state: State, error: BaseException) -> None:
        self.running()
        self._enter_state(state)
        cause = (error.__context__ or error) if isinstance(error, SystemExit) else error  # Ctrl-C in Lightning
        self.facts["error"] = one_line(cause)
        self.save()

    def _write_documents(self) -> None:
        for name, text in self.documents.items():
            write_text(self.directory / name, text)

    def _enter_state(self, state: State) -> None:
        self.state = self.facts["status"] = state

    def _list(self) -> list[Path]:
        """Return the files that runs of this directory have written: as they noted it, or by their names."""
        try:
            noted = read_text(self.directory / WRITTEN_BEFORE).splitlines()
        except ValueError:  # damaged: nothing is known to be a run's
            return []
        except OSError:  # recorded before there was a list
            return [path for pattern in self._patterns for path in self.directory.glob(pattern)]
        root = self.directory.absolute()
        return [path for name in noted if (path := root / name).resolve().is_relative_to(root.resolve())]

    def _write_list(self) -> None:
        root = self.directory.absolute()
        names = {path.relative_to(root).as_posix() for path in self._own()}
        names |= {path.relative_to(root).as_posix() for path in self._list()} if self.resumes else set()
        text = "".join(f"{name}\n" for name in sorted(names - {WRITTEN_BEFORE}))
        if text != self._listed:
            write_text(root / WRITTEN_BEFORE, text)
            self._listed = text

    def _own(self) -> set[Path]:
        """Return what this very run has written: through our writer, or by libraries into their folders."""
        root = self.directory.absolute()
        return {path for path in WRITTEN if path.is_relative_to(root)} | (set(self._of_libraries()) - self._there)

    def _of_libraries(self) -> Iterator[Path]:
        for pattern in OF_LIBRARIES:
            yield from (path for path in self.directory.absolute().glob(pattern) if path.is_file())

    def _take_back(self) -> None:
        """Remove what this very run wrote, and the folders that are empty then; what lay there before stands again."""
        for path in self._own():
            path.unlink(missing_ok=True)
            WRITTEN.discard(path)
            if path in self._before:
                with suppress(OSError):  # a full disk: the error on its way says so
                    path.write_bytes(self._before[path])
            with suppress(OSError):  # not empty
                for folder in path.relative_to(self.directory.absolute()).parents[:-1]:
                    (self.directory / folder).rmdir()

    def _leave(self) -> None:
        """Free the directory; one in which nothing is left goes."""
        self._lock.release()
        if not read_facts(self.directory).get("format"):
            with suppress(OSError):
                Path(self._lock.lock_file).unlink()
                (self.directory / ".hydra").rmdir()
                self.directory.rmdir()

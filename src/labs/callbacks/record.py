"""The record of a run: its log, metrics, predictions and curves."""

import math
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pandas as pd
import torch.distributed
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.utilities import rank_zero_only

from labs import LabsError
from labs.callbacks.measured import begin_epoch, measured
from labs.callbacks.notes import (
    STOPPED_EARLY,
    TRY_OUT,
    is_limited,
    labels_of,
    stopped_early,
    warnings_of_test,
    warnings_while_training,
)
from labs.datamodules.protocols import ImagesOfClasses, Recorded, handed_over
from labs.drawing.curves import curves_gif, curves_png
from labs.practicals import sheet_of
from labs.runs.environment import environment
from labs.runs.life import Run
from labs.runs.signals import is_in_a_hurry
from labs.storage.checkpoint_files import read_checkpoint


class Record(pl.Callback):
    """Write a run's results as soon as they exist, so that nothing is lost if it stops.

    `log.tsv` grows by one row per epoch. Every checkpoint contains it, so that a resumed run continues it. The status
    of the run is managed by `labs.runs.life`, which this callback informs of the first result.

    Args:
        run: The run whose directory is written.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        self.rows: list[dict[str, float]] = []
        self.lr = math.nan
        self.predictions: list[tuple[int, int, int, float]] = []
        self.seconds_before = 0.0  # training seconds of the runs that this one resumes
        self.started = time.monotonic()
        self.seen: Counter[str] = Counter()  # images in this epoch's batches, by split and domain
        self.most: dict[str, int] = {}  # the largest number of images in any epoch

    # Lightning's hooks, in the order they come

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Record the facts that are known once the data is ready."""
        self._note_data(trainer, pl_module)
        self.run.facts["max_epochs"] = trainer.max_epochs
        self.run.save()
        self.started = time.monotonic()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Mark a resumed run as running, after its state has been restored."""
        if self.run.resumes:
            self.run.running()

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Record the learning rate of the epoch before the schedule changes it."""
        begin_epoch(trainer)
        self._begin("train")
        self.lr = trainer.optimizers[0].param_groups[0]["lr"]

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, *_: Any
    ) -> None:
        """Count the images of a batch."""
        self._count(trainer, "train", batch)

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start counting."""
        self._begin("val")

    def on_validation_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, *places: int
    ) -> None:
        """Count the images of a batch."""
        self._count(trainer, "val", batch, *places[1:])

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Add the epoch's row to `log.tsv`."""
        metrics = measured(trainer, "train/", "val/")
        columns = dict.fromkeys(name for earlier in self.rows for name in earlier)
        # as in the first epoch: a resumed run may log them in another order
        metrics = {name: metrics[name] for name in (columns | metrics) if name in metrics}
        seconds = round(self._seconds(), 2)
        row = {"epoch": trainer.current_epoch + 1, "seconds": seconds, "lr": self.lr, **metrics}
        self.rows = [earlier for earlier in self.rows if earlier["epoch"] < row["epoch"]] + [row]
        self.run.running()
        self.run.facts |= {"epochs": len(self.rows), "seconds": seconds, "metrics": metrics}
        self.run.facts["warnings"] = warnings_while_training(trainer)
        self._note_counts(trainer, "train", "val")
        self.run.write("log.tsv", tsv(self.rows))
        self.run.save()

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw the curves, and record the callbacks' facts and the tested epoch (the first with the best value)."""
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            self.run.facts |= getattr(callback, "facts", {})
        if stopped_early(trainer, len(self.rows)) and TRY_OUT not in self.run.facts["labels"]:
            self.run.facts["labels"] = [*self.run.facts["labels"], STOPPED_EARLY]
        chosen, file = tested(trainer), weights_tested(trainer)
        if chosen and chosen.monitor and file is not None:
            epoch = read_checkpoint(file).get("epoch", -1) + 1  # the test reports a file without an epoch
            self.run.facts |= {"best_epoch": epoch, "selected_by": f"{chosen.mode} {chosen.monitor}"}
            self.run.facts["metrics"] = _metrics_of(next((row for row in self.rows if row["epoch"] == epoch), {}))
        self.run.save()
        self.draw()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Record that the run was interrupted, before anything is drawn; then draw the curves, if there is time."""
        if not isinstance(exception, Exception):  # a signal
            self.run.interrupt(exception)
            if not is_in_a_hurry(exception):
                self.draw()

    def on_test_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Mark a run that trains nothing as running."""
        if "counts" not in self.run.facts:
            self._note_data(trainer, pl_module)
        self._begin("test")
        self.run.running()

    def on_test_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, *places: int
    ) -> None:
        """Count the images of a batch, and keep its predictions if the method returns any."""
        self._count(trainer, "test", batch, *places[1:])
        if outputs:
            columns = (outputs[name].tolist() for name in ("positions", "labels", "preds", "confidence"))
            self.predictions += zip(*columns, strict=True)

    def on_test_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write `test_log.tsv` and, if there are predictions, `predictions.csv`."""
        if trainer.world_size > 1:
            gathered: list[Any] = [None] * trainer.world_size
            torch.distributed.all_gather_object(gathered, self.predictions)
            self.predictions = [row for part in gathered for row in part]
        results = measured(trainer, "test/")
        self.run.facts["metrics"] = {**self.run.facts["metrics"], **results}
        self.run.facts.setdefault("seconds", round(self._seconds(), 2))
        self.run.write("test_log.tsv", tsv([results]))
        trained = ("train", "val") if self.rows else ()  # perhaps before this process began
        self._note_counts(trainer, *trained, "test")
        # a try-out has too few images to judge the training, and some methods train nothing
        judged = self.predictions if self.rows and TRY_OUT not in self.run.facts["labels"] else []
        pairs = [(label, pred) for _, label, pred, _ in judged]
        rate = self.rows[0]["lr"] if self.rows else math.nan
        found = warnings_while_training(trainer) or warnings_of_test(self.run.facts["metrics"], pairs, rate)
        self.run.facts["warnings"], self.run.shown = found, warnings_while_training(trainer, "printed_warnings")
        if self.predictions:
            # fewer than all in a try-out
            self.run.facts["counts"] = {**self.run.facts["counts"], "test": len(self.predictions)}
            self._write_predictions(handed_over(trainer, ImagesOfClasses, to=self))

    def state_dict(self) -> dict[str, Any]:
        """Save the log with the checkpoint."""
        return {"log": self.rows, "seconds": self._seconds(), "most": self.most}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the log of the resumed run."""
        numbers = [{str(name): float(value) for name, value in row.items()} for row in state_dict["log"]]
        self.rows = [{**row, "epoch": int(row["epoch"])} for row in numbers]
        self.seconds_before = float(state_dict["seconds"])
        self.most = dict(state_dict.get("most", {}))
        metrics = _metrics_of(self.rows[-1]) if self.rows else {}  # no epoch may be left to say so
        self.run.facts |= {"epochs": len(self.rows), "seconds": self.seconds_before, "metrics": metrics}

    # Files

    @rank_zero_only
    def draw(self) -> None:
        """Draw `result.png` and `result.gif` from the log so far, unless the practical draws its own."""
        frame, facts = pd.DataFrame(self.rows), self.run.facts
        sheet = sheet_of(facts["practical"])
        if not self.rows or (sheet.draw is not None and sheet.picture == "result.png"):
            return
        for name, draw in {"result.png": curves_png, "result.gif": curves_gif}.items():
            draw(frame, self.run.directory / name, facts["experiment"], facts["labels"], sheet.panels)

    def _note_data(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        data = handed_over(trainer, Recorded, to=self)
        facts = data.facts()
        for name, text in getattr(data, "documents", {}).items():
            self.run.write(name, text)
        noted = [note for callback in trainer.callbacks for note in getattr(callback, "notes", [])]  # type: ignore[attr-defined]
        own = [*getattr(pl_module, "labels", []), *self.run.recipe.facts.get("start_labels", [])]
        before = self.run.facts["labels"]  # of the training, if this is called again for the test
        labels = [*facts["labels"], *own, *labels_of(trainer, tested(trainer)), *noted, *before]
        self.run.facts |= {**facts, "labels": list(dict.fromkeys(labels))}
        self.run.write_json("environment.json", environment(pl_module.device))

    def _write_predictions(self, data: ImagesOfClasses) -> None:
        rows = [
            (data.names[data.rows["test"][index]], data.classes[label], data.classes[pred], f"{confidence:.6f}")
            for index, label, pred, confidence in sorted(self.predictions)
        ]
        table = pd.DataFrame(rows, columns=["name", "label", "prediction", "confidence"])
        self.run.write("predictions.csv", table.to_csv(index=False, lineterminator="\r\n"))

    def _begin(self, split: str) -> None:
        """Start counting the images of a split."""
        self.seen = Counter({name: seen for name, seen in self.seen.items() if name.partition(" ")[0] != split})

    def _count(self, trainer: pl.Trainer, split: str, batch: Any, place: int = 0) -> None:
        """Count a batch of one loader; a training batch may contain images of several domains."""
        names = [name for name in self.run.facts.get("counts", {}) if name.partition(" ")[0] == split]
        parts = [batch] if hasattr(batch, "positions") else batch if isinstance(batch, tuple) else []
        for name, part in zip(names[place:], parts, strict=False):
            self.seen[name] += len(getattr(part, "positions", ())) * trainer.world_size

    def _note_counts(self, trainer: pl.Trainer, *splits: str) -> None:
        """Record how many images were used of splits that are used in part."""
        counts: dict[str, int] = self.run.facts.get("counts", {})
        in_part = {split for split in splits if is_limited(trainer, split)}
        in_part |= {"train"} & set(splits) if trainer.global_step >= trainer.max_steps > -1 else set()
        for name in (name for name in counts if name.partition(" ")[0] in splits):
            self.most[name] = max(self.most.get(name, 0), self.seen[name])
            if name.partition(" ")[0] in in_part and self.most[name]:
                counts[name] = min(counts[name], self.most[name])

    def _seconds(self) -> float:
        return self.seconds_before + time.monotonic() - self.started


def tested(trainer: pl.Trainer) -> ModelCheckpoint | None:
    """Return the checkpoint callback whose weights are tested, `best` or else `last`; None: the final weights."""
    found = [callback for callback in trainer.checkpoint_callbacks if isinstance(callback, ModelCheckpoint)]
    named = {str(callback.filename): callback for callback in found}
    return named.get("best") or named.get("last")


def weights_tested(trainer: pl.Trainer) -> Path | None:
    """Return the file of the tested weights; None: the final weights of the training.

    Raises:
        LabsError: If the file is missing.
    """
    chosen = tested(trainer)
    if chosen is None or not chosen.best_model_path:
        return None
    file = Path(chosen.best_model_path)
    if not file.is_file():
        raise LabsError(f"{file} is missing, but the test needs it; type rerun=true to start the run again.")
    return file


def tsv(rows: Sequence[Mapping[str, object]]) -> str:
    r"""Format rows as tab-separated text; a cell is empty if nothing was measured, and `nan` if it is not a number.

    Examples:
        >>> tsv([{"epoch": 1, "val/loss": float("nan")}, {"epoch": 2}])
        'epoch\tval/loss\n1\tnan\n2\t\n'
    """
    names = list(dict.fromkeys(name for row in rows for name in row))
    lines = [names, *([str(row.get(name, "")) for name in names] for row in rows)]
    return "".join("\t".join(line) + "\n" for line in lines)


def _metrics_of(row: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in row.items() if "/" in name}

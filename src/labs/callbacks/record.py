"""What a run leaves behind: its log, its numbers, its predictions, its curves."""

import math
import time
from typing import Any

import lightning.pytorch as pl
import pandas as pd
import torch.distributed
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.utilities import rank_zero_only

from labs.datamodules.protocols import ImagesOfClasses, Recorded, handed_over
from labs.drawing.curves import curves_gif, curves_png
from labs.practicals import sheet_of
from labs.runs.environment import environment
from labs.runs.life import Run


class Record(pl.Callback):
    """Write a run's results as they come, so that nothing is lost when it stops.

    `log.tsv` grows by one row per epoch; it is part of every checkpoint, so that a resumed run continues it. How the
    run stands is the affair of `labs.runs.life`, which learns of the first result here.

    Args:
        run: in whose directory it writes.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        self.rows: list[dict[str, float]] = []
        self.lr = math.nan
        self.predictions: list[tuple[int, int, int, float]] = []
        self.seconds_before = 0.0  # training seconds of the runs that this one resumes
        self.started = time.monotonic()

    # Lightning's hooks, in the order they come

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note what is known once the data is there."""
        self._note_data(trainer, pl_module)
        self.run.facts["max_epochs"] = trainer.max_epochs
        self.run.save()
        self.started = time.monotonic()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Say that a resumed run goes on, now that it has found everything it goes on with."""
        if self.run.resumes:
            self.run.running()

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note the learning rate of the epoch, before the schedule moves on."""
        self.lr = trainer.optimizers[0].param_groups[0]["lr"]

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Add the epoch's row to `log.tsv`."""
        metrics = _metrics(trainer, ("train/", "val/"))
        seconds = round(self._seconds(), 2)
        row = {"epoch": trainer.current_epoch + 1, "seconds": seconds, "lr": self.lr, **metrics}
        self.rows = [earlier for earlier in self.rows if earlier["epoch"] < row["epoch"]] + [row]
        self.run.running()
        self.run.facts |= {"epochs": len(self.rows), "seconds": seconds, "metrics": metrics}
        self.run.write("log.tsv", pd.DataFrame(self.rows).to_csv(sep="\t", index=False))
        self.run.save()

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw the curves; note what callbacks found, and which epoch is tested: the first with the best value."""
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            self.run.facts |= getattr(callback, "facts", {})
        best = tested(trainer)
        if best and best.monitor and self.rows and best.monitor in self.rows[0]:
            choose, monitor = max if best.mode == "max" else min, best.monitor
            finite = [row for row in self.rows if math.isfinite(row[monitor])] or self.rows
            row = choose(finite, key=lambda row: row[monitor])
            self.run.facts |= {"best_epoch": row["epoch"], "selected_by": f"{best.mode} {monitor}"}
            self.run.facts["metrics"] = {name: value for name, value in row.items() if "/" in name}
        self.draw()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Draw the curves of a run that was interrupted."""
        if not isinstance(exception, Exception) or "SIGTERM" in type(exception).__name__:
            self.draw()

    def on_test_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Say that the run has a result coming, if its method trains nothing."""
        if "counts" not in self.run.facts:
            self._note_data(trainer, pl_module)
        self.run.running()

    def on_test_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, *_: Any) -> None:
        """Keep the predictions of a batch, if the method makes any."""
        if outputs:
            columns = (outputs[name].tolist() for name in ("positions", "labels", "preds", "confidence"))
            self.predictions += zip(*columns, strict=True)

    def on_test_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write `test_log.tsv`, and `predictions.csv` where there are some."""
        if trainer.world_size > 1:
            gathered: list[Any] = [None] * trainer.world_size
            torch.distributed.all_gather_object(gathered, self.predictions)
            self.predictions = [row for part in gathered for row in part]
        results = _metrics(trainer, ("test/",))
        self.run.facts["metrics"] = {**self.run.facts["metrics"], **results}
        self.run.facts.setdefault("seconds", round(self._seconds(), 2))
        self.run.write("test_log.tsv", pd.DataFrame([results]).to_csv(sep="\t", index=False))
        if self.predictions:
            # fewer than all in a try-out
            self.run.facts["counts"] = {**self.run.facts["counts"], "test": len(self.predictions)}
            self._write_predictions(handed_over(trainer, ImagesOfClasses, to=self))

    def state_dict(self) -> dict[str, Any]:
        """Save the log with the checkpoint."""
        return {"log": self.rows, "seconds": self._seconds()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up the log of the run that is resumed."""
        self.rows, self.seconds_before = list(state_dict["log"]), float(state_dict["seconds"])
        # no epoch may be left to say so
        metrics = {name: value for name, value in self.rows[-1].items() if "/" in name} if self.rows else {}
        self.run.facts |= {"epochs": len(self.rows), "seconds": self.seconds_before, "metrics": metrics}

    # Files

    @rank_zero_only
    def draw(self) -> None:
        """Draw `result.png` and `result.gif` from the log so far."""
        if not self.rows:
            return
        frame, facts = pd.DataFrame(self.rows), self.run.facts
        panels = sheet_of(facts["practical"]).panels
        for name, draw in {"result.png": curves_png, "result.gif": curves_gif}.items():
            draw(frame, self.run.directory / name, facts["experiment"], facts["labels"], panels)

    def _note_data(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        facts = handed_over(trainer, Recorded, to=self).facts()
        self.run.facts |= {**facts, "labels": [*facts["labels"], *getattr(pl_module, "labels", [])]}
        self.run.write_json("environment.json", environment(pl_module.device))

    def _write_predictions(self, data: ImagesOfClasses) -> None:
        rows = [
            (data.names[data.rows["test"][index]], data.classes[label], data.classes[pred], f"{confidence:.6f}")
            for index, label, pred, confidence in sorted(self.predictions)
        ]
        table = pd.DataFrame(rows, columns=["name", "label", "prediction", "confidence"])
        self.run.write("predictions.csv", table.to_csv(index=False, lineterminator="\r\n"))

    def _seconds(self) -> float:
        return self.seconds_before + time.monotonic() - self.started


def tested(trainer: pl.Trainer) -> ModelCheckpoint | None:
    """Return the checkpoint callback whose weights are tested: `best` if there is one, else the last of them."""
    found = [callback for callback in trainer.checkpoint_callbacks if isinstance(callback, ModelCheckpoint)]
    return next((callback for callback in found if callback.filename == "best"), found[-1] if found else None)


def _metrics(trainer: pl.Trainer, prefixes: tuple[str, ...]) -> dict[str, float]:
    values = {name: value.item() for name, value in trainer.callback_metrics.items() if name.startswith(prefixes)}
    return {name: value for name, value in values.items() if math.isfinite(value)} if prefixes == ("test/",) else values

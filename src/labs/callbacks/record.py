"""What a run leaves behind: its log, its numbers, its predictions, its curves, and how it ended."""

import csv
import json
import math
import shlex
import sys
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import lightning.pytorch as pl
import pandas as pd
import torch.distributed
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.utilities import rank_zero_only

from labs.drawing.curves import curves_gif, curves_png
from labs.practicals import sheet_of
from labs.runs.directory import keep_recipe
from labs.runs.environment import environment


class Record(pl.Callback):
    """Write a run's directory as the run goes on, so that nothing is lost when it stops.

    Used around the run: entering writes `metrics.json` with status `running`, leaving it writes how the run ended.
    `log.tsv` grows by a row an epoch; it is part of every checkpoint, so that a resumed run continues it. Files are
    replaced in one move, never half-written.

    Args:
        run_dir: the run directory.
        recipe: what `metrics.json` says of the run besides its results: experiment, practical, data, seed, choices,
            command.
        resumes: whether the run goes on from a checkpoint in its directory.
    """

    def __init__(self, run_dir: Path, recipe: Mapping[str, Any], *, resumes: bool = False) -> None:
        self.run_dir, self.resumes = run_dir, resumes
        self.facts: dict[str, Any] = {
            "format": 1,
            "status": "running",
            **recipe,
            "metrics": {},
            "labels": [],
            "error": None,
        }
        self.rows: list[dict[str, float]] = []
        self.earlier: list[Path] = []  # results of an earlier run in this directory
        self.holds = resumes  # what stands in the directory stays until the resumed run has begun
        self.lr = math.nan
        self.predictions: list[tuple[int, int, int, float]] = []
        self.seconds_before = 0.0  # training seconds of the runs that this one resumes
        self.started = time.monotonic()

    # Around the run

    def __enter__(self) -> Self:
        """Mark the run as running; what an earlier run left here stays until this one has something to replace it."""
        self.earlier = [] if self.resumes else [path for path in self._results() if path.exists()]
        self._write_facts()
        self._write_traceback(None)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Mark the run as finished, interrupted or failed, and draw what there is to draw."""
        if error is None:
            self.facts["status"], self.holds = "finished", False
        elif self.facts["status"] == "running":
            interrupted = isinstance(error, (KeyboardInterrupt, SystemExit))
            self.facts |= {"status": "interrupted" if interrupted else "failed", "error": _one_line(error)}
        self._write_facts()
        if error is not None and self.facts["status"] == "failed":
            self._write_traceback(error)
        if error is None or self.facts["status"] == "interrupted":
            self.draw()
        if error is not None and self.rows and (self.run_dir / ".hydra" / "overrides.yaml").is_file():
            self._say_how_to_go_on()

    # Lightning's hooks, in the order they come

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note what is known once the data is there."""
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        facts = data.facts()
        labels = [*facts["labels"], *getattr(pl_module, "labels", [])]
        self.facts |= {**facts, "labels": labels, "max_epochs": trainer.max_epochs}
        self._write_json("environment.json", environment(pl_module.device))
        self._write_facts()
        self.started = time.monotonic()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Mark a resumed run as running, now that it has found everything it goes on with."""
        self.holds = False
        self._write_facts()
        self._keep_recipe()

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note the learning rate of the epoch, before the schedule moves on."""
        self.lr = trainer.optimizers[0].param_groups[0]["lr"]

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Add the epoch's row to `log.tsv`."""
        row = {
            "epoch": trainer.current_epoch + 1,
            "seconds": round(self._seconds(), 2),
            "lr": self.lr,
            **_metrics(trainer, ("train/", "val/")),
        }
        self.rows = [earlier for earlier in self.rows if earlier["epoch"] < row["epoch"]] + [row]
        self._clear()
        self.facts |= {
            "epochs": len(self.rows),
            "seconds": row["seconds"],
            "metrics": _metrics(trainer, ("train/", "val/")),
        }
        self._write_log()

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note what callbacks have to tell, and which epoch's weights are tested: the first with the best value."""
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            self.facts |= {} if callback is self else getattr(callback, "facts", {})
        best = tested(trainer)
        if best and best.monitor and self.rows and best.monitor in self.rows[0]:
            choose = max if best.mode == "max" else min
            monitor = best.monitor
            finite = [row for row in self.rows if math.isfinite(row[monitor])] or self.rows
            row = choose(finite, key=lambda row: row[monitor])
            self.facts |= {"best_epoch": row["epoch"], "selected_by": f"{best.mode} {best.monitor}"}
            self.facts["metrics"] = {name: value for name, value in row.items() if "/" in name}

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Remember whether the run was stopped or broke."""
        stopped = isinstance(exception, KeyboardInterrupt) or "SIGTERM" in type(exception).__name__
        self.facts |= {"status": "interrupted" if stopped else "failed", "error": _one_line(exception)}

    def on_test_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep the predictions of a batch, if the method makes any."""
        if not outputs:
            return
        columns = (outputs[name].tolist() for name in ("positions", "labels", "preds", "confidence"))
        self.predictions += zip(*columns, strict=True)

    def on_test_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write `test_log.tsv`, and `predictions.csv` where there are some."""
        if trainer.world_size > 1:
            gathered: list[Any] = [None] * trainer.world_size
            torch.distributed.all_gather_object(gathered, self.predictions)
            self.predictions = [row for part in gathered for row in part]
        results = _metrics(trainer, ("test/",))
        self.facts["metrics"] = {**self.facts["metrics"], **results}
        self._write_test(results)
        if self.predictions:
            counts = {**self.facts["counts"], "test": len(self.predictions)}  # fewer than all in a try-out
            self.facts["counts"] = counts
            self._write_predictions(trainer.datamodule)  # type: ignore[attr-defined]

    def state_dict(self) -> dict[str, Any]:
        """Save the log with the checkpoint."""
        return {"log": self.rows, "seconds": self._seconds()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up the log of the run that is resumed."""
        self.rows, self.seconds_before = list(state_dict["log"]), float(state_dict["seconds"])
        # no epoch may be left to say so
        metrics = {name: value for name, value in self.rows[-1].items() if "/" in name} if self.rows else {}
        self.facts |= {"epochs": len(self.rows), "seconds": self.seconds_before, "metrics": metrics}

    # Files

    def _results(self) -> list[Path]:
        """List what a run writes that must not be taken for another's."""
        # the checkpoint first: without it nobody goes on from another run's weights, whatever else is still there
        names = (
            "checkpoints/last.ckpt",
            "metrics.json",
            "log.tsv",
            "test_log.tsv",
            "predictions.csv",
            "selections.tsv",
            "pictures.tsv",
            "losses.tsv",
            "quality.json",
            "result.png",
            "result.gif",
        )
        events = self.run_dir.glob("tensorboard/events.*")
        return [
            *(self.run_dir / name for name in names),
            *events,
            *self.run_dir.glob("checkpoints/by_*.ckpt"),
            *self.run_dir.glob("images/*.png"),
            *self.run_dir.glob("images/*.gif"),
        ]

    @rank_zero_only
    def _keep_recipe(self) -> None:
        keep_recipe(self.run_dir)

    @rank_zero_only
    def _clear(self) -> None:
        while self.earlier:
            self.earlier.pop(0).unlink(missing_ok=True)

    @rank_zero_only
    def _say_how_to_go_on(self) -> None:
        command = f"python train.py {shlex.quote(f'resume={self.run_dir}')}"
        print(f"\n{self.facts['status']} after {len(self.rows)} epochs; go on with: {command}", file=sys.stderr)

    @rank_zero_only
    def draw(self) -> None:
        """Draw `result.png` and `result.gif` from the log so far."""
        if self.rows:
            frame = pd.DataFrame(self.rows)
            labels, panels = self.facts["labels"], sheet_of(self.facts["practical"]).panels
            curves_png(frame, self.run_dir / "result.png", self.facts["experiment"], labels, panels)
            curves_gif(frame, self.run_dir / "result.gif", self.facts["experiment"], labels, panels)

    @rank_zero_only
    def _write_log(self) -> None:
        self._replace("log.tsv", pd.DataFrame(self.rows).to_csv(sep="\t", index=False))
        self._write_facts()

    @rank_zero_only
    def _write_test(self, results: dict[str, float]) -> None:
        self._replace("test_log.tsv", pd.DataFrame([results]).to_csv(sep="\t", index=False))

    @rank_zero_only
    def _write_predictions(self, data: Any) -> None:
        temporary = self.run_dir / ".predictions.csv"
        with temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["name", "label", "prediction", "confidence"])
            for index, label, prediction, confidence in sorted(self.predictions):
                name = data.names[data.rows["test"][index]]
                writer.writerow([name, data.classes[label], data.classes[prediction], f"{confidence:.6f}"])
        temporary.replace(self.run_dir / "predictions.csv")

    @rank_zero_only
    def _write_traceback(self, error: BaseException | None) -> None:
        """Keep where a run broke, or take away what an earlier one left."""
        if error is None:
            (self.run_dir / "traceback.txt").unlink(missing_ok=True)
        else:
            self._replace("traceback.txt", "".join([self.facts["command"], "\n\n", *traceback.format_exception(error)]))

    def _write_facts(self) -> None:
        if self.earlier or self.holds:
            return  # an earlier run's results stand here, and this one has none yet
        self._write_json("metrics.json", self.facts)

    @rank_zero_only
    def _write_json(self, name: str, content: Mapping[str, Any]) -> None:
        self._replace(name, json.dumps(content, indent=2) + "\n")

    def _replace(self, name: str, text: str) -> None:
        temporary = self.run_dir / f".{name}"
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(self.run_dir / name)

    def _seconds(self) -> float:
        return self.seconds_before + time.monotonic() - self.started


def tested(trainer: pl.Trainer) -> ModelCheckpoint | None:
    """Return the checkpoint callback whose weights are tested: `best` if there is one, else the last of them."""
    found = [callback for callback in trainer.checkpoint_callbacks if isinstance(callback, ModelCheckpoint)]
    return next((callback for callback in found if callback.filename == "best"), found[-1] if found else None)


def _metrics(trainer: pl.Trainer, prefixes: tuple[str, ...]) -> dict[str, float]:
    values = {name: value.item() for name, value in trainer.callback_metrics.items() if name.startswith(prefixes)}
    return {name: value for name, value in values.items() if math.isfinite(value)} if prefixes == ("test/",) else values


def _one_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0][:300]

"""Save every step of a small run, and draw the steps."""

from pathlib import Path

import lightning.pytorch as pl
import pandas as pd
from lightning.pytorch.utilities import rank_zero_only

from labs.callbacks.measured import measured
from labs.callbacks.tensorboard import show_picture
from labs.datamodules.protocols import NotesSteps, needed
from labs.practicals import sheet_of
from labs.runs.directory import read_facts
from labs.runs.signals import is_in_a_hurry
from labs.storage.files import write_text


class Steps(pl.Callback):
    """Write `steps.tsv`, with one row per step (the first row is the start), and the figure of the practical."""

    @rank_zero_only
    def on_test_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save the steps of a finished run."""
        self._save(trainer, pl_module)

    @rank_zero_only
    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Save the steps of an interrupted run, if there are any and there is time."""
        if trainer.global_step and not is_in_a_hurry(exception):
            self._save(trainer, pl_module)

    def _save(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        noted = needed(pl_module, NotesSteps, by=self).noted
        table = pd.DataFrame({name: values.tolist() for name, values in noted.items()})
        run_dir = Path(trainer.default_root_dir)
        text = table.rename_axis("step").to_csv(sep="\t", float_format="%.7g", na_rep="nan")
        write_text(run_dir / "steps.tsv", text)
        sheet = sheet_of(read_facts(run_dir).get("practical", ""))
        if sheet.draw is not None:
            sheet.draw(run_dir, measured(trainer, "test/"))
            show_picture(trainer, "steps", run_dir / sheet.picture, len(table) - 1)

"""Compare the epochs that are selected with and without target labels by their accuracy on the test images."""

from itertools import islice
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pandas as pd
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

from labs.callbacks.notes import is_limited
from labs.datamodules.protocols import AdaptsDomains, TwoDomains, handed_over
from labs.storage.checkpoint_files import read_checkpoint
from labs.storage.files import write_text

AT_ONCE = 500  # images that are predicted together


class Selections(pl.Callback):
    """Test the epoch that each criterion selected, and write `selections.tsv`.

    A criterion is a checkpoint callback with a monitored metric. The accuracy of its epoch on the target's test images
    is logged as `<metric>_<name of its file>`; `metric` itself is the accuracy of the last epoch. The table states
    which criteria use target labels: such an oracle is not available in practice.

    Args:
        metric: Name under which the module logs the accuracy on the target's test images.
    """

    def __init__(self, *, metric: str) -> None:
        self.metric = metric

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Refuse data without two domains."""
        handed_over(trainer, TwoDomains, to=self)

    def on_test_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Test every selected epoch, and restore the current weights."""
        current = {name: tensor.clone() for name, tensor in pl_module.state_dict().items()}
        data = handed_over(trainer, TwoDomains, to=self)
        count, rows = images_tested(trainer, data), []
        for callback in trainer.checkpoint_callbacks:
            if not isinstance(callback, ModelCheckpoint):
                continue
            file = Path(str(callback.dirpath)) / f"{callback.filename}.ckpt"
            if not callback.best_model_path or not file.is_file():
                continue  # the run was too short to select an epoch
            saved = read_checkpoint(file, pl_module.device)
            pl_module.load_state_dict(saved["state_dict"])
            with trainer.precision_plugin.forward_context():
                acc = target_accuracy(pl_module, data, count)
            criterion = f"{callback.mode} {callback.monitor}" if callback.monitor else "last epoch"
            oracle = "yes" if data.labeled == "target" or "oracle" in str(callback.monitor) else "no"
            row = {"criterion": criterion, "sees_target_labels": oracle, "epoch": saved["epoch"] + 1, "target_acc": acc}
            rows.append(row)
            if callback.monitor:
                pl_module.log(f"{self.metric}_{callback.filename}", acc)
        pl_module.load_state_dict(current)
        if trainer.is_global_zero:
            table = pd.DataFrame(rows).to_csv(sep="\t", index=False, na_rep="nan")
            write_text(Path(trainer.default_root_dir) / "selections.tsv", table)


def images_tested(trainer: pl.Trainer, data: TwoDomains) -> int:
    """Return the number of the target's test images that are tested: all, or the first ones in a try-out."""
    if not is_limited(trainer, "test"):
        return data.count("test", "target")
    loaders: Any = trainer.test_dataloaders
    return sum(len(positions) for positions in islice(loaders[1].sampler, int(trainer.num_test_batches[1])))


@torch.no_grad()
def target_accuracy(module: pl.LightningModule, data: TwoDomains, count: int) -> float:
    """Return the accuracy of a module in eval mode on the target's first test images, the same on every rank."""
    assert isinstance(module, AdaptsDomains)
    right = 0
    for positions in torch.arange(count, device=module.device).split(AT_ONCE):
        batch = data.batch("test", "target", positions)
        right += int((module.features_and_logits(batch.images, "target")[1].argmax(dim=1) == batch.labels).sum())
    return right / count

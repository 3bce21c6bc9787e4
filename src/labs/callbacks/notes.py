"""Notes on a run's results: labels, and warnings with advice."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import lightning.pytorch as pl
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from lightning.pytorch.utilities import rank_zero_only
from rich.console import Console
from rich.text import Text

from labs import LabsError
from labs.runs.directory import read_facts

TRY_OUT, STOPPED_EARLY = "try-out", "stopped early"
ORACLE = "oracle"  # in the names of metrics that use labels which a method must not see


def is_limited(trainer: pl.Trainer, split: str) -> bool:
    """Return whether only part of a split is used (`debug=`, `trainer.limit_train_batches`, `trainer.fast_dev_run`)."""
    limit = getattr(trainer, f"limit_{split}_batches")
    return isinstance(limit, int) or limit < 1


def labels_of(trainer: pl.Trainer, chosen: ModelCheckpoint | None) -> list[str]:
    """Return the notes that all numbers of a run must carry.

    Args:
        trainer: The Trainer of the run.
        chosen: The checkpoint callback whose weights are tested.
    """
    watching = [callback for callback in trainer.callbacks if not isinstance(callback, ModelCheckpoint)]  # type: ignore[attr-defined]
    notes = {
        TRY_OUT: any(is_limited(trainer, split) for split in ("train", "val", "test")),
        "selected on target labels": any(ORACLE in str(getattr(c, "monitor", "")) for c in (*watching, chosen)),
    }
    return [note for note, true in notes.items() if true]


def of_the_run(trainer: pl.Trainer, labels: Sequence[str]) -> list[str]:
    """Return these labels together with those in the record of the run, for a picture of its results."""
    recorded = read_facts(Path(trainer.default_root_dir)).get("labels", [])
    return list(dict.fromkeys([*labels, *map(str, recorded)]))


def stopped_early(trainer: pl.Trainer, epochs: int) -> bool:
    """Return whether training ended before the last epoch, and not by early stopping.

    Raises:
        LabsError: If training ended before the first epoch was complete.
    """
    if not epochs:
        raise LabsError("training stopped before the end of the first epoch; type a longer trainer.max_time.")
    planned = trainer.max_epochs or -1
    by_rule = any(isinstance(callback, EarlyStopping) for callback in trainer.callbacks)  # type: ignore[attr-defined]
    return trainer.global_step >= trainer.max_steps > -1 or (epochs < planned and not by_rule)


@rank_zero_only
def say_warning(line: str) -> None:
    """Print a warning, on standard error, while training goes on."""
    Console(stderr=True, emoji=False).print(
        Text.assemble(("warning", "bold yellow"), f" {line}"), highlight=False, soft_wrap=True
    )


def warnings_while_training(trainer: pl.Trainer, attribute: str = "warnings") -> list[str]:
    """Return what callbacks have warned of (`warnings`), or have printed in this process (`printed_warnings`)."""
    return [line for callback in trainer.callbacks for line in getattr(callback, attribute, [])]  # type: ignore[attr-defined]


def warnings_of_test(metrics: Mapping[str, float], pairs: Sequence[tuple[int, int]], rate: float) -> list[str]:
    """Say what the test shows to have gone wrong in training, and what to try.

    Args:
        metrics: the final values by name.
        pairs: label and prediction of each test image; none where there were too few to judge by.
        rate: the learning rate that the run began with.

    Examples:
        >>> warnings_of_test({"test/loss": float("nan")}, [], rate=0.1)
        ['test/loss is not a number: training diverged. Try a smaller learning rate, such as lr=0.01.']
        >>> warnings_of_test({}, [(0, 1), (0, 0), (1, 0)], rate=0.1)[0].partition(". ")[0]
        'the net names 33 % of the test images correctly, and the most frequent class alone would give 67 %'
    """
    smaller = f"lr={rate / 10:.2g}" if math.isfinite(rate) and rate > 0 else "lr=0.001"
    lost = [name for name, value in metrics.items() if "loss" in name and not math.isfinite(value)]
    if lost:
        verb = "is not a number" if len(lost) == 1 else "are not numbers"
        return [f"{', '.join(lost)} {verb}: training diverged. Try a smaller learning rate, such as {smaller}."]
    if not pairs:
        return []
    right = sum(label == pred for label, pred in pairs)
    most = max(Counter(label for label, _ in pairs).values())
    if right > most:
        return []
    shares = [f"{100 * count / len(pairs):.0f} %" for count in (right, most)]
    return [
        f"the net names {shares[0]} of the test images correctly, and the most frequent class alone would give "
        f"{shares[1]}. Try {smaller}, more epochs, or weights=pretrained."
    ]

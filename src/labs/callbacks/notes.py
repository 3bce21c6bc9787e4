"""Notes on a run's results: labels, and warnings with advice."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import lightning.pytorch as pl
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint

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


def warnings_of(
    metrics: Mapping[str, float],
    pairs: Sequence[tuple[int, int]],
    rows: Sequence[Mapping[str, float]] = (),
    images: int = 0,
) -> list[str]:
    """Say what went wrong in training, and what to try.

    Args:
        metrics: the final values by name.
        pairs: label and prediction of each test image; none where there were too few to judge by.
        rows: the log, one row per epoch.
        images: how many images an epoch trains on.

    Examples:
        >>> warnings_of({"test/loss": float("nan")}, [])
        ['test/loss is no number: training diverged. Try a smaller optimizer.lr, or precision=fp32.']
        >>> warnings_of({}, [(0, 1), (0, 0), (1, 0)])[0].partition(".")[0]
        'the net names 33 % of the test images rightly, no more than if it always said the most frequent class (67 %)'
        >>> warnings_of({}, [(0, 0), (1, 1)] * 50, [{"train/acc": 0.51, "lr": 0.1}], images=100)[0].partition(".")[0]
        'at the end of training the net names 51 % of its training images rightly, which is chance'
    """
    lost = [name for name, value in metrics.items() if "loss" in name and not math.isfinite(value)]
    if lost:
        verb = "is no number" if len(lost) == 1 else "are no numbers"
        return [f"{', '.join(lost)} {verb}: training diverged. Try a smaller optimizer.lr, or precision=fp32."]
    if not pairs:
        return []
    first, last = (rows[0], rows[-1]) if rows else ({}, {})
    rate = first.get("lr", math.nan)
    began = f" (this run began at {rate:g})" if math.isfinite(rate) else ""
    instead = f"Try a smaller optimizer.lr{began}, more trainer.max_epochs, or weights=pretrained."
    right = sum(label == pred for label, pred in pairs)
    most = max(Counter(label for label, _ in pairs).values())
    if right <= most:
        shares = [f"{100 * count / len(pairs):.0f} %" for count in (right, most)]
        return [
            f"the net names {shares[0]} of the test images rightly, no more than if it always said the most frequent "
            f"class ({shares[1]}). {instead}"
        ]
    chance = most / len(pairs)
    limit = chance + 3 * math.sqrt(chance * (1 - chance) / max(images, 1))  # three standard deviations of a guesser
    ended = last.get("train/acc", math.nan)
    if ended <= limit < 1:  # the epoch that is tested may be one before training broke down
        return [
            f"at the end of training the net names {100 * ended:.0f} % of its training images rightly, which is "
            f"chance. {instead}"
        ]
    return []

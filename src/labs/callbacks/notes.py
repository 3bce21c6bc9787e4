"""What must be said of a run's numbers because of how the run went: labels, and warnings with what to try."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import lightning.pytorch as pl
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint

from labs import LabsError
from labs.runs.directory import read_facts

TRY_OUT, STOPPED_EARLY = "try-out", "stopped early"
ORACLE = "oracle"  # a metric of this name was measured with labels that a method must not see


def is_limited(trainer: pl.Trainer, split: str) -> bool:
    """Say whether a split is served in part (`debug=`, `trainer.limit_train_batches`, `trainer.fast_dev_run`)."""
    limit = getattr(trainer, f"limit_{split}_batches")
    return isinstance(limit, int) or limit < 1


def labels_of(trainer: pl.Trainer, chosen: ModelCheckpoint | None) -> list[str]:
    """Return what the numbers of a run must carry from its start on.

    Args:
        trainer: of the run.
        chosen: the checkpoint callback whose weights are tested.
    """
    watching = [callback for callback in trainer.callbacks if not isinstance(callback, ModelCheckpoint)]  # type: ignore[attr-defined]
    notes = {
        TRY_OUT: any(is_limited(trainer, split) for split in ("train", "val", "test")),
        "selected on target labels": any(ORACLE in str(getattr(c, "monitor", "")) for c in (*watching, chosen)),
    }
    return [note for note, true in notes.items() if true]


def of_the_run(trainer: pl.Trainer, labels: Sequence[str]) -> list[str]:
    """Return these labels, and the others that the record of the run has: what a picture of its results must carry."""
    recorded = read_facts(Path(trainer.default_root_dir)).get("labels", [])
    return list(dict.fromkeys([*labels, *map(str, recorded)]))


def stopped_early(trainer: pl.Trainer, epochs: int) -> bool:
    """Say whether training ended before the recipe's last epoch, other than by a rule of the recipe.

    Raises:
        LabsError: not a single epoch was trained.
    """
    if not epochs:
        raise LabsError("nothing was trained: it was stopped before its first epoch; type a longer trainer.max_time.")
    planned = trainer.max_epochs or -1
    by_rule = any(isinstance(callback, EarlyStopping) for callback in trainer.callbacks)  # type: ignore[attr-defined]
    return trainer.global_step >= trainer.max_steps > -1 or (epochs < planned and not by_rule)


def warnings_of(metrics: Mapping[str, float], pairs: Sequence[tuple[int, int]]) -> list[str]:
    """Say what went wrong in training, and what to try.

    Args:
        metrics: the final values by name.
        pairs: label and prediction of each test image; none where there were too few to judge by.

    Examples:
        >>> warnings_of({"test/loss": float("nan")}, [])
        ['test/loss is no number: training diverged. Try a smaller optimizer.lr, or precision=fp32.']
        >>> warnings_of({}, [(0, 1), (0, 0), (1, 0)])[0].partition(".")[0]
        'the net names 33 % of the test images rightly, no more than if it always said the most frequent class (67 %)'
    """
    lost = [name for name, value in metrics.items() if "loss" in name and not math.isfinite(value)]
    if lost:
        verb = "is no number" if len(lost) == 1 else "are no numbers"
        return [f"{', '.join(lost)} {verb}: training diverged. Try a smaller optimizer.lr, or precision=fp32."]
    right = sum(label == pred for label, pred in pairs)
    most = max(Counter(label for label, _ in pairs).values(), default=0)
    if pairs and right <= most:
        shares = [f"{100 * count / len(pairs):.0f} %" for count in (right, most)]
        return [
            f"the net names {shares[0]} of the test images rightly, no more than if it always said the most frequent "
            f"class ({shares[1]}). Try another optimizer.lr, more trainer.max_epochs, or weights=pretrained."
        ]
    return []

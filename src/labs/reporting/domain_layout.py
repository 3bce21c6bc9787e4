"""What the report shows of training between two domains."""

from collections.abc import Sequence

from labs.reporting import domain_observations
from labs.reporting.layout import CURVES, Column, Layout, metric
from labs.reporting.published import load_published
from labs.reporting.recorded_run import Run

ACCURACY = "test/target_acc"
LAST = "Last epoch"
WITHOUT = "Chosen without target labels"
WITH = "Chosen with target labels (oracle)"
PSEUDO = "Pseudo-labels, last round"

COLUMNS = (
    Column(ACCURACY, "target accuracy (%)", metric(ACCURACY), "percent", LAST, interval=True),
    Column("test/source_acc", "source accuracy (%)", metric("test/source_acc"), "percent", LAST),
    Column("test/domain_acc", "domain accuracy (%)", metric("test/domain_acc"), "percent", LAST),
    *(
        Column(f"{ACCURACY}_by_{chosen}", f"by {words} (%)", metric(f"{ACCURACY}_by_{chosen}"), "percent", WITHOUT)
        for chosen, words in domain_observations.CHOICES.items()
    ),
    Column(
        domain_observations.ORACLE, "by target validation (%)", metric(domain_observations.ORACLE), "percent", WITH
    ),
    Column("test/pseudo_share", "share (%)", metric("test/pseudo_share"), "percent", PSEUDO),
    Column("test/pseudo_precision", "precision (%)", metric("test/pseudo_precision"), "percent", PSEUDO),
    Column("seconds", "seconds", lambda run: run.seconds),
)  # fmt: skip


def domains(runs: Sequence[Run]) -> Layout:
    """Lay out domain adaptation of hand-out 002 (2-c): adapting methods between their bounds, in one table."""
    pseudo = any("test/pseudo_share" in run.metrics for run in runs)
    caption = (
        "Accuracies on test images. Domain accuracy: how well the domain head tells source from target, 50 % by "
        "chance. Chosen: target accuracy of the epoch that a criterion picks; the oracle picks by labels of the "
        "target's validation images, which nobody has who needs to adapt."
    )
    if pseudo:
        caption += " Pseudo-labels: the share of target images that got one, and how many of these are right."
    return Layout(
        title="Domain adaptation",
        columns=tuple(column for column in COLUMNS if pseudo or column.group != PSEUDO),
        caption=caption,
        published=load_published("002", "2-c"),
        plots=(CURVES,),
        pictures=("images/features.png", "result.png"),
        observations=domain_observations.observations,
        ranked=ACCURACY,
    )

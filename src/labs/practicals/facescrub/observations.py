"""What hand-out 001 (2.1 to 2.4) lets one see, judged over seeds: deeper features help, and L2 makes weights smooth."""

from collections.abc import Sequence

from labs.practicals.facescrub import mean_roughness
from labs.reporting.claims import Claim, higher, judge, lower, seen, verdict
from labs.reporting.recorded_run import Run
from labs.reporting.row import Row
from labs.reporting.statistics import over_seeds

PLAIN, L2 = "adam", "adam_l2"


def _accuracy(run: Run) -> float | None:
    return 100 * run.metrics["test/acc"] if "test/acc" in run.metrics else None


_CLAIMS = (
    Claim(
        "A net on pretrained activations recognizes more faces than one on pixels",
        "facescrub_conv4",
        "facescrub_mlp",
        "test accuracy (%)",
        _accuracy,
        higher,
    ),
    Claim(
        "Fine-tuning end to end recognizes more faces than fixed activations",
        "facescrub_finetune",
        "facescrub_conv4",
        "test accuracy (%)",
        _accuracy,
        higher,
    ),
)


def observations(rows: Sequence[Row]) -> list[str]:
    """Say which of the hand-out's expectations hold in these rows."""
    judged = [said for claim in _CLAIMS if (said := judge(rows, claim)) is not None]
    return judged + _smoothness(rows)


def _smoothness(rows: Sequence[Row]) -> list[str]:
    """Compare the roughness of hidden units with and without L2, for each number of units."""
    said = []
    for plain in rows:
        for other in rows:
            if not (plain.runs and other.runs) or not _differ_in_l2(plain.runs[0], other.runs[0]):
                continue
            ours, theirs = (
                {run.seed: value for run in row.runs if (value := mean_roughness(run)) is not None}
                for row in (other, plain)
            )
            seeds = [seed for seed in ours if seed in theirs]
            if not seeds:
                continue
            first, second = [ours[seed] for seed in seeds], [theirs[seed] for seed in seeds]
            margins = [lower(*pair) for pair in zip(first, second, strict=True)]
            spread = max(over_seeds(values).std or 0.0 for values in (first, second))
            units = plain.runs[0].overrides.get("module.net.hidden_units", "300")
            said.append(
                f"An L2 penalty makes the weights of {units} hidden units smoother: {verdict(margins, spread)} "
                f"({seen(margins)}): roughness {over_seeds(first).mean:.2f} with it, {over_seeds(second).mean:.2f} "
                "without."
            )
    return said


def _differ_in_l2(plain: Run, other: Run) -> bool:
    """Say whether two runs are of one recipe but for the penalty."""
    kinds = (plain.choices.get("optimizer"), other.choices.get("optimizer"))
    return kinds == (PLAIN, L2) and plain.experiment == other.experiment and plain.overrides == other.overrides

"""What hand-out 001 (2.1 to 2.4) lets one see, judged over seeds: deeper features help, and L2 makes weights smooth."""

from collections.abc import Callable, Sequence

from labs.practicals.facescrub import mean_roughness
from labs.reporting.claims import seen, verdict
from labs.reporting.recorded_run import Run
from labs.reporting.row import Row
from labs.reporting.statistics import over_seeds

UNITS = "module.net.hidden_units"
PLAIN, L2 = "adam", "adam_l2"
# What is expected, of which experiment against which.
LADDER = (
    ("A net on pretrained activations recognizes more faces than one on pixels", "facescrub_conv4", "facescrub_mlp"),
    ("Fine-tuning recognizes more faces than fixed activations", "facescrub_finetune", "facescrub_conv4"),
)


def observations(rows: Sequence[Row]) -> list[str]:
    """Say which of the hand-out's expectations hold in these rows."""
    finished = [row for row in rows if row.runs]
    sentences = []
    for words, ours, theirs in LADDER:
        pairs = [
            (one, other)
            for one in finished
            for other in finished
            if (one.experiment, other.experiment) == (ours, theirs) and _is_pretrained(one)
            if _is_pretrained(other) or theirs == "facescrub_mlp"
            if _shared(one.runs[0]) == _shared(other.runs[0]) and other.runs[0].choices.get("optimizer") != L2
        ]
        sentences += [_judged(words, *pairs[0], _accuracy, 1, "test accuracy (%)")] if pairs else []
    for plain in finished:
        for other in finished:
            if _differ_in_l2(plain.runs[0], other.runs[0]):
                units = plain.runs[0].overrides.get(UNITS, "300")
                words = f"An L2 penalty makes the weights of {units} hidden units smoother"
                sentences.append(_judged(words, other, plain, mean_roughness, -1, "roughness"))
    return [line for line in sentences if line]


def _judged(
    words: str, ours: Row, theirs: Row, number: Callable[[Run], float | None], sign: int, name: str
) -> str | None:
    """Say whether a number is higher (`sign` 1) or lower (-1) in one row, over the seeds that both have."""
    mine, other = ({run.seed: v for run in row.runs if (v := number(run)) is not None} for row in (ours, theirs))
    seeds = [seed for seed in mine if seed in other]
    if not seeds:
        return None
    first, second = [mine[seed] for seed in seeds], [other[seed] for seed in seeds]
    margins = [sign * (one - two) for one, two in zip(first, second, strict=True)]
    spread = max(over_seeds(values).std or 0.0 for values in (first, second))
    return (
        f"{words}: {verdict(margins, spread)} ({seen(margins)}): {name} {over_seeds(first).mean:.3g} against "
        f"{over_seeds(second).mean:.3g}."
    )


def _accuracy(run: Run) -> float | None:
    return 100 * run.metrics["test/acc"] if "test/acc" in run.metrics else None


def _is_pretrained(row: Row) -> bool:
    return row.runs[0].choices.get("weights") != "random"


def _shared(run: Run) -> dict[str, str]:
    """Return the overrides that two experiments must share; the perceptron's units are its own."""
    return {name: value for name, value in run.overrides.items() if name != UNITS}


def _differ_in_l2(plain: Run, other: Run) -> bool:
    """Say whether two runs are of one recipe but for the penalty."""
    kinds = (plain.choices.get("optimizer"), other.choices.get("optimizer"))
    return kinds == (PLAIN, L2) and plain.experiment == other.experiment and plain.overrides == other.overrides

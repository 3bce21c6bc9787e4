"""Domain adaptation in the report: what it gained, what it cost, and which choices need no target labels."""

from collections.abc import Callable, Sequence

import numpy as np

from labs.practicals.dann import ACCURACY, CHOICES, ORACLE
from labs.reporting.claims import Claim, higher, judge, lower, seen, verdict
from labs.reporting.recorded_run import WEIGHTS, Run
from labs.reporting.row import Row
from labs.reporting.statistics import over_seeds

SOURCE_ONLY, TARGET_ONLY = "dann_source_only", "dann_target_only"
BOUNDS = {SOURCE_ONLY: "source only", TARGET_ONLY: "target only"}
ON_TARGET = "trained on target labels"
TARGET, SOURCE, DOMAIN = ACCURACY, "test/source_acc", "test/domain_acc"
SAME = 0.05  # points: less is not printed
OF_THE_METHOD = ("module", "reversal")  # overrides that a bound need not share ...
OF_THE_NET = ("module.net", "module.optimizer", "module.scheduler", "module.batch_norm")  # ... except these


def observations(rows: Sequence[Row]) -> list[str]:
    """Say what adaptation gained and cost in these rows, whether hand-out 002 (2-c, question 1) is right, and more."""
    adapting = [row for row in rows if row.runs and _adapts(row.runs[0])]
    sentences = [note for row in adapting for note in _gain_and_cost(rows, row)]
    sentences += [sentence for claim in _CLAIMS if (sentence := judge(rows, claim)) is not None]
    sentences += _choices(adapting)
    rule = (
        "A claim holds if every seed agrees and the means differ by more than the larger standard deviation over "
        "seeds. ± is that deviation. Parentheses after a mean give the seeds' lowest and highest value."
    )
    return [*([rule] if sentences else []), *sentences, *_missing(rows, adapting)]


def bound(rows: Sequence[Row], row: Row, experiment: str) -> Row | None:
    """Return the row of a bound that was trained as a row was, but for what belongs to the method of adapting."""
    found = [
        other
        for other in rows
        if other.experiment == experiment and other.runs and _frame(other.runs[0]) == _frame(row.runs[0])
    ]
    alike = [len(row.runs[0].choices.items() & other.runs[0].choices.items()) for other in found]
    return found[int(np.argmax(alike))] if found else None


def _adapts(run: Run) -> bool:
    """Say whether a run learns from the target's images, without their labels."""
    if ON_TARGET in run.labels or run.experiment in BOUNDS:
        return False
    if run.choices.get("module") == "pseudo_label":
        return True
    return run.choices.get("reversal") not in ("none", "removed") and run.metrics.get("train/lambda", 1.0) > 0


def _frame(run: Run) -> dict[str, str]:
    """Return the overrides that a comparison must hold fixed."""
    return {
        name: value
        for name, value in run.overrides.items()
        if name != WEIGHTS and (name.startswith(OF_THE_NET) or name.split(".")[0] not in OF_THE_METHOD)
    }


def _gain_and_cost(rows: Sequence[Row], row: Row) -> list[str]:
    """Say how much of the gap between the bounds a row closes, and what that costs on the source."""
    low, high = (bound(rows, row, experiment) for experiment in BOUNDS)
    name = row.title if [other.title for other in rows].count(row.title) == 1 else row.name
    sentences = []
    if low and high and (table := _together([row, low, high], TARGET)) is not None:
        ours, lowest, highest = table
        gap = highest - lowest
        if (gap > 0).all():
            shares = (100 * (ours - lowest) / gap).tolist()
            sentences.append(
                f"{name} closes {_mean(shares)} % of the gap between source only and target only "
                f"({_seeds(shares)}): target accuracy {100 * ours.mean():.1f} % between {100 * lowest.mean():.1f} % "
                f"and {100 * highest.mean():.1f} %{_unlike(row.runs[0], low.runs[0])}."
            )
        else:
            sentences.append(f"{name}: target only is not better than source only in every seed: no gap to close.")
    if low and (table := _together([row, low], SOURCE)) is not None:
        ours, before = table
        points = (100 * (ours - before)).tolist()
        spread = 100 * max(over_seeds(values.tolist()).std or 0.0 for values in (ours, before))
        costs = [-value for value in points]
        sentences.append(
            f"{name} costs accuracy on the source: {verdict(costs, spread)} ({seen(costs)}): "
            f"{100 * ours.mean():.1f} % against {100 * before.mean():.1f} % of source only, "
            f"{_mean(points, '+')} points."
        )
    return sentences


def _unlike(run: Run, other: Run) -> str:
    """Say in what a bound was trained differently, beside the method."""
    names = [name for name in ("net", "optimizer", "scheduler") if run.choices.get(name) != other.choices.get(name)]
    return f" (bounds with {', '.join(f'{name}={other.choices.get(name)}' for name in names)})" if names else ""


def _together(rows: Sequence[Row], name: str) -> np.ndarray | None:
    """Return a metric of several rows (rows, seeds) over the seeds that all of them have; None without one."""
    values = [{run.seed: run.metrics[name] for run in row.runs if name in run.metrics} for row in rows]
    seeds = [seed for seed in values[0] if all(seed in of_row for of_row in values)]
    return np.array([[of_row[seed] for seed in seeds] for of_row in values]) if seeds else None


def _choices(adapting: Sequence[Row]) -> list[str]:
    """Say which choice of an epoch without target labels came nearest to the oracle, and how far off each is."""
    names = {f"{TARGET}_by_{chosen}": f"by {words}" for chosen, words in CHOICES.items()} | {TARGET: "the last epoch"}
    runs = [run for row in adapting for run in row.runs if {ORACLE, *names} <= run.metrics.keys()]
    if not runs:
        return []
    below = {words: [100 * (run.metrics[ORACLE] - run.metrics[name]) for run in runs] for name, words in names.items()}
    off = {words: abs(float(np.mean(points))) for words, points in below.items()}
    nearest = [words for words in off if off[words] - min(off.values()) < SAME]
    sentence = ", ".join(f"{words} {_off(below[words])}" for words in sorted(off, key=lambda words: off[words]))
    number = f"{len(runs)} adapting runs, on average" if len(runs) > 1 else "one adapting run"
    return [
        f"Nearest to the oracle without target labels: {', '.join(nearest)}. Points below it ({number}): {sentence}."
    ]


def _off(points: Sequence[float]) -> str:
    """Write how far below the oracle something is on average, and at most.

    Examples:
        >>> _off([1.0, 3.0]), _off([-0.5])
        ('2.0 (at most 3.0)', '-0.5')
    """
    return f"{round(float(np.mean(points)), 1) + 0.0:.1f}" + (
        f" (at most {max(points):.1f})" if len(points) > 1 else ""
    )


def _missing(rows: Sequence[Row], adapting: Sequence[Row]) -> list[str]:
    """Say which bounds were not run as the adapting rows were, and how to run them."""
    sentences: dict[str, None] = {}
    for experiment, words in BOUNDS.items():
        for row in adapting:
            if bound(rows, row, experiment) is not None:
                continue
            run = row.runs[0]
            seeds = ",".join(map(str, row.seeds))
            sweep = "-m " if len(row.seeds) > 1 else ""
            parts = [f"experiment={experiment}", f"seed={seeds}", *(f"{k}={v}" for k, v in _frame(run).items())]
            parts += ["data=embedded"] if run.data == "embedded" else []
            sentences[f"No run of {words} with the same settings: python train.py {sweep}{' '.join(parts)}"] = None
    return list(sentences)


def _mean(values: Sequence[float], sign: str = "") -> str:
    """Write a mean and the deviation over seeds."""
    estimate = over_seeds(values)
    # adding zero turns -0.0 into 0.0
    return f"{round(estimate.mean, 1) + 0.0:{sign}.1f}" + ("" if estimate.std is None else f" ± {estimate.std:.1f}")


def _seeds(values: Sequence[float]) -> str:
    """Write the range of one value a seed."""
    if len(values) == 1:
        return "one seed only"
    return f"{len(values)} seeds, {min(values):.1f} to {max(values):.1f}"


def _percent(name: str) -> Callable[[Run], float | None]:
    return lambda run: 100 * run.metrics[name] if name in run.metrics else None


_WITHOUT, _DANN = "dann_no_reversal", "dann_mnistm"
_WORDS = "accuracy (%)"
_CLAIMS = (
    Claim(
        "Without the reversal the target accuracy is lower than of source only",
        _WITHOUT, SOURCE_ONLY, f"target {_WORDS}", _percent(TARGET), lower,
    ),
    Claim(
        "Without the reversal the target accuracy is lower than with it",
        _WITHOUT, _DANN, f"target {_WORDS}", _percent(TARGET), lower,
    ),
    Claim(
        "Without the reversal the domain accuracy is higher than with it",
        _WITHOUT, _DANN, f"domain {_WORDS}", _percent(DOMAIN), higher,
    ),
    Claim(
        "Without the reversal the source accuracy is higher than with it",
        _WITHOUT, _DANN, f"source {_WORDS}", _percent(SOURCE), higher,
    ),
)  # fmt: skip

"""Features and linear SVMs in the report: what hand-out 002 (2-a, question 11) saw, and whether it holds here."""

from collections.abc import Sequence

import numpy as np

from labs.practicals.scenes import SHEET
from labs.reporting.claims import Claim, higher, judge, metric, seen, verdict
from labs.reporting.row import Row
from labs.reporting.statistics import over_seeds

C, ACCURACY = "module.C", "test/acc"
USUAL = 1.0  # C of the hand-out's experiments
MATTERS = 0.01  # of accuracy: less is no gain
_SVM = "scenes_{}_svm"


def _claim(words: str, experiment: str, other: str, caveat: str = "") -> Claim:
    return Claim(words, experiment, other, "accuracy", metric(SHEET.leads), higher, caveat)


CLAIMS = (
    _claim("relu6 is better than relu7", _SVM.format("relu6"), _SVM.format("relu7")),
    _claim("relu6 is better than relu5", _SVM.format("relu6"), _SVM.format("relu5")),
    _claim("ResNet-50 is better than VGG16's relu7", _SVM.format("resnet50"), _SVM.format("relu7")),
    _claim("ResNet-50 is better than VGG16's relu6", _SVM.format("resnet50"), _SVM.format("relu6")),
    _claim("Fewer dimensions by PCA are better", _SVM.format("pca"), _SVM.format("relu6")),
    _claim("An SVM is better than a fully connected head", _SVM.format("relu7"), "scenes_fc"),
)


def observations(rows: Sequence[Row]) -> list[str]:
    """Say for each of the hand-out's findings whether it holds in these rows."""
    sentences = [sentence for claim in CLAIMS if (sentence := judge(rows, claim)) is not None]
    sentences += [
        sentence for experiment in dict.fromkeys(row.experiment for row in rows) if (sentence := _c(rows, experiment))
    ]
    rule = "A claim holds if every seed agrees and the means differ by more than the larger deviation over seeds."
    offline = any(run.data == "embedded" for row in rows for run in row.runs)
    stand_in = "Here other nets replace VGG16 and ResNet-50; each run's labels name its net and layer."
    return [*([rule] if sentences else []), *([stand_in] if sentences and offline else []), *sentences]


def _c(rows: Sequence[Row], experiment: str) -> str:
    """Say whether another C than 1 gains more than a point, in the runs of an experiment that sweep it."""
    swept: dict[float, dict[int | None, float]] = {}
    for row in rows:
        for run in row.runs if row.experiment == experiment else ():
            if set(run.overrides) <= {C} and (value := run.metrics.get("test/C")) is not None:
                swept.setdefault(value, {})[run.seed] = run.metrics[ACCURACY]
    usual = swept.pop(USUAL, {})
    if not usual or not swept:
        return ""
    means = {c: float(np.mean(list(of_seed.values()))) for c, of_seed in swept.items()}
    best = max(means, key=lambda c: means[c])
    seeds = [seed for seed in usual if seed in swept[best]]
    if not seeds:
        return ""
    gains = [swept[best][seed] - usual[seed] for seed in seeds]
    spread = max(over_seeds([values[seed] for seed in seeds]).std or 0.0 for values in (swept[best], usual))
    margins = [MATTERS - gain for gain in gains]
    word = verdict(margins, spread) if len(seeds) > 1 else "undecided"
    sentence = ", ".join(f"{c:g} {100 * mean:.1f} %" for c, mean in sorted({**means, USUAL: _mean(usual)}.items()))
    return (
        f"A value of C other than 1 gains less than a point ({experiment}): {word} ({seen(margins)}): the best is "
        f"{best:g}, {100 * float(np.mean(gains)):+.1f} points. Accuracy by C: {sentence}."
    )


def _mean(of_seed: dict[int | None, float]) -> float:
    return float(np.mean(list(of_seed.values())))

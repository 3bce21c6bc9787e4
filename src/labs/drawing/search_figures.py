"""Figures of a search: the best value so far, the importance of settings, and the values over each setting."""

import math
import warnings
from typing import TYPE_CHECKING, Any

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from labs import LabsError
from labs.drawing.curves import PALETTE
from labs.drawing.figures import Figure

if TYPE_CHECKING:
    from labs.reporting.search import Found, Trial

BLUE, ORANGE, GRAY = PALETTE[0], PALETTE[1], "#777777"


def best_so_far(found: "Found", title: str) -> bytes | None:
    """Draw each trial's value and the best value so far; return None if there are no values."""
    done = _done(found)
    if not done:
        return None
    figure, (axes,) = _figure(1, title)
    numbers, values = [trial.number for trial in done], [trial.value or 0.0 for trial in done]
    choose = max if found.maximize else min
    best = [choose(values[: n + 1]) for n in range(len(values))]
    axes.step([*numbers, found.trials[-1].number], [*best, best[-1]], where="post", color=ORANGE, lw=2.5)
    axes.plot(numbers, values, "o", color=BLUE, ms=6)
    lowest = axes.get_ylim()[0]
    if stopped := [trial.number for trial in found.trials if trial.state in ("pruned", "failed")]:
        axes.plot(stopped, [lowest] * len(stopped), "x", color=GRAY, ms=7, label="pruned or failed", clip_on=False)
        axes.legend(frameon=False, fontsize=10)
    axes.set(xlabel="trial", ylabel=found.metric)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    return figure.png(dpi=110)


def importance(found: "Found", title: str) -> bytes | None:
    """Draw the share of the variance that each setting explains; return None with fewer than five trials."""
    shares = importances(found)
    if not shares:
        return None
    figure, (axes,) = _figure(1, title, height=1.2 + 0.45 * len(shares))
    names = sorted(shares, key=lambda name: shares[name])
    axes.barh(names, [100 * shares[name] for name in names], color=BLUE)
    axes.set(xlabel="share of the variance (%)", xlim=(0, 100))
    return figure.png(dpi=110)


def slices(found: "Found", title: str) -> bytes | None:
    """Draw the value of each trial over each setting; return None if there are no values."""
    done = _done(found)
    if not done:
        return None
    figure, panels = _figure(len(found.space), title)
    for axes, (name, values) in zip(panels, found.space.items(), strict=True):
        tried = [trial.numbers.get(name) for trial in done]
        is_log = "log" in str(values).partition("(")[0]
        places: list[Any] = tried
        if not all(isinstance(value, (int, float)) for value in tried):
            listed = (
                [str(v).lower() if isinstance(v, bool) else str(v) for v in values] if isinstance(values, list) else []
            )
            known = list(dict.fromkeys([*listed, *map(str, tried)]))
            places = [known.index(str(value)) for value in tried]
            axes.set_xticks(range(len(known)), known)
            axes.set_xlim(-0.5, len(known) - 0.5)
        heights, order = [trial.value or 0.0 for trial in done], [trial.number for trial in done]
        axes.scatter(places, heights, c=order, cmap="Blues", vmin=-len(done) / 2, edgecolors=GRAY, lw=0.5, s=42)
        if is_log:
            axes.set_xscale("log")
        axes.set(xlabel=name)
    panels[0].set(ylabel=found.metric)
    return figure.png(dpi=110)


def importances(found: "Found") -> dict[str, float]:
    """Return the share of the variance of the values that each setting explains, by functional ANOVA.

    Trials that were stopped early are left out, because their values are not comparable. The result is empty with fewer
    than five trials, if all have the same value, or if there is only one setting.
    """
    done = _done(found)
    if len(done) < 5 or len(found.space) < 2 or len({trial.value for trial in done}) < 2:
        return {}
    import optuna  # slow to import, so only where it is used

    optuna.logging.set_verbosity(optuna.logging.ERROR)

    from labs.trials.space import read_space

    try:
        space = read_space(found.space)
        study = optuna.create_study(direction="maximize" if found.maximize else "minimize")
        for trial in done:
            frozen = optuna.trial.create_trial(params=trial.numbers, distributions=space, value=trial.value)
            study.add_trial(frozen)
        with warnings.catch_warnings(action="ignore"):
            shares = optuna.importance.get_param_importances(
                study, evaluator=optuna.importance.FanovaImportanceEvaluator(seed=0)
            )
    except (ValueError, RuntimeError, LabsError):  # the user has edited a file
        return {}
    return {name: float(share) for name, share in shares.items() if math.isfinite(share)}


def _done(found: "Found") -> "list[Trial]":
    return [t for t in found.trials if t.state == "done" and t.value is not None and math.isfinite(t.value)]


def _figure(panels: int, title: str, height: float = 3.6) -> tuple[Figure, list[Axes]]:
    columns = min(panels, 3)
    rows = math.ceil(panels / columns)
    figure = Figure(figsize=(max(3.4 * columns, 7.0), height * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False, sharey=panels > 1)
    flat = [axes for row in grid for axes in row]
    for axes in flat[panels:]:
        axes.set_visible(False)
    for axes in flat:
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.3)
        axes.set_axisbelow(True)
    figure.suptitle(title, fontsize=12)
    return figure, flat[:panels]

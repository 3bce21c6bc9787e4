"""What a search has found, from the `search.json` that it leaves: its best trial, and how good that is."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from labs.practicals import Plot, later
from labs.quantities import quantity
from labs.reporting.drawings import Drawing
from labs.reporting.evidence import BrokenRunError, expect, is_accuracy, of_file, read_json
from labs.reporting.statistics import SIGNIFICANCE, Estimate, over_seeds, paired_t_test
from labs.runs.directory import read_facts

RESULTS = "search.json"
STATES = ("done", "pruned", "failed", "running")


@dataclass(frozen=True)
class Trial:
    """One trial: what it set, and how it ended. `values` are those of its seeds, `value` is their mean."""

    number: int
    state: str
    settings: dict[str, str]
    numbers: dict[str, Any]
    value: float | None
    values: list[float]
    epochs: int
    error: str


@dataclass(frozen=True)
class Found:
    """A search as its folder tells it.

    `winner` and `before` are the metrics of the runs on fresh seeds, by seed: with the best settings, and with those of
    the experiment.
    """

    folder: Path
    metric: str
    maximize: bool
    space: dict[str, Any]
    trials: list[Trial]
    winner: dict[int, dict[str, float]] = field(default_factory=dict)
    before: dict[int, dict[str, float]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Return what the search is called."""
        return self.folder.name.removeprefix("search_")

    @property
    def best(self) -> Trial | None:
        """Return the trial with the best value, the first of several."""
        done = [trial for trial in self.trials if trial.state == "done" and trial.value is not None]
        sign = -1 if self.maximize else 1
        return min(done, key=lambda trial: (sign * (trial.value or 0.0), trial.number), default=None)


def read_searches(paths: Sequence[Path]) -> list[Found]:
    """Read every search under the paths; what cannot be read is no search: its runs are reported all the same."""
    files = sorted({file for path in paths if path.is_dir() for file in path.rglob(RESULTS)})
    found = []
    for file in files:
        try:
            found.append(read_search(file.parent))
        except BrokenRunError:
            continue
    return found


def read_search(folder: Path) -> Found:
    """Read what a search has left in its folder.

    Raises:
        BrokenRunError: it cannot be read, or holds something else.
    """
    content = read_json(folder / RESULTS)
    with of_file(RESULTS):
        trials = [_trial(item) for item in expect(content, "trials", list)]
        return Found(
            folder=folder.resolve(),
            metric=expect(content, "metric", str),
            maximize=expect(content, "direction", str) == "maximize",
            space=expect(content, "space", dict),
            trials=sorted(trials, key=lambda trial: trial.number),
            winner=_runs(folder, expect(content, "winner", list, [])),
            before=_runs(folder, expect(content, "before", list, [])),
        )


def conclusions(found: Found) -> list[str]:
    """Say what was found, and how good it is."""
    best = found.best
    if best is None:
        return ["No trial has a value."]
    chosen = ", ".join(f"{name}={value}" for name, value in best.settings.items())
    counts = [f"{n} {state}" for state in STATES if (n := sum(t.state == state for t in found.trials))]
    done = sum(trial.state == "done" for trial in found.trials)
    lines = [
        f"{quantity(len(found.trials), 'trial')}: {', '.join(counts)}.",
        f"Best: trial {best.number}, {found.metric} {_shown(found.metric, best.value)} with {chosen}.",
    ]
    if not found.winner:
        return [*lines, "Its settings were not run on fresh seeds, so nobody knows how good they are."]
    lines.append(
        f"This trial was chosen because its number is the {'highest' if found.maximize else 'lowest'} of {done}, so "
        "the number is too good on average (the winner's curse). How good the settings are, the runs on fresh seeds "
        f"show ({_seeds(found.winner)}), each tested once:"
    )
    for name, runs in {"these settings": found.winner, "the experiment as it stands": found.before}.items():
        measured = {key for run in runs.values() for key in run}
        twin = f"test/{found.metric.rpartition('/')[2]}"
        metrics = [
            found.metric,
            *([twin] if twin in measured else sorted(k for k in measured if k.startswith("test/"))),
        ]
        numbers = [f"{key} {_estimate(key, [run[key] for run in runs.values() if key in run])}" for key in metrics]
        lines.append(f"  {name}: {'; '.join(numbers)}")
    return [*lines, *_compared(found)]


def trials(found: Found) -> tuple[list[str], list[list[str]]]:
    """Return the heading and one line for each trial, the best first."""
    names = list(found.space)
    sign = -1 if found.maximize else 1
    ranked = sorted(
        found.trials, key=lambda t: (t.state != "done", sign * t.value if t.value is not None else 0.0, t.number)
    )
    lines = [
        [
            str(trial.number),
            _estimate(found.metric, trial.values) if trial.state == "done" else "",
            *(trial.settings.get(name, "") for name in names),
            trial.state + (f" after epoch {trial.epochs}" if trial.state == "pruned" else ""),
            trial.error,
        ]
        for trial in ranked
    ]
    heading = ["trial", found.metric, *names, "state", "error"]
    return (heading, lines) if any(trial.error for trial in found.trials) else (heading[:-1], [ln[:-1] for ln in lines])


PLOTS = (
    Plot(
        name="search_best",
        title="Best so far",
        caption="Each dot is a trial; the line is the best value up to then. Crosses were pruned or failed.",
        draw=later("labs.drawing.search_figures.best_so_far"),
    ),
    Plot(
        name="search_importance",
        title="Which settings matter",
        caption="Share of the variance of the values that each setting explains (functional ANOVA on the trials that "
        "were trained to the end). With few trials it is a rough guess.",
        draw=later("labs.drawing.search_figures.importance"),
    ),
    Plot(
        name="search_slices",
        title="Each setting alone",
        caption="The value of each trial over each setting; darker dots are later trials.",
        draw=later("labs.drawing.search_figures.slices"),
    ),
)


def draw_searches(searches: Sequence[Found]) -> list[tuple[Found, list[Drawing]]]:
    """Draw the figures of every search that has enough trials for them."""
    drawn = []
    for number, found in enumerate(searches):
        end = f"_{number + 1}" if number else ""
        pngs = [(plot, plot.draw(found, found.name)) for plot in PLOTS]
        drawn.append((found, [Drawing(plot, f"{plot.name}{end}.png", png) for plot, png in pngs if png is not None]))
    return drawn


def _trial(item: Any) -> Trial:
    if not isinstance(item, dict):
        raise BrokenRunError(f"a trial should be an object, it is {item!r:.80}")
    state, value = expect(item, "state", str), item.get("value")
    return Trial(
        number=expect(item, "number", int),
        state=state if state in STATES else "running",
        settings={str(k): str(v) for k, v in expect(item, "settings", dict).items()},
        numbers=expect(item, "numbers", dict),
        value=float(value) if isinstance(value, (int, float)) else None,
        values=[float(v) for v in expect(item, "values", dict, {}).values()],
        epochs=expect(item, "epochs", int, 0),
        error=expect(item, "error", str, ""),
    )


def _runs(folder: Path, directories: Sequence[Any]) -> dict[int, dict[str, float]]:
    """Return the final metrics of the finished runs in these directories, by seed."""
    found = {}
    for name in directories:
        if isinstance(name, str) and Path(name).name == name:
            facts = read_facts(folder / name)
            if facts.get("status") == "finished" and isinstance(facts.get("seed"), int):
                found[facts["seed"]] = {k: float(v) for k, v in facts["metrics"].items()}
    return found


def _compared(found: Found) -> list[str]:
    """Say whether the gain on the fresh seeds is more than chance."""
    runs = [*found.winner.values(), *found.before.values()]
    metric = next((m for m in ("test/acc", "test/loss") if all(m in run for run in runs)), "")
    seeds = sorted(found.winner.keys() & found.before.keys())
    if not metric or len(seeds) < 2:
        return []
    first, second = ([runs[seed][metric] for seed in seeds] for runs in (found.winner, found.before))
    p_value = paired_t_test(first, second)
    gain = sum(first) / len(first) - sum(second) / len(second)
    shown = f"{100 * gain:+.1f} points" if is_accuracy(metric) else f"{gain:+.4g}"
    if math.isnan(p_value):  # without any spread there is nothing to judge by
        return [f"  difference in {metric}: {shown}, the same on all {len(seeds)} seeds"]
    sure = "more than chance" if p_value < SIGNIFICANCE else "no more than chance can give"
    return [f"  difference in {metric}: {shown}, {sure} (paired t test over {len(seeds)} seeds, p = {p_value:.2g})"]


def _seeds(runs: Mapping[int, Any]) -> str:
    return ", ".join(str(seed) for seed in runs)


def _estimate(metric: str, values: Sequence[float]) -> str:
    if not values:
        return "not measured"
    found: Estimate = over_seeds(values)
    spread = (found.high - found.low) / 2 if found.high is not None and found.low is not None else None
    return _shown(metric, found.mean) + ("" if spread is None else f" ± {_shown(metric, spread)}")


def _shown(metric: str, value: float | None) -> str:
    if value is None:
        return ""
    return f"{100 * value:.1f} %" if is_accuracy(metric) else f"{value:.4g}"

"""A whole report against pandas and SciPy, which compute every number again straight from the run directories."""

import itertools
import json
import math
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fake_runs import POLICIES, make_log, write_run
from scipy import stats

SHARES = {"cub_scratch": 0.15, "cub_conv_frozen": 0.55, "cub_layer1_frozen": 0.66, "cub_full": 0.68}
METRICS = ("train/acc", "train/loss", "erm", "test/acc", "test/loss")


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Write 4 recipes x 3 seeds with predictions, and their report."""
    from labs.reporting.write import write_report

    root = tmp_path_factory.mktemp("end_to_end")
    random = np.random.default_rng(0)
    for experiment, seed in itertools.product(POLICIES, range(3)):
        correct = random.random(300) < SHARES[experiment] + 0.02 * seed
        log = make_log(tuple(random.random(6).round(6)), shift=random.random())
        write_run(root / "grid" / f"{experiment}_{seed}", experiment, seed=seed, correct=correct, log=log)
    write_report([root / "grid"], root / "out")
    return root / "grid", root / "out"


def read_grid(grid: Path) -> pd.DataFrame:
    """Read the numbers of every run from its own files."""
    lines = []
    for file in sorted(grid.glob("*/metrics.json")):
        record = json.loads(file.read_text())
        log = pd.read_csv(file.parent / "log.tsv", sep="\t")
        predictions = pd.read_csv(file.parent / "predictions.csv")
        top = log["train/acc"].idxmax()
        lines.append(
            {
                "directory": f"grid/{file.parent.name}",
                "experiment": record["experiment"],
                "seed": record["seed"],
                "train/acc": log["train/acc"][top],
                "train/loss": log["train/loss"][top],
                "erm": log["epoch"][top],
                "test/acc": (predictions["label"] == predictions["prediction"]).mean(),
                "test/loss": record["metrics"]["test/loss"],
                "right": (predictions["label"] == predictions["prediction"]).to_numpy(),
            }
        )
    return pd.DataFrame(lines)


def adjust(p_values: list[float]) -> np.ndarray:
    """Correct by Holm: the n-th smallest of N counts N - n + 1 times, and no less than those before it."""
    order = np.argsort(p_values)
    scaled = np.array(p_values)[order] * np.arange(len(p_values), 0, -1)
    corrected = np.empty(len(p_values))
    corrected[order] = np.minimum(1, np.maximum.accumulate(scaled))
    return corrected


def test_every_number_of_the_rows(report: tuple[Path, Path]) -> None:
    grid, out = report
    runs = read_grid(grid)
    table = pd.read_csv(out / "table.csv").dropna(subset="experiment").set_index("experiment")
    page, markdown = ((out / name).read_text(encoding="utf-8") for name in ("report.html", "table.md"))

    assert sorted(table.index) == sorted(POLICIES)
    best = runs.groupby("experiment")["test/acc"].mean().idxmax()
    others = [name for name in POLICIES if name != best]
    seeds = {name: runs[runs["experiment"] == name].sort_values("seed") for name in POLICIES}
    accuracies = {name: seeds[name]["test/acc"].to_numpy() for name in POLICIES}
    p_values = adjust([stats.ttest_rel(accuracies[best], accuracies[name]).pvalue for name in others])
    np.testing.assert_allclose(table.loc[others, "p_value"], p_values, rtol=1e-9)
    ties = {name for name, p_value in zip(others, p_values, strict=True) if p_value >= 0.05}
    assert 0 < len(ties) < 3  # the grid has both kinds
    marks = {name: "tie" if name in ties | {best} else "" for name in POLICIES}
    assert table["mark"].fillna("").to_dict() == marks

    for name, metric in itertools.product(POLICIES, METRICS):
        values, row = seeds[name][metric], table.loc[name]
        low, high = stats.t.interval(0.95, 2, loc=values.mean(), scale=values.std() / math.sqrt(3))
        found = [row[metric], row[f"{metric} std"], row[f"{metric} low"], row[f"{metric} high"]]
        np.testing.assert_allclose(found, [values.mean(), values.std(), low, high], rtol=1e-9)
        assert (row["n"], row["seeds"], row[f"{metric} interval"]) == (3, "0 1 2", "t")
        if metric.endswith("acc"):
            text = f"{100 * values.mean():.2f} ± {100 * values.std():.2f}"
            assert text in page
            assert text in markdown
        if metric == "test/acc":
            interval = f"[{100 * low:.2f}, {100 * high:.2f}]"
            assert f"<small>{interval}</small>" in page
            assert f"{text} {interval}" in markdown


def test_every_number_of_the_runs(report: tuple[Path, Path]) -> None:
    grid, out = report
    runs = read_grid(grid).set_index("directory")
    table = pd.read_csv(out / "runs.csv").set_index("directory")
    page, markdown = ((out / name).read_text(encoding="utf-8") for name in ("report.html", "table.md"))

    assert sorted(table.index) == sorted(runs.index)
    best = runs.groupby("experiment")["test/acc"].mean().idxmax()
    rivals = runs[runs["experiment"] == best].set_index("seed")["right"]
    compared = runs[runs["experiment"] != best]
    raw = []
    for run in compared.itertuples():
        wins, losses = (rivals[run.seed] & ~run.right).sum(), (~rivals[run.seed] & run.right).sum()
        raw.append(stats.binomtest(wins, wins + losses).pvalue)
    np.testing.assert_allclose(table.loc[compared.index, "mcnemar_p"], adjust(raw), rtol=1e-9)
    assert table.drop(compared.index)["mcnemar_p"].isna().all()

    for directory, run in runs.iterrows():
        row = table.loc[directory]
        wilson = stats.binomtest(int(run["right"].sum()), 300).proportion_ci(0.95, "wilson")
        np.testing.assert_allclose([row["value"], row["low"], row["high"]], [run["test/acc"], *wilson], rtol=1e-9)
        assert (row["seed"], row["status"], row["best_epoch"], row["epochs"]) == (run["seed"], "finished", 3, 6)
        p_value = "\N{EN DASH}" if math.isnan(row["mcnemar_p"]) else f"{row['mcnemar_p']:.2g}"
        texts = [str(run["seed"]), "finished", "3 of 6", "61"]
        texts += [f"{100 * row['value']:.2f} [{100 * row['low']:.2f}, {100 * row['high']:.2f}]", p_value, directory]
        (line,) = [line for line in markdown.splitlines() if f" {directory} " in line and line.startswith("|")]
        assert [text.strip() for text in line.split("|")[2:-1]] == texts
        before, _, _ = page.partition(f">{directory}</td>")
        cells = [*re.findall(r"<td[^>]*>([^<]*)</td>", before.rpartition("<tr")[2]), directory]
        assert [text for text in cells if text] == texts

"""Domain adaptation in the report: made-up runs whose accuracies are chosen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from reporting.fake_runs import rows, write_run

from labs.drawing import curves as figures
from labs.practicals import sheet_of
from labs.practicals.dann.observations import _off, observations
from labs.reporting import comparison
from labs.reporting.comparison import Curve, comparison_png
from labs.reporting.find import find_runs
from labs.reporting.published import load_published
from labs.reporting.statistics import wilson_interval
from labs.reporting.tables import Table, build_tables
from labs.reporting.texts import published_caption
from labs.reporting.write import write_report

CHOICES = {
    "datamodule": "domains", "module": "dann", "net": "dann_mnist", "weights": "random", "optimizer": "sgd_dann",
    "scheduler": "inverse_decay", "reversal": "schedule", "callbacks": "domains",
}  # fmt: skip
EXPERIMENTS: dict[str, dict[str, str]] = {
    "dann_source_only": {"reversal": "none"},
    "dann_no_reversal": {"reversal": "removed"},
    "dann_mnistm": {},
    "dann_target_only": {"reversal": "none"},
    "cdan_mnistm": {"module": "cdan"},
    "pseudo_label_mnistm": {"module": "pseudo_label", "reversal": "none"},
}
EPOCHS = 4
PANELS = sheet_of("dann").panels


def domain_log() -> pd.DataFrame:
    epochs = np.arange(1, EPOCHS + 1)
    return pd.DataFrame(
        {
            "epoch": epochs,
            "seconds": 1.0 * epochs,
            "lr": 0.01 / epochs,
            "train/labeled_acc": epochs / 4,
            "train/lambda": epochs / 4,
            "val/oracle_target_acc": epochs / 8,
            "val/source_acc": epochs / 5,
            "val/domain_acc": 0.6,
            "train/label_loss": 1.0 / epochs,
        }
    )


def adapt(
    folder: Path,
    experiment: str,
    target: float,
    source: float = 0.9,
    domain: float = 0.7,
    seed: int = 0,
    chosen: dict[str, float] | None = None,
    more: dict[str, float] | None = None,
    **changes: Any,
) -> None:
    """Write a run; `chosen` are target accuracies by the name of a criterion."""
    log = domain_log()
    metrics = {
        **{name: float(value) for name, value in log.iloc[-1].items() if "/" in str(name)},
        "test/target_acc": target,
        "test/source_acc": source,
        "test/domain_acc": domain,
        **{f"test/target_acc_by_{name}": value for name, value in (chosen or {}).items()},
        **(more or {}),
    }
    choices = {**CHOICES, **EXPERIMENTS[experiment], **changes.pop("choices", {})}
    labels = ["embedded data", *(["trained on target labels"] if experiment == "dann_target_only" else [])]
    counts = {"train source": 90, "test source": 300, "test target": 300, "test": 300}
    name = f"{experiment}_{seed}_{len(list(folder.glob('*')))}"
    record = {"practical": "dann", "metrics": metrics, "labels": labels, "counts": counts, "best_epoch": None}
    write_run(folder / name, experiment, seed=seed, log=log, choices=choices, **{**record, **changes})


def test_an_interval_is_that_of_the_metrics_own_images(tmp_path: Path) -> None:
    """The target has 596 test images, the source another number; of both together there is no interval."""
    counts = {"test source": 40, "test target": 596, "test": 596}
    adapt(tmp_path, "dann_mnistm", 0.5, 0.5, 0.5, chosen={"oracle": 0.5}, counts=counts)

    (row,) = [row for row in table(tmp_path).rows if row.runs]

    for name, images in {"test/target_acc": 596, "test/source_acc": 40}.items():
        estimate = row.estimates[name]
        assert (estimate.low, estimate.high) == wilson_interval(images // 2, images)
    assert row.estimates["test/domain_acc"].interval == ""


def bounds(folder: Path, seeds: int = 3, **changes: Any) -> None:
    """Write source only (50, 51, 52 %) and target only (90, 91, 92 %)."""
    for seed in range(seeds):
        adapt(folder, "dann_source_only", 0.50 + seed / 100, 0.95, seed=seed, **changes)
        adapt(folder, "dann_target_only", 0.90 + seed / 100, 0.80, seed=seed, **changes)


def table(folder: Path) -> Table:
    (one,) = build_tables(find_runs([folder]))
    return one


def said(folder: Path, words: str) -> str:
    """Return the one observation that begins with, or has, the words."""
    (found,) = [note for note in observations(rows(folder)) if words in note]
    return found


def test_three_modules_share_a_table_in_the_order_of_the_hand_out(tmp_path: Path) -> None:
    for experiment in reversed(EXPERIMENTS):
        adapt(tmp_path, experiment, 0.5)

    one = table(tmp_path)

    assert [row.title for row in one.rows] == [
        "Source only [dann_source_only]", "Without the reversal [dann_no_reversal]", "DANN [dann_mnistm]",
        "Target only [dann_target_only]", "cdan_mnistm", "pseudo_label_mnistm",
    ]  # fmt: skip
    assert one.sheet.title == "Domain adaptation"
    assert one.rows[3].labels == ("embedded data", "trained on target labels")
    assert one.ranked is not None
    assert one.ranked.key == "test/target_acc"
    assert "hand-out 002, 2-c, prints no numbers" in published_caption(one)
    assert "The last epoch was tested." in one.caption
    groups = list(dict.fromkeys(column.group for column in one.columns))
    assert groups == ["Last epoch", "Chosen without target labels", "Chosen with target labels (oracle)", ""]
    assert [column.title for column in one.columns if "oracle" in column.key] == ["by target validation (%)"]


def test_the_published_numbers_are_the_papers(tmp_path: Path) -> None:
    published = load_published(sheet_of("dann"))
    assert published is not None
    numbers = {row.name: row.values.get("test/target_acc") for row in published.rows}
    assert numbers == {"Source only": 0.5225, "Without the reversal": None, "DANN": 0.7666, "Target only": 0.9596}
    assert published.source.startswith("Y. Ganin et al., JMLR 2016")

    adapt(tmp_path, "dann_mnistm", 0.5)
    page, _ = write_report([tmp_path], tmp_path / "report")

    assert ">76.66<" in page.read_text(encoding="utf-8")
    assert [row.status for row in table(tmp_path).rows] == ["not run", "not run", "finished", "not run"]


def test_rows_of_the_grid_are_told_apart_by_their_lambda(tmp_path: Path) -> None:
    for reversal in ("schedule", "constant"):
        for weight in (0.3, 1.0):
            overrides = f"reversal={reversal} module.reversal.weight={weight}"
            adapt(tmp_path, "dann_mnistm", 0.5, choices={"reversal": reversal}, overrides=overrides)

    names = [row.name for row in table(tmp_path).rows if row.runs]

    assert names == [
        "DANN [dann_mnistm]",
        "dann_mnistm, reversal=schedule, module.reversal.weight=0.3",
        "dann_mnistm, reversal=constant, module.reversal.weight=0.3",
        "dann_mnistm, reversal=constant, module.reversal.weight=1.0",
    ], "only one of them repeats what was published"


def test_pseudo_labels_have_columns_where_a_run_has_them(tmp_path: Path) -> None:
    adapt(tmp_path, "dann_mnistm", 0.5)
    assert not [column for column in table(tmp_path).columns if "pseudo" in column.key]

    adapt(tmp_path, "pseudo_label_mnistm", 0.5, more={"test/pseudo_share": 0.4, "test/pseudo_precision": 0.75})

    one = table(tmp_path)
    assert [c.title for c in one.columns if "pseudo" in c.key] == ["share (%)", "precision (%)"]
    (row,) = [row for row in one.rows if row.experiment == "pseudo_label_mnistm"]
    assert row.estimates["test/pseudo_precision"].mean == 0.75


def test_what_adaptation_gained(tmp_path: Path) -> None:
    bounds(tmp_path)
    for seed, share in enumerate((0.25, 0.5, 0.75)):
        adapt(tmp_path, "dann_mnistm", 0.50 + seed / 100 + 0.4 * share, seed=seed)
    adapt(tmp_path, "dann_mnistm", 0.1, seed=7)  # the bounds lack it

    told = said(tmp_path, "closes")

    assert told == (
        "DANN [dann_mnistm] closes 50.0 ± 25.0 % of the gap between source only and target only (3 seeds, 25.0 to "
        "75.0): target accuracy 71.0 % between 51.0 % and 91.0 %."
    )
    assert not [note for note in observations(rows(tmp_path)) if "No run of" in note]


def test_without_a_gap_there_is_none_to_close(tmp_path: Path) -> None:
    adapt(tmp_path, "dann_source_only", 0.6)
    adapt(tmp_path, "dann_target_only", 0.5)
    adapt(tmp_path, "dann_mnistm", 0.7)

    assert "no gap to close" in said(tmp_path, "DANN [dann_mnistm]: target only")


@pytest.mark.parametrize(
    ("source", "verdict"),
    [((0.93, 0.92, 0.91), "holds (3 of 3 seeds)"), ((0.99, 0.98, 0.98), "does not hold (0 of 3 seeds)"),
     ((0.94, 0.97, 0.95), "undecided (1 of 3 seeds)"), ((0.9,), "undecided (one seed only)")],
)  # fmt: skip
def test_what_adaptation_cost_on_the_source(tmp_path: Path, source: tuple[float, ...], verdict: str) -> None:
    bounds(tmp_path)
    for seed, value in enumerate(source):
        adapt(tmp_path, "cdan_mnistm", 0.7, value, seed=seed)

    told = said(tmp_path, "costs accuracy on the source")

    assert f"costs accuracy on the source: {verdict}: {100 * np.mean(source):.1f} % against 95.0 %" in told
    assert f"{100 * (np.mean(source) - 0.95):+.1f}" in told


@pytest.mark.parametrize(("target", "domain", "verdict"), [(0.3, 0.99, "holds"), (0.8, 0.5, "does not hold")])
def test_what_the_hand_out_expects_without_the_reversal(
    tmp_path: Path, target: float, domain: float, verdict: str
) -> None:
    bounds(tmp_path)
    for seed in range(3):
        adapt(tmp_path, "dann_mnistm", 0.7, 0.9, 0.6, seed=seed)
        adapt(tmp_path, "dann_no_reversal", target, 0.9, domain, seed=seed)

    notes = [note for note in observations(rows(tmp_path)) if note.startswith("Without the reversal")]

    assert [f"{verdict} (" in note for note in notes] == [True, True, True, False]
    assert "target accuracy is lower than of source only" in notes[0]
    assert f"domain accuracy (%) {100 * domain:g} ({100 * domain:g} to {100 * domain:g}) in dann_no" in notes[2]
    assert "undecided" in notes[3]
    assert not any("dann_no_reversal" in note and "closes" in note for note in observations(rows(tmp_path)))


def test_which_choice_needs_no_target_labels(tmp_path: Path) -> None:
    for seed, off in enumerate((0.01, 0.03)):
        chosen = {"source_acc": 0.8 - off, "target_entropy": 0.7, "target_density": 0.81, "oracle": 0.8}
        adapt(tmp_path, "dann_mnistm", 0.75, chosen=chosen, seed=seed)
        adapt(tmp_path, "dann_source_only", 0.1, chosen={**chosen, "oracle": 0.99}, seed=seed)  # does not adapt

    assert said(tmp_path, "Nearest to the oracle") == (
        "Nearest to the oracle without target labels: by soft neighborhood density. Points below it (2 adapting runs, "
        "on average): by soft neighborhood density -1.0 (at most -1.0), by source validation 2.0 (at most 3.0), "
        "the last epoch 5.0 (at most 5.0), by entropy 10.0 (at most 10.0)."
    )
    assert _off([0.5]) == "0.5"


def test_a_bound_that_was_not_run_has_a_command(tmp_path: Path) -> None:
    for seed in (3, 5):
        adapt(tmp_path, "dann_mnistm", 0.7, seed=seed, overrides="trainer.max_epochs=4 module.reversal.weight=0.3")
    bounds(tmp_path)  # with other settings

    notes = [note for note in observations(rows(tmp_path)) if note.startswith("No run of")]

    assert notes == [
        f"No run of {words} with the same settings: python train.py -m experiment={experiment} seed=3,5 "
        "trainer.max_epochs=4 data=embedded"
        for words, experiment in (("source only", "dann_source_only"), ("target only", "dann_target_only"))
    ]
    bounds(tmp_path, 6, overrides="trainer.max_epochs=4")
    notes = observations(rows(tmp_path))
    assert not [note for note in notes if note.startswith("No run of")]
    assert [note for note in notes if "closes" in note], "the weight of the reversal is the method's own"


def test_runs_that_lack_metrics_have_a_table_without_observations(tmp_path: Path) -> None:
    adapt(tmp_path, "dann_source_only", 0.5, metrics={})
    adapt(tmp_path, "dann_target_only", 0.5, metrics={})

    assert observations(rows(tmp_path)) == []
    assert len(table(tmp_path).rows) == 4
    write_report([tmp_path], tmp_path / "report")


def test_headings_of_groups_stand_over_their_columns(tmp_path: Path) -> None:
    adapt(tmp_path, "dann_mnistm", 0.5)

    page, _ = write_report([tmp_path], tmp_path / "report")

    groups = page.read_text().split("<thead>")[1].split("</tr>")[0]
    widths = [part.split('"')[0] for part in groups.split('colspan="')[1:]]
    assert widths == ["2", "3", "3", "1", "1"], "the first stands over the names and the numbers of seeds"


def test_curves_of_a_run_are_named_and_in_percent() -> None:
    figure, lines = figures._run_figure(domain_log(), "a run", [], PANELS)

    assert [axes.get_title() for axes in figure.axes if axes.axison] == [
        "target accuracy (%), an oracle", "source accuracy (%)", "accuracy on labeled images (%)",
        "domain accuracy (%), 50 by chance", "label loss", "lambda, weight of the reversal", "learning rate",
    ]  # fmt: skip
    np.testing.assert_allclose(lines[0].get_ydata(), [12.5, 25, 37.5, 50])
    np.testing.assert_allclose(lines[-1].get_ydata(), 0.01 / np.arange(1, 5))
    assert figure.axes[0].get_ylim() == (0, 102)


def test_a_learning_rate_that_stays_has_no_curve() -> None:
    for log in (domain_log().assign(lr=0.1), domain_log()[["epoch", "lr"]]):
        assert figures.LEARNING_RATE not in figures.columns_of_panels([log], PANELS)


def test_curves_of_a_table_leave_no_hole_for_what_is_not_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []
    new_figure = figures.new_figure
    monkeypatch.setattr(comparison, "new_figure", lambda *given: made.append(new_figure(*given)) or made[-1])

    assert comparison_png([Curve("a", "a", (domain_log(),))], "", [], PANELS) is not None
    paired = domain_log().assign(**{"val/label_loss": 1.0})
    assert comparison_png([Curve("a", "a", (paired,))], "", [], PANELS) is not None

    titles = [[axes.get_title() for axes in figure.axes if axes.axison] for figure, _ in made]
    assert titles[0][:2] == ["validation target accuracy (%), an oracle", "validation source accuracy (%)"]
    assert titles[0][-2:] == ["training lambda, weight of the reversal", "learning rate"]
    assert titles[1][:2] == ["training label loss", "validation label loss"], "side by side"
    assert [len(panels[0]) for _, panels in made] == [3, 2]


def test_runs_that_start_from_another_run_are_one_row_whatever_its_seed(tmp_path: Path) -> None:
    for seed in (0, 1):
        write_run(
            tmp_path / str(seed), "pseudo_label_tuned", practical="dann", seed=seed, log=domain_log(),
            settings={"module.net.weights": "a run of dann_tuned"},  # type: ignore[dict-item]
            choices={**CHOICES, "module": "pseudo_label"}, overrides=f"module.net.weights=outputs/{seed}",
        )  # fmt: skip
    (row,) = [row for row in rows(tmp_path) if row.runs]
    assert row.seeds == [0, 1]
    assert row.runs[0].overrides == {"module.net.weights": "a run of dann_tuned"}

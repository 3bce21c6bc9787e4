import math
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fake_runs import POLICIES, make_log, write_run
from PIL import Image
from scipy import stats

from labs import LabsError, practicals
from labs.practicals import CURVES, Column, Plot, Sheet, sheet_of
from labs.reporting.find import find_runs
from labs.reporting.markdown import to_markdown
from labs.reporting.published import PublishedTable, load_published
from labs.reporting.row import Row
from labs.reporting.tables import Table, build_tables
from labs.reporting.texts import commands, published_caption
from labs.reporting.write import write_report


def build(path: Path, rank_by: str | None = None) -> list[Table]:
    return build_tables(find_runs([path]), rank_by)


def published_of_cub() -> PublishedTable:
    table = load_published(sheet_of("cub"))
    assert table is not None
    return table


def row_of(table: Table, words: str) -> Row:
    (row,) = [row for row in table.rows if words in row.experiment]
    return row


def test_a_run_becomes_the_row_of_the_hand_out(tmp_path: Path) -> None:
    log = make_log((0.2, 0.9, 1.0, 0.8, 1.0))
    write_run(tmp_path / "a", choices={"normalization": "imagenet"}, test_acc=0.4, log=log, epochs=5)

    (table,) = build(tmp_path)

    row = row_of(table, "cub_layer1_frozen")
    means = {key: estimate.mean for key, estimate in row.estimates.items()}
    # the maximum is reached at epoch 3 first; the loss is that epoch's
    assert means == pytest.approx({"train/acc": 1.0, "train/loss": 4 / 3, "erm": 3, "test/acc": 0.4, "test/loss": 1.6})
    expected = stats.binomtest(120, 300).proportion_ci(method="wilson")
    assert (row.estimates["test/acc"].low, row.estimates["test/acc"].high) == (expected.low, expected.high)
    assert row.published is not None
    assert row.published.name == "Freezing layer1 parameters (ImageNet)"
    assert row.published.values["test/acc"] == 0.2293


def test_rows_stand_in_the_hand_outs_order_and_what_is_missing_is_shown(tmp_path: Path) -> None:
    write_run(tmp_path / "0", "cub_stem_frozen", choices={"freeze": "stem"})
    for place, experiment in enumerate(reversed(POLICIES)):
        for normalization in ("imagenet", "dataset"):
            if (experiment, normalization) != ("cub_conv_frozen", "dataset"):
                choices = {"normalization": normalization}
                write_run(tmp_path / f"{place}_{normalization}", experiment, choices=choices)

    (table,) = build(tmp_path)

    published = [row.name for row in published_of_cub().rows]
    assert [row.published.name for row in table.rows[:8] if row.published] == published
    assert [row.status for row in table.rows] == ["finished"] * 2 + ["not run"] + ["finished"] * 6
    assert table.rows[2].notes == ["not run"]
    assert not table.rows[2].estimates
    assert table.rows[8].title == "cub_stem_frozen"
    assert table.rows[8].published is None


@pytest.mark.parametrize(
    ("typed", "choices", "shown"),
    [
        ("callbacks.freeze.patterns=[layer1,layer2]", {}, "callbacks.freeze.patterns=[layer1,layer2]"),
        ("trainer.max_epochs=2", {}, "trainer.max_epochs=2"),
        ("+module.x=1", {}, "module.x=1"),
        ("~callbacks.best", {}, "~callbacks.best"),
        ("augment=crop_flip", {"augment": "crop_flip"}, "augment=crop_flip"),
        ("net=resnet34", {"net": "resnet34"}, "net=resnet34"),
        ("debug=batches", {"debug": "batches"}, "debug=batches"),
    ],
)
def test_a_changed_recipe_is_no_row_of_the_hand_out(
    tmp_path: Path, typed: str, choices: dict[str, str], shown: str
) -> None:
    write_run(tmp_path / "own", "cub_full", test_acc=0.4)
    write_run(tmp_path / "changed", "cub_full", test_acc=0.6, overrides=typed, choices=choices)

    (table,) = build(tmp_path)
    (alone,) = build(tmp_path / "changed")

    own, changed = [row for row in table.rows if row.runs]
    assert own.published is not None
    assert changed.published is None
    assert changed.name == next(row for row in alone.rows if row.runs).name == f"cub_full, {shown}"
    told = [note for note in table.footnotes if note.startswith("The same in every row")]
    assert "freeze=none" not in str(told) or "freeze" not in typed


@pytest.mark.parametrize("typed", ["trainer=gpu", "trainer.devices=1", "logger=none", "paths.data=/scratch", "grid=x"])
def test_what_changes_no_number_leaves_the_row_of_the_hand_out(tmp_path: Path, typed: str) -> None:
    write_run(tmp_path / "own", "cub_full", overrides=typed, choices={"trainer": "gpu"})

    (table,) = build(tmp_path)

    assert [row.published is not None for row in table.rows if row.runs] == [True]


def test_the_settings_in_which_ranked_rows_differ_are_named(tmp_path: Path) -> None:
    for epochs in (2, 30):
        settings = {"trainer.max_epochs": epochs, "module.optimizer.lr": 0.1}
        write_run(tmp_path / str(epochs), "cub_full", settings=settings, overrides=f"trainer.max_epochs={epochs}")

    (table,) = build(tmp_path)

    assert "The ranked rows differ in max epochs (2, 30)." in table.footnotes


def test_seeds_are_averaged_as_pandas_and_scipy_do(tmp_path: Path) -> None:
    values = [0.50, 0.56, 0.53]
    for seed, value in enumerate(values):
        write_run(tmp_path / str(seed), seed=seed, test_acc=value, log=make_log(shift=seed))

    (table,) = build(tmp_path)

    row = row_of(table, "cub_layer1_frozen")
    estimate = row.estimates["test/acc"]
    series = pd.Series(values)
    expected = stats.t.interval(0.95, 2, loc=series.mean(), scale=series.std() / math.sqrt(3))
    assert (estimate.mean, estimate.std) == pytest.approx((series.mean(), series.std()))
    assert (estimate.low, estimate.high) == pytest.approx(expected)
    assert row.seeds == [0, 1, 2]
    assert row.estimates["train/loss"].mean == pytest.approx(4 / 3 + 1)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"choices": {"precision": "fp32"}}, {"choices": {"precision": "bf16"}}),
        ({"choices": {"net": "resnet18"}}, {"choices": {"net": "resnet34"}}),
        ({"choices": {"freeze": "layer1"}}, {"choices": {"freeze": "backbone"}}),
        ({"overrides": "optimizer.lr=0.1"}, {"overrides": "optimizer.lr=0.01"}),
        ({"overrides": ""}, {"overrides": "trainer.max_epochs=50"}),
        ({"counts": {"test": 300}}, {"counts": {"test": 3000}}),
        ({"settings": {"datamodule.batch_size": 68}}, {"settings": {"datamodule.batch_size": 32}}),
        ({"labels": []}, {"labels": ["selected on test"]}),
    ],
)
def test_two_recipes_are_never_averaged_and_their_names_differ(tmp_path: Path, first: dict, second: dict) -> None:
    write_run(tmp_path / "a", seed=0, **first)
    write_run(tmp_path / "b", seed=1, **second)

    (table,) = build(tmp_path)

    rows = [row for row in table.rows if row.runs]
    assert [len(row.runs) for row in rows] == [1, 1]
    assert len({(row.name, row.labels) for row in rows}) == 2


def test_a_choice_that_differs_stands_in_the_name(tmp_path: Path) -> None:
    write_run(tmp_path / "a")
    write_run(tmp_path / "b", choices={"precision": "bf16"})
    write_run(tmp_path / "c", choices={"freeze": "backbone"})

    (table,) = build(tmp_path)

    names = [row.name for row in table.rows if row.runs]
    assert names[:2] == [
        "Freezing layer1 parameters [cub_layer1_frozen], precision=fp32",
        "Freezing layer1 parameters [cub_layer1_frozen], precision=bf16",
    ]
    assert names[2] == "cub_layer1_frozen, freeze=backbone, precision=fp32"  # not the hand-out's policy any more


def test_weights_of_two_names_are_told_apart_under_the_hand_outs_words(tmp_path: Path) -> None:
    write_run(tmp_path / "a")
    write_run(tmp_path / "b", choices={"weights": "imagenet"})
    write_run(tmp_path / "c", "cub_scratch")

    (table,) = build(tmp_path)

    assert [row.name for row in table.rows if row.runs] == [
        "Using default random initialization [cub_scratch]",
        "Freezing layer1 parameters [cub_layer1_frozen], weights=pretrained",
        "Freezing layer1 parameters [cub_layer1_frozen], weights=imagenet",
    ]


def test_long_values_are_cut_and_stay_two(tmp_path: Path) -> None:
    for name in "ab":
        write_run(tmp_path / name, overrides=f"upstream.overrides=[{'augment=crop_flip,' * 5}{name}]")

    names = [row.name for row in build(tmp_path)[0].rows if row.runs]

    assert len(set(names)) == 2
    assert all(len(name) < 150 for name in names)


def test_embedded_and_online_never_meet(tmp_path: Path) -> None:
    write_run(tmp_path / "a", test_acc=0.9)
    write_run(tmp_path / "b", test_acc=0.1, data="online", labels=[], seed=1)

    tables = build(tmp_path)

    assert [(table.data, table.title) for table in tables] == [
        ("embedded", "CUB-200: freezing policy and normalization (embedded data)"),
        ("online", "CUB-200: freezing policy and normalization (real data)"),
    ]
    for table in tables:
        (row,) = [row for row in table.rows if row.runs]
        assert (len(row.runs), row.mark) == (1, "")
        assert ("embedded data" in row.labels) == (table.data == "embedded")


def test_the_same_seed_twice_is_one_sample(tmp_path: Path) -> None:
    import os

    for name, accuracy, time in (("old", 0.2, 1), ("new", 0.6, 2)):
        write_run(tmp_path / name, test_acc=accuracy)
        os.utime(tmp_path / name / "metrics.json", (time, time))

    row = row_of(build(tmp_path)[0], "cub_layer1_frozen")

    assert (row.estimates["test/acc"].n, row.estimates["test/acc"].mean) == (1, 0.6)
    assert row.notes == [f"2 finished runs of seed 0: the newest counts ({tmp_path.name}/new)"]


@pytest.mark.parametrize(
    ("changes", "status", "note"),
    [
        ({"status": "failed", "error": "CUDA error"}, "failed", "seed 1 failed: CUDA error"),
        ({"status": "interrupted"}, "interrupted", "seed 1 interrupted"),
        ({"status": "running"}, "running", "seed 1 running"),
        ({"metrics": {"test/acc": 2.0}}, "broken", "seed 1 broken: metrics.json: test/acc should"),
    ],
)
def test_a_run_without_numbers_is_told_and_never_averaged(
    tmp_path: Path, changes: dict, status: str, note: str
) -> None:
    write_run(tmp_path / "good", seed=0, test_acc=0.5)
    write_run(tmp_path / "bad", seed=1, test_acc=0.9, **changes)
    write_run(tmp_path / "alone", "cub_full", seed=1, **changes)

    (table,) = build(tmp_path)

    row = row_of(table, "cub_layer1_frozen")
    assert (row.status, row.estimates["test/acc"].mean, row.estimates["test/acc"].n) == ("finished", 0.5, 1)
    assert row.notes[0].startswith(note)
    alone = row_of(table, "cub_full")
    assert (alone.status, alone.estimates) == (status, {})
    assert alone.notes[0].startswith(note)


def test_an_unreadable_run_has_a_table_of_its_own(tmp_path: Path) -> None:
    write_run(tmp_path / "good")
    (tmp_path / "a_bad").mkdir()
    (tmp_path / "a_bad" / "metrics.json").write_text("{")

    tables = build(tmp_path)

    assert [table.title for table in tables][1:] == ["What cannot be read"]
    (row,) = tables[1].rows
    assert (row.title, row.status) == (f"{tmp_path.name}/a_bad", "broken")
    assert "cannot be read" in row.notes[0]


def test_a_metric_that_one_seed_lacks_is_not_averaged(tmp_path: Path) -> None:
    write_run(tmp_path / "a", seed=0)
    write_run(tmp_path / "b", seed=1, metrics={"test/acc": 0.5})

    row = row_of(build(tmp_path)[0], "cub_layer1_frozen")

    assert row.estimates["test/acc"].n == 2
    assert "test/loss" not in row.estimates
    assert "test/loss is missing for seed 1" in row.notes


def test_a_shortened_log_is_a_broken_row(tmp_path: Path) -> None:
    write_run(tmp_path / "a", epochs=15)

    row = row_of(build(tmp_path)[0], "cub_layer1")

    assert row.notes == ["seed 0 broken: metrics.json says 15 epochs, log.tsv has 4"]
    assert not row.estimates


def test_a_failed_run_names_its_traceback_and_its_command(tmp_path: Path) -> None:
    directory = write_run(tmp_path / "grid" / "a", status="failed", error="boom")
    (directory / "traceback.txt").write_text("Traceback ...")

    (table,) = build(tmp_path / "grid")

    assert row_of(table, "cub_layer1").notes == ["seed 0 failed: boom; see grid/a/traceback.txt"]
    command = "python train.py experiment=cub_layer1_frozen normalization=dataset seed=0 data=embedded"
    assert [lines for _, lines in commands(table)] == [[command]]


def test_a_row_says_which_seeds_of_other_rows_it_lacks(tmp_path: Path) -> None:
    write_seeds(tmp_path, "cub_full", [0.70, 0.71, 0.69])
    write_seeds(tmp_path, "cub_scratch", [0.2, 0.21])
    write_run(tmp_path / "conv_0", "cub_conv_frozen", seed=0)
    write_run(tmp_path / "conv_1", "cub_conv_frozen", seed=1, status="failed")

    (table,) = build(tmp_path)

    assert "no run of seed 2, which other rows have" in row_of(table, "scratch").notes
    assert row_of(table, "conv").notes[-2:] == ["seed 1 failed", "no run of seed 2, which other rows have"]
    assert not any("no run of" in note for note in row_of(table, "cub_full").notes)


def test_seeds_of_different_lengths_are_told(tmp_path: Path) -> None:
    write_run(tmp_path / "a", seed=0)
    write_run(tmp_path / "b", seed=1, log=make_log((0.2, 0.9, 1.0)))

    row = row_of(build(tmp_path)[0], "cub_layer1")

    assert row.notes == ["the seeds ran different numbers of epochs: 4 (seed 0), 3 (seed 1)"]


def test_rows_of_different_datasets_are_not_compared(tmp_path: Path) -> None:
    write_run(tmp_path / "a", "mine", test_acc=0.9, practical="other")
    write_run(tmp_path / "b", "mine", test_acc=0.1, practical="other", choices={"datamodule": "digits"})

    (table,) = build(tmp_path)

    assert [row.name for row in table.rows] == ["mine, datamodule=cub200", "mine, datamodule=digits"]
    assert [row.mark for row in table.rows] == ["", ""]


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ([{}, {}], "selected on validation images, separate from the test images (max val/acc)."),
        ([{"best_epoch": None}, {"best_epoch": None}], "The last epoch was tested."),
        ([{}, {"best_epoch": None}], "(max val/acc). Where nothing was monitored, the last epoch was tested."),
        ([{"labels": ["selected on test"]}] * 2, "selected on the test images themselves (max val/acc)."),
        ([{}, {"labels": ["selected on test"]}], "except in rows labeled 'selected on test'."),
    ],
)
def test_the_caption_says_how_the_epoch_was_selected(tmp_path: Path, changes: list[dict], rule: str) -> None:
    for place, change in enumerate(changes):
        log = make_log((0.2, 0.9, 1.0))  # the third epoch is the last
        write_run(tmp_path / str(place), ("cub_full", "cub_scratch")[place], log=log, **change)

    assert rule in build(tmp_path)[0].caption


def test_nothing_is_said_of_epochs_where_nothing_was_trained(tmp_path: Path) -> None:
    write_run(tmp_path / "run", "mine", practical="other", best_epoch=None, epochs=None)
    assert "epoch" not in build(tmp_path)[0].caption


def test_an_unknown_practical_gets_every_metric(tmp_path: Path) -> None:
    metrics = {"fid": 12.0, "test/label_acc": 0.97, "val/fid": 14.0}
    write_run(tmp_path / "a", "vae_mnist", practical="vae", metrics=metrics, choices={"module": "vae"})
    write_run(tmp_path / "b")

    table = next(table for table in build(tmp_path) if table.practical == "vae")

    assert table.title == "Practical vae (embedded data)"
    assert [column.key for column in table.columns] == ["val/fid", "test/label_acc", "fid"]
    assert [column.better for column in table.columns] == ["neither", "higher", "neither"]
    assert [row.title for row in table.rows] == ["vae_mnist"]


def test_tables_of_one_practical_have_names_of_their_own(tmp_path: Path) -> None:
    write_run(tmp_path / "a")
    write_run(tmp_path / "b", "cub_probe", choices={"module": "svm"})  # a new method and its baseline share a table
    write_run(tmp_path / "c", "other", practical="../x y")
    write_run(tmp_path / "d", "other", practical="..-x-y")

    assert [table.slug for table in build(tmp_path)] == ["cub_embedded", "---x-y_embedded", "---x-y_embedded_2"]


def test_a_new_practical_is_one_sheet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Plug in a practical with a figure of its own, drawn from its runs, and a sheet of pictures."""

    def steps(rows: Sequence[Row], title: str) -> bytes:
        return f"{title}: {[run.seed for row in rows for run in row.runs]}".encode()

    sheet = Sheet(
        title="Style",
        leads="test/loss",
        columns=(Column("test/loss", "loss", "lower"),),
        plots=(Plot("steps", "Steps", "Loss by step.", steps), CURVES),
        pictures=("content.png", "images/step_*.png"),
    )
    monkeypatch.setitem(practicals.sheets(), "nst", sheet)
    for seed in range(2):
        run = write_run(
            tmp_path / "a" / str(seed), "nst_a", seed=seed, practical="nst", choices={"module": "style"}, picture=True
        )
        (run / "images").mkdir()
        for name in ("images/step_2.png", "images/step_1.png", "content.png", "images/other.png"):
            Image.new("RGB", (8, 8)).save(run / name)

    page, tables = write_report([tmp_path / "a"], tmp_path / "out")
    markdown = to_markdown(tables)

    assert markdown.startswith("## Style (embedded data)")
    assert "| 1.500 ± 0 " in markdown
    assert (tmp_path / "out" / "steps.png").read_bytes() == b"Style: [0, 1]"
    assert (tmp_path / "out" / "curves.png").is_file()
    text = page.read_text(encoding="utf-8")
    assert "Loss by step." in text
    shown = re.findall(r"<figcaption>nst_a, seed (\d), embedded data, ([^<]*)</figcaption>", text)
    assert shown == [  # of the first seed of the only row
        ("0", name) for name in ("content.png", "images/step_1.png", "images/step_2.png")
    ]


def test_digits_have_the_table_of_fine_tuning(tmp_path: Path) -> None:
    write_run(tmp_path / "a", "digits_full", practical="digits", test_acc=0.4)

    (table,) = build(tmp_path)

    assert table.title == "Handwritten digits: the quick start (embedded data)"
    assert [column.key for column in table.columns] == [
        "train/acc",
        "train/loss",
        "erm",
        "test/acc",
        "test/loss",
    ]
    assert table.rows[0].estimates["erm"].mean == 3
    assert table.published is None


def test_footnotes_say_what_differs_from_the_hand_out(tmp_path: Path) -> None:
    write_run(tmp_path / "a", settings={"datamodule.batch_size": 32, "module.optimizer.lr": 0.1})

    (table,) = build(tmp_path)

    (line,) = [note for note in table.footnotes if note.startswith("Differs from the hand-out")]
    assert "the data is embedded" in line
    assert "epochs 4 instead of 31" in line
    assert "batch size 32 instead of 68" in line
    assert "lr" not in line  # the same
    assert "the epoch is selected on validation images, not on the test images" in line
    assert "240 images for training, 60 for validation and 300 for the test instead of 3033 and 3000" in line
    assert "hand-out 000" in published_caption(table)
    assert "Table 4" in published_caption(table)


def test_ranking_by_an_unknown_column_lists_the_known(tmp_path: Path) -> None:
    write_run(tmp_path / "a")

    with pytest.raises(LabsError, match=r"no table has a column 'test/f1'.*erm, test/acc, test/loss"):
        build(tmp_path, "test/f1")


def write_seeds(path: Path, experiment: str, values: list[float], **changes: object) -> None:
    for seed, value in enumerate(values):
        write_run(path / f"{experiment}_{seed}", experiment, seed=seed, test_acc=value, **changes)  # type: ignore[arg-type]


def test_a_clear_winner_over_seeds_is_best(tmp_path: Path) -> None:
    write_seeds(tmp_path, "cub_full", [0.70, 0.71, 0.69])
    write_seeds(tmp_path, "cub_scratch", [0.20, 0.22, 0.19])

    (table,) = build(tmp_path)

    best, worse = row_of(table, "cub_full"), row_of(table, "cub_scratch")
    assert (best.mark, worse.mark) == ("best", "")
    assert worse.p_value == pytest.approx(stats.ttest_rel([0.70, 0.71, 0.69], [0.20, 0.22, 0.19]).pvalue)
    assert best.notes == ["highest test/acc"]


def test_a_tie_has_no_winner(tmp_path: Path) -> None:
    write_seeds(tmp_path, "cub_full", [0.70, 0.60, 0.65])
    write_seeds(tmp_path, "cub_layer1_frozen", [0.62, 0.67, 0.64])
    write_seeds(tmp_path, "cub_scratch", [0.20, 0.10, 0.17])

    (table,) = build(tmp_path)

    assert [row_of(table, name).mark for name in ("cub_full", "layer1", "scratch")] == ["tie", "tie", ""]
    best = [0.70, 0.60, 0.65]
    # Holm: the larger of two p-values stands as it is, the smaller counts twice
    assert row_of(table, "layer1").p_value == pytest.approx(stats.ttest_rel(best, [0.62, 0.67, 0.64]).pvalue)
    assert row_of(table, "scratch").p_value == pytest.approx(2 * stats.ttest_rel(best, [0.20, 0.10, 0.17]).pvalue)
    assert "but a tie with 1 other row" in row_of(table, "cub_full").notes[0]


def test_equal_differences_of_all_seeds_are_no_proof(tmp_path: Path) -> None:
    write_seeds(tmp_path, "cub_full", [0.60, 0.70])
    write_seeds(tmp_path, "cub_scratch", [0.59, 0.69])

    (table,) = build(tmp_path)

    assert [row_of(table, name).mark for name in ("cub_full", "cub_scratch")] == ["tie", "tie"]
    assert "95 % intervals overlap" in row_of(table, "cub_scratch").notes[0]


def test_single_runs_are_compared_on_the_same_images(tmp_path: Path) -> None:
    # 180 against 159 of 300: Wilson's intervals overlap, yet on the same images the second never wins
    write_run(tmp_path / "a", "cub_full", correct=np.arange(300) < 180)
    write_run(tmp_path / "b", "cub_scratch", correct=np.arange(300) < 159)

    (table,) = build(tmp_path)

    assert row_of(table, "cub_full").mark == "best"
    assert row_of(table, "cub_scratch").p_value == pytest.approx(2 / 2**21)
    assert row_of(table, "cub_scratch").notes == [
        "below the highest test/acc (McNemar on 300 images, corrected p = 9.5e-07)"
    ]


def test_single_runs_without_predictions_are_compared_by_their_intervals(tmp_path: Path) -> None:
    write_run(tmp_path / "a", "cub_full", test_acc=0.60)
    write_run(tmp_path / "b", "cub_scratch", test_acc=0.53)
    write_run(tmp_path / "c", "cub_conv_frozen", test_acc=0.30)

    (table,) = build(tmp_path)

    assert [row_of(table, name).mark for name in ("cub_full", "scratch", "conv_frozen")] == ["tie", "tie", ""]


def test_a_loss_of_one_run_names_no_winner(tmp_path: Path) -> None:
    write_run(tmp_path / "a", "cub_full", test_acc=0.9)
    write_run(tmp_path / "b", "cub_scratch", test_acc=0.1)

    (table,) = build(tmp_path, "test/loss")

    assert [row_of(table, name).mark for name in ("cub_full", "cub_scratch")] == ["tie", "tie"]
    assert row_of(table, "cub_full").notes[0].startswith("lowest test/loss, but a tie")


def test_a_row_selected_on_test_is_ranked_with_its_like_only(tmp_path: Path) -> None:
    write_run(tmp_path / "a", "cub_full", test_acc=0.95, labels=["embedded data", "selected on test"])
    write_run(tmp_path / "b", "cub_scratch", test_acc=0.10)
    write_run(tmp_path / "c", "cub_layer1_frozen", test_acc=0.60)

    (table,) = build(tmp_path)

    assert [row_of(table, name).mark for name in ("cub_full", "scratch", "layer1")] == ["", "", "best"]


def test_published_tables_hold_the_hand_outs_numbers() -> None:
    table = published_of_cub()

    assert len(table.rows) == 8
    # the percentages are whole numbers of the images of CUB-200 (2010), as far as they were printed
    for row in table.rows:
        for key, images in (("train/acc", 3033), ("test/acc", 3000)):
            correct = row.values[key] * images
            assert abs(correct - round(correct)) < 0.35, (row.name, key)
    assert table.settings == {
        "epochs": 31, "datamodule.batch_size": 68, "module.optimizer.lr": 0.1, "module.optimizer.momentum": 0.9
    }  # fmt: skip

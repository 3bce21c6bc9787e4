"""Style transfer in the report: made-up runs, whose pictures have one colour each and whose numbers are chosen."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from reporting.fake_runs import count, pixels, rows, write_run

from labs.practicals.style_transfer.table_of_pictures import draw_table_of_pictures, observations, read_pictures
from labs.reporting.write import write_report

NAMES = ("cat_hubble", "cat_gravel", "cat_ihc")
WEIGHTS = {"c": (1.0, 8e6), "d": (200.0, 1e6), "e": (1.0, 80.0), "f": (1.0, 80.0), "g": (1.0, 80.0)}
LAYERS = {"f": (["conv_1"], ["conv_1"]), "g": (["conv_1"], ["conv_5"])}
CHOICES = {
    "datamodule": "image_pair",
    "module": "style_transfer",
    "net": "features",
    "optimizer": "lbfgs",
    "style_loss": "tutorial",
    "callbacks": "style_transfer",
}


def write_style_run(
    directory: Path,
    letter: str = "a",
    *,
    content_lost: Sequence[float] = (0.3, 0.3, 0.3),
    style_left: Sequence[float] = (0.4, 0.4, 0.4),
    names: Sequence[str] = NAMES,
    colour: tuple[int, int, int] = (200, 40, 40),
    **changes: Any,
) -> Path:
    """Write a finished run of experiment nst_<letter>: metrics.json, log.tsv, pictures.tsv and its pictures."""
    content_weight, style_weight = WEIGHTS.get(letter, (1.0, 1e6))
    content_layers, style_layers = LAYERS.get(letter, (["conv_4"], ["conv_1", "conv_2"]))
    measured = pd.DataFrame(
        {
            "picture": names,
            "content": content_lost,
            "style": 5 * np.asarray(style_left),
            "content_start": 0.0,
            "style_start": 5.0,
            "content_lost": content_lost,
            "style_left": style_left,
            "ssim": 0.75,
            "rollbacks": 0.0,
        }
    )
    means = measured.mean(numeric_only=True)
    log = pd.DataFrame({"epoch": [1, 2, 3], "seconds": [1.0, 2.0, 3.0], "lr": 1.0, "train/loss": [50.0, 9.0, 7.0]})
    settings = {
        "module.content_weight": content_weight,
        "module.style_weight": style_weight,
        "module.content_layers": content_layers,
        "module.style_layers": style_layers,
        "steps": 30,
    }
    facts = {
        "practical": "style_transfer",
        "best_epoch": None,
        "selected_by": "",
        "counts": {},
        "labels": ["embedded data", "random weights"],
        "metrics": {"train/loss": 7.0, **{f"test/{name}": float(value) for name, value in means.items()}},
        **changes,
    }
    command = facts.pop("overrides", "")
    write_run(directory, f"nst_{letter}", log=log, settings=settings, choices=CHOICES, overrides=command, **facts)
    measured.to_csv(directory / "pictures.tsv", sep="\t", index=False)
    images = directory / "images"
    (images / "inputs").mkdir(parents=True)
    for place, name in enumerate(names):
        plain((colour[0], colour[1], colour[2] + place)).save(images / f"{name}.png")
        plain((10, 10, 250)).save(images / "inputs" / f"{name}-content.png")
        plain((10, 250, 10 + place)).save(images / "inputs" / f"{name}-style.png")
    plain((99, 99, 99)).save(images / "sheet.png")
    return directory


def plain(colour: tuple[int, int, int]) -> Image.Image:
    return Image.new("RGB", (48, 48), colour)


def drawn(folder: Path) -> np.ndarray:
    return pixels(draw_table_of_pictures(rows(folder), "Style transfer"))


# The sheet


def test_the_sheet_has_a_line_a_row(tmp_path: Path) -> None:
    heights = []
    for place, letter in enumerate("abc"):
        write_style_run(tmp_path / letter, letter, colour=(200, 40 + 10 * place, 40))
        sheet = drawn(tmp_path)
        heights.append(len(sheet))
    assert heights[2] - heights[1] == heights[1] - heights[0] > 200
    for place in range(3):
        for column in range(3):
            assert count(sheet, (200, 40 + 10 * place, 40 + column)) > 20_000, "each picture of each row"
            assert count(sheet, (10, 250, 10 + column)) > 20_000, "each style, once above the rows"
    tops = [np.flatnonzero((sheet == (200, 40 + 10 * place, 40)).all(axis=-1).any(axis=1))[0] for place in range(3)]
    assert tops == sorted(tops), "in the order of the table"
    assert count(sheet, (10, 10, 250)) > 20_000, "the content"
    assert (sheet[:60] < 128).all(axis=-1).any(), "a title"


def test_a_wider_run_makes_a_wider_sheet(tmp_path: Path) -> None:
    write_style_run(tmp_path / "one" / "a", names=NAMES[:1], content_lost=[0.3], style_left=[0.4])
    write_style_run(tmp_path / "three" / "a")
    assert drawn(tmp_path / "three").shape[1] - drawn(tmp_path / "one").shape[1] == pytest.approx(2 * 286, abs=2)


def test_rows_of_other_pictures_bring_their_own_styles(tmp_path: Path) -> None:
    write_style_run(tmp_path / "a", "a", names=NAMES[:1], content_lost=[0.3], style_left=[0.4])
    write_style_run(tmp_path / "b", "b", colour=(200, 90, 40))
    sheet = drawn(tmp_path)
    for column in range(3):
        assert count(sheet, (10, 250, 10 + column)) > 20_000
        assert count(sheet, (200, 90, 40 + column)) > 20_000
    assert count(sheet, (200, 40, 40)) > 20_000
    assert count(sheet, (200, 40, 41)) == 0, "what a row has not is left empty"


def test_a_row_of_several_seeds_shows_the_first(tmp_path: Path) -> None:
    for seed in (1, 0, 2):
        write_style_run(tmp_path / str(seed), seed=seed, colour=(200, 40 + seed, 40))
    sheet = drawn(tmp_path)
    assert [count(sheet, (200, 40 + seed, 40)) > 0 for seed in range(3)] == [True, False, False]


def test_without_pictures_there_is_no_sheet(tmp_path: Path) -> None:
    (write_style_run(tmp_path / "a") / "pictures.tsv").unlink()
    write_style_run(tmp_path / "b", "b", status="failed", error="it broke")
    assert draw_table_of_pictures(rows(tmp_path), "Style transfer") is None
    assert observations(rows(tmp_path)) == []


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:60])


def scramble(path: Path) -> None:
    """Say that the chunk of pixels is empty, which Pillow calls a SyntaxError."""
    content = bytearray(path.read_bytes())
    content[content.index(b"IDAT") - 1] = 0
    path.write_bytes(content)


def test_a_picture_that_cannot_be_read_is_said_to_be_so(tmp_path: Path) -> None:
    write_style_run(tmp_path / "a", "a")
    write_style_run(tmp_path / "b", "b", colour=(200, 90, 40))
    intact = drawn(tmp_path)
    pictures = {
        **{(200, green, 40 + place): f"{letter}/images/{NAMES[place]}.png" for letter, green in (("a", 40), ("b", 90))
           for place in range(3)},
        **{(10, 250, 10 + place): f"a/images/inputs/{NAMES[place]}-style.png" for place in range(3)},
    }  # fmt: skip
    damages: dict[tuple[int, int, int], Callable[[Path], object]] = {
        (200, 40, 41): Path.unlink,
        (200, 90, 40): cut,
        (200, 90, 42): scramble,
        (10, 250, 12): lambda path: path.write_text("no picture"),
    }
    for colour, damage in damages.items():
        damage(tmp_path / pictures[colour])
    sheet = drawn(tmp_path)
    assert sheet.shape == intact.shape
    for colour in pictures:
        ys, xs = np.nonzero((intact == colour).all(axis=-1))
        place = sheet[ys.min() : ys.max(), xs.min() : xs.max()]
        if colour in damages:
            assert count(sheet, colour) == 0
            assert 50 < (place < 128).all(axis=-1).sum() < 0.1 * len(ys), "words stand where the picture was"
        else:
            assert (place == colour).all(axis=-1).mean() > 0.95, "the others stay"


def test_numbers_that_cannot_be_read_stop_no_report(tmp_path: Path) -> None:
    for letter in "acd":
        write_style_run(tmp_path / letter, letter, colour=(200, 40 + ord(letter), 40))
    file = tmp_path / "c" / "pictures.tsv"
    good = file.read_text()
    assert [line[0] for line in observations(rows(tmp_path))] == ["C", "C", "D"]
    for bad in ("", "picture\tcontent\ncat_hubble\t0.1\n", "a\tb\n1\t2\n", good.replace("0.4", "much")):
        file.write_text(bad)
        assert [line[0] for line in observations(rows(tmp_path))] == ["D"], repr(bad)
    file.write_bytes(b"\xff\xfe\x00" * 30)
    assert [line[0] for line in observations(rows(tmp_path))] == ["D"]
    sheet = drawn(tmp_path)
    assert [count(sheet, (200, 40 + ord(letter), 40)) > 20_000 for letter in "acd"] == [True, False, True]


# What is read


def test_several_seeds_are_averaged_picture_by_picture(tmp_path: Path) -> None:
    write_style_run(tmp_path / "0", seed=0, content_lost=[0.1, 0.2, 0.3])
    write_style_run(tmp_path / "1", seed=1, content_lost=[0.3, 0.2, 0.9])
    row = next(row for row in rows(tmp_path) if row.runs)
    both, first = read_pictures(row), read_pictures(row, first=True)
    assert both is not None
    assert first is not None
    assert list(both.index) == list(first.index) == list(NAMES)
    assert both["content_lost"].tolist() == pytest.approx([0.2, 0.2, 0.6])
    assert first["content_lost"].tolist() == pytest.approx([0.1, 0.2, 0.3])


def test_a_row_without_runs_has_no_pictures(tmp_path: Path) -> None:
    write_style_run(tmp_path / "a")
    missing = next(row for row in rows(tmp_path) if not row.runs)
    assert read_pictures(missing) is None


# The observations of hand-out 000, section 2.3

HOLDS = {
    "C, a larger style weight brings more of the style": {"c": {"style_left": [0.3, 0.2, 0.1]}},
    "C, a larger style weight costs content": {"c": {"content_lost": [0.4, 0.5, 0.6]}},
    "D, a larger content weight keeps more of the content": {"d": {"content_lost": [0.2, 0.1, 0.0]}},
    "E, a small style weight all but removes the style": {"e": {"style_left": [0.95, 0.99, 1.0]}},
    "F, the first layer alone hardly matters": {"f": {"style_left": [0.95, 0.99, 1.0]}},
    "G, the fifth layer matters more than the first": {
        "f": {"style_left": [0.9, 0.9, 0.9]},
        "g": {"style_left": [0.8, 0.7, 0.6]},
    },
}
FAILS = {
    "C, a larger style weight brings more of the style": {"c": {"style_left": [0.5, 0.4, 0.9]}},
    "C, a larger style weight costs content": {"c": {"content_lost": [0.3, 0.2, 0.1]}},
    "D, a larger content weight keeps more of the content": {"d": {"content_lost": [0.3, 0.4, 0.5]}},
    "E, a small style weight all but removes the style": {"e": {"style_left": [0.94, 0.5, 0.3]}},
    "F, the first layer alone hardly matters": {"f": {"style_left": [0.94, 0.5, 0.3]}},
    "G, the fifth layer matters more than the first": {
        "f": {"style_left": [0.6, 0.6, 0.6]},
        "g": {"style_left": [0.6, 0.7, 0.8]},
    },
}


def said_of(claim: str, folder: Path, runs: dict[str, dict[str, Sequence[float]]]) -> str:
    """Write these runs beside experiment A, whose style_left is 0.4 and content_lost 0.3; return what is said."""
    write_style_run(folder / "a", "a")
    for letter, numbers in runs.items():
        write_style_run(folder / letter, letter, **numbers)  # type: ignore[arg-type]
    (line,) = [line for line in observations(rows(folder)) if line.startswith(claim)]
    return line


@pytest.mark.parametrize("claim", HOLDS)
def test_an_observation_that_holds(claim: str, tmp_path: Path) -> None:
    assert ": holds (" in said_of(claim, tmp_path, HOLDS[claim])


@pytest.mark.parametrize("claim", FAILS)
def test_an_observation_that_does_not_hold(claim: str, tmp_path: Path) -> None:
    assert ": does not hold (" in said_of(claim, tmp_path, FAILS[claim])


@pytest.mark.parametrize("claim", HOLDS)
def test_an_observation_that_holds_in_some_pictures(claim: str, tmp_path: Path) -> None:
    """The first two pictures as where it holds, the third as where it does not."""
    runs: dict[str, dict[str, Sequence[float]]] = {}
    for letter, numbers in HOLDS[claim].items():
        ((column, values),) = numbers.items()
        runs[letter] = {column: [*values[:2], FAILS[claim][letter][column][2]]}
    assert ": holds in 2 of 3 pictures (" in said_of(claim, tmp_path, runs)


def test_an_observation_has_the_means_of_both(tmp_path: Path) -> None:
    line = said_of("C, a larger style weight costs content", tmp_path, {"c": {"content_lost": [0.4, 0.5, 0.75]}})
    assert line == "C, a larger style weight costs content: holds (content lost 0.55 in C, 0.3 in A)."


@pytest.mark.parametrize(("left", "faint"), [([0.99, 0.98, 0.97], True), ([0.94, 0.9, 0.97], False)])
def test_a_difference_that_nobody_sees_is_called_so(left: list[float], faint: bool, tmp_path: Path) -> None:
    """G differs from F, but neither has gone a twentieth of the way to the style."""
    runs = {"f": {"style_left": [0.999, 0.999, 0.999]}, "g": {"style_left": left}}
    line = said_of("G, the fifth layer matters more", tmp_path, runs)
    assert ": holds (" in line
    assert line.endswith("; too little to see).") == faint


def test_of_an_experiment_that_was_not_run_nothing_is_said(tmp_path: Path) -> None:
    for letter in "acg":
        write_style_run(tmp_path / letter, letter)
    said = observations(rows(tmp_path))
    assert [line[0] for line in said] == ["C", "C"], "neither D, E, F nor G, which is compared with F"
    (tmp_path / "a" / "metrics.json").write_text(
        (tmp_path / "a" / "metrics.json").read_text().replace('"finished"', '"interrupted"')
    )
    assert observations(rows(tmp_path)) == []


def test_everything_together(tmp_path: Path) -> None:
    for letter in "abcdefg":
        write_style_run(tmp_path / letter, letter)
    assert [line[0] for line in observations(rows(tmp_path))] == ["C", "C", "D", "E", "F", "G"]


def test_pictures_that_two_experiments_do_not_share_are_not_compared(tmp_path: Path) -> None:
    write_style_run(tmp_path / "a", "a", content_lost=[0.3, 0.3, 0.9])
    names = ("cat_hubble", "cat_gravel", "dog_ihc")
    write_style_run(tmp_path / "c", "c", names=names, content_lost=[0.4, 0.2, 0.0])
    said = observations(rows(tmp_path))
    assert "C, a larger style weight costs content: holds in 1 of 2 pictures (content lost 0.3 in C, 0.3 in A)." in said
    write_style_run(tmp_path / "d", "d", names=[f"other_{name}" for name in NAMES])
    assert [line[0] for line in observations(rows(tmp_path))] == ["C", "C"], "D shares none with A"


def test_what_could_not_be_measured_is_left_out(tmp_path: Path) -> None:
    write_style_run(tmp_path / "a", "a")
    write_style_run(tmp_path / "c", "c", style_left=[math.nan, 0.3, 0.3], content_lost=[math.nan] * 3)
    said = observations(rows(tmp_path))
    assert said == ["C, a larger style weight brings more of the style: holds (style left 0.3 in C, 0.4 in A)."]


def test_seeds_are_averaged_before_they_are_compared(tmp_path: Path) -> None:
    write_style_run(tmp_path / "a", "a")
    write_style_run(tmp_path / "c0", "c", seed=0, style_left=[0.1, 0.1, 0.1])
    write_style_run(tmp_path / "c1", "c", seed=1, style_left=[0.9, 0.3, 0.3])
    (line,) = [line for line in observations(rows(tmp_path)) if "brings more" in line]
    assert "holds in 2 of 3 pictures (style left 0.3 in C, 0.4 in A)" in line  # 0.5, 0.2 and 0.2


def test_rows_of_other_names_are_ignored(tmp_path: Path) -> None:
    for letter in ("a", "c"):
        write_style_run(tmp_path / letter, letter)
    before = observations(rows(tmp_path))
    write_style_run(tmp_path / "tuned", "tuned", style_left=[0.01, 0.01, 0.01])
    write_style_run(tmp_path / "z", "z", style_left=[0.01, 0.01, 0.01])
    assert observations(rows(tmp_path)) == before


# The whole report


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A grid of A and C with two seeds, and a tuned row: two rows of the hand-out, five that were not run."""
    folder = tmp_path_factory.mktemp("pictures")
    write_style_run(folder / "grid" / "a0", "a", seed=0, colour=(200, 40, 40))
    write_style_run(folder / "grid" / "a1", "a", seed=1, style_left=[0.2, 0.2, 0.2])
    write_style_run(folder / "grid" / "c0", "c", seed=0, style_left=[0.1, 0.1, 0.5], colour=(200, 90, 40))
    write_style_run(folder / "grid" / "tuned", "tuned", colour=(200, 140, 40))
    write_report([folder / "grid"], folder / "out")
    return folder / "out"


def test_the_table_has_the_columns_of_style_transfer(report: Path) -> None:
    table = pd.read_csv(report / "table.csv")
    assert table["row"].tolist()[:2] == ["A [nst_a]", "B"]
    assert table["status"].tolist() == ["finished", "not run", "finished", *["not run"] * 4, "finished"]
    lines = table.set_index("experiment")
    assert lines.loc["nst_a", "n"] == 2
    for name, value in {
        "content_weight": 1,
        "content_weight published": 1,
        "style_weight": 1e6,
        "style_weight published": 1e6,
        "test/content": 0.3,
        "test/content_start": 0,
        "test/style_start": 5,
        "test/style": 1.5,
        "test/content_lost": 0.3,
        "test/style_left": 0.3,
        "test/ssim": 0.75,
        "seconds": 61.2,
    }.items():
        assert lines.loc["nst_a", name] == pytest.approx(value), name
    assert lines.loc["nst_a", "test/style_left std"] == pytest.approx(np.std([0.4, 0.2], ddof=1))
    assert lines.loc["nst_c", "style_weight published"] == lines.loc["nst_c", "style_weight"] == 8e6
    assert math.isnan(lines.loc["nst_tuned", "style_weight published"])
    assert set(lines.loc[["nst_a", "nst_c", "nst_tuned"], "labels"]) == {"embedded data, random weights"}


def test_rows_that_were_not_run_show_the_published_weights(report: Path) -> None:
    table = pd.read_csv(report / "table.csv").set_index("row")
    assert table.loc["D", "content_weight published"] == 200
    assert table.loc["E", "style_weight published"] == 80
    markdown = (report / "table.md").read_text(encoding="utf-8")
    ours, theirs = (line for line in markdown.splitlines() if line.startswith("| D "))
    assert "not run" in ours
    assert " 200 " in theirs
    assert "200" not in ours


@pytest.mark.parametrize("name", ["table.md", "table.tex", "report.html"])
def test_every_format_says_what_matters(name: str, report: Path) -> None:
    text = (report / name).read_text(encoding="utf-8")
    spaced = re.sub(r"\s+", " ", text)
    for words in (
        "Style transfer (embedded data)",
        "random weights",
        "C, a larger style weight brings more of the style: holds in 2 of 3 pictures (style left 0.233 in C, 0.3 in A)",
        "Means over the pictures of a run",
        "Content lost is 0 for the content image and 1 for the style image",
        "Table 5",
        "Published numbers, on the real data",
        "1e+06",
        "8e+06",
        "not run",
        "content lost",
    ):
        assert words in spaced, words
    assert "D, a larger content weight" not in text


def test_the_sheet_of_all_pictures_is_in_the_report(report: Path) -> None:
    with Image.open(report / "pictures.png") as image:
        sheet = np.asarray(image.convert("RGB")).astype(int)
    for colour in ((200, 40, 40), (200, 90, 40), (200, 140, 42)):
        assert count(sheet, colour) > 20_000
    assert "](pictures.png)" in (report / "table.md").read_text(encoding="utf-8")
    page = (report / "report.html").read_text(encoding="utf-8")
    assert "All pictures" in page
    for place in ("grid/a0", "grid/c0", "grid/tuned"):
        assert f"images/sheet.png of {place}" in page, "and the sheet of each row's first run"
    assert (report / "curves.png").is_file()


def test_every_run_is_listed(report: Path) -> None:
    runs = pd.read_csv(report / "runs.csv")
    assert sorted(runs["directory"]) == ["grid/a0", "grid/a1", "grid/c0", "grid/tuned"]
    assert set(runs["status"]) == {"finished"}
    assert runs["command"].str.contains("experiment=nst_").all()


def test_online_and_embedded_pictures_never_meet_on_one_sheet(tmp_path: Path) -> None:
    write_style_run(tmp_path / "runs" / "a", "a")
    write_style_run(tmp_path / "runs" / "c", "c", data="online", labels=[], colour=(200, 90, 40))
    write_report([tmp_path / "runs"], tmp_path / "out")
    sheets = []
    for name in ("pictures.png", "pictures_style_transfer_online.png"):
        with Image.open(tmp_path / "out" / name) as image:
            sheets.append(np.asarray(image.convert("RGB")).astype(int))
    found = [[count(sheet, colour) > 0 for colour in ((200, 40, 40), (200, 90, 40))] for sheet in sheets]
    assert found == [[True, False], [False, True]]
    assert json.loads((tmp_path / "runs" / "c" / "metrics.json").read_text())["labels"] == []
    assert "costs content" not in (tmp_path / "out" / "table.md").read_text(encoding="utf-8")

"""Adversarial networks in the report: made-up runs, whose samples have one colour each and whose numbers are chosen."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from PIL import Image
from reporting.fake_runs import count, pixels, rows, write_run

from labs.practicals import sheet_of
from labs.practicals.gan import table_of_samples
from labs.practicals.gan.observations import observations
from labs.practicals.gan.run_sheet import choose, draw_losses, read_losses, stated_iterations
from labs.practicals.gan.table_of_samples import draw_table_of_samples
from labs.reporting.claims import verdict
from labs.reporting.find import find_runs
from labs.reporting.published import load_published
from labs.reporting.tables import build_tables
from labs.reporting.write import write_report

CHOICES = {
    "datamodule": "mnist",
    "module": "gan",
    "net": "dcgan",
    "optimizer": "adam_gan",
    "weights": "random",
    "callbacks": "gan",
}
OWN = {
    "cdcgan_mnist": {"net": "cdcgan"},
    "dcgan_cifar10": {"datamodule": "cifar10"},
    "dcgan_lr_x10": {"optimizer": "adam_gan_x10"},
    "dcgan_lr_div10": {"optimizer": "adam_gan_div10"},
}
BASE = "dcgan_mnist"
METRICS = {
    "test/fid": 12.0,
    "test/fid_start": 310.0,
    "test/fid_floor": 0.7,
    "test/kid": 0.02,
    "test/coverage": 10.0,
    "test/histogram_distance": 0.06,
    "test/precision": 0.91,
    "test/recall": 0.83,
    "test/neighbour_ratio": 1.04,
    "train/discriminator_loss": 1.1,
    "train/generator_loss": 1.5,
}
ITERATIONS = (0, 100, 400, 1000, 2000, 2345)


def write_gan_run(
    directory: Path,
    experiment: str = BASE,
    *,
    iterations: Sequence[int] = ITERATIONS,
    colour: int = 40,
    generator: Sequence[float] | None = None,
    overrides: str = "",
    choices: dict[str, str] | None = None,
    **metrics: Any,
) -> Path:
    """Write a finished run: metrics.json, log.tsv, losses.tsv and samples; `metrics` are named without their stage.

    Samples of an iteration have the colour (200, `colour`, place of the iteration). Other words replace entries of
    metrics.json.
    """
    log = pd.DataFrame({"epoch": [1, 2], "seconds": [1.0, 2.0], "lr": 2e-4, "train/generator_loss": [2.0, 1.5]})
    known = [name.partition("/")[2] for name in (*METRICS, "test/label_agreement")]
    chosen = {f"test/{name}": metrics.pop(name) for name in known if name in metrics}
    facts = {
        "practical": "gan",
        "best_epoch": None,
        "selected_by": "",
        "counts": {},
        "metrics": {name: value for name, value in {**METRICS, **chosen}.items() if value is not None},
        **metrics,
    }
    chosen_words = {**CHOICES, **OWN.get(experiment, {}), **(choices or {})}
    write_run(directory, experiment, log=log, choices=chosen_words, overrides=overrides, **facts)
    steps = np.arange(1, 101)
    generator = 1.5 + 0.1 * np.sin(steps) if generator is None else generator
    losses = pd.DataFrame({"iteration": steps, "discriminator": 1.1, "generator": generator})
    losses.to_csv(directory / "losses.tsv", sep="\t", index=False)
    folder = directory / "images" / "samples"
    folder.mkdir(parents=True)
    for place, iteration in enumerate(iterations):
        Image.new("RGB", (66, 66), (200, colour, place)).save(folder / f"{iteration:06}.png")
    Image.new("RGB", (48, 48), (99, 99, 99)).save(directory / "images" / "sheet.png")
    return directory


def drawn(folder: Path) -> np.ndarray:
    return pixels(draw_table_of_samples(rows(folder), "Generative adversarial networks"))


def shown(picture: np.ndarray, colour: int = 40, places: int = len(ITERATIONS)) -> list[int]:
    """Return the places of the iterations whose samples are in the sheet."""
    return [place for place in range(places) if count(picture, (200, colour, place)) > 20_000]


def words_of(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return what the sheet says beside the pictures, a text a row."""
    said: list[str] = []
    write = table_of_samples._words
    monkeypatch.setattr(table_of_samples, "_words", lambda row: said.append(write(row)) or said[-1])
    drawn(folder)
    return said


# Which iterations


def test_the_iterations_that_the_recipe_states(tmp_path: Path) -> None:
    assert stated_iterations(tmp_path) == []
    (tmp_path / ".hydra").mkdir()
    recipe = tmp_path / ".hydra" / "config.yaml"
    recipe.write_text("callbacks: {samples: {at: [1955, 3910]}}")
    assert choose([0, 391, 1955, 2346, 3910, 5865], stated_iterations(tmp_path)) == [1955, 3910, 5865]
    for other in ("callbacks: null", "a: [", "callbacks: {samples: {at: many}}"):
        recipe.write_text(other)
        assert stated_iterations(tmp_path) == [], other


@pytest.mark.parametrize(
    ("iterations", "chosen"),
    [
        (ITERATIONS, [400, 2000, 2345]),
        ([0, 300, 350, 400, 450, 1900, 2000, 2100, 2345], [400, 2000, 2345]),
        ([14070, 2000, 0, 400, 6000], [400, 2000, 14070]),
        ([0, 300, 900, 1900, 2345], [300, 1900, 2345]),  # the nearest to those that the hand-out shows
        ([0, 400, 1000, 1600, 1950], [400, 1600, 1950]),  # ends before 2000: where that lies in a whole run
        (range(0, 61, 10), [10, 50, 60]),
        ([0, 60], [0, 60]),
        ([5], [5]),
        ([], []),
    ],
)
def test_the_iterations_of_the_hand_out_or_the_nearest(iterations: Sequence[int], chosen: list[int]) -> None:
    assert choose(iterations, [400, 2000]) == chosen


# The sheet


def test_the_sheet_has_a_line_a_row_with_three_pictures(tmp_path: Path) -> None:
    heights = []
    for place, experiment in enumerate([BASE, "dcgan_ngf128", "dcgan_long"]):
        write_gan_run(tmp_path / experiment, experiment, colour=40 + 10 * place)
        sheet = drawn(tmp_path)
        heights.append(len(sheet))
    assert heights[2] - heights[1] == heights[1] - heights[0] > 200
    tops = []
    for place in range(3):
        assert shown(sheet, 40 + 10 * place) == [2, 4, 5], "400, 2000 and the end"
        ys, xs = zip(
            *(np.nonzero((sheet == (200, 40 + 10 * place, which)).all(axis=-1)) for which in (2, 4, 5)), strict=True
        )
        assert [x.min() for x in xs] == sorted(x.min() for x in xs), "from left to right"
        tops.append(ys[0].min())
    assert tops == sorted(tops), "in the order of the table"


def test_the_end_stands_in_one_column_however_few_pictures_there_are(tmp_path: Path) -> None:
    write_gan_run(tmp_path / "a")
    write_gan_run(tmp_path / "b", "dcgan_ngf128", iterations=[2345], colour=90)
    sheet = drawn(tmp_path)
    ends = [np.flatnonzero((sheet == colour).all(axis=-1).any(axis=0))[0] for colour in ((200, 40, 5), (200, 90, 0))]
    assert ends[0] == pytest.approx(ends[1], abs=2)


def test_a_row_of_several_seeds_shows_the_first(tmp_path: Path) -> None:
    for seed in (1, 0, 2):
        write_gan_run(tmp_path / str(seed), seed=seed, colour=40 + seed)
    sheet = drawn(tmp_path)
    assert [bool(shown(sheet, 40 + seed)) for seed in range(3)] == [True, False, False]


def test_the_numbers_stand_beside_the_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_gan_run(tmp_path / "0", seed=0, fid=10.0, label_agreement=0.9)
    write_gan_run(tmp_path / "1", seed=1, fid=14.0, label_agreement=None)
    write_gan_run(tmp_path / "other", "dcgan_ngf128", fid=7.25)
    first, second = (text.splitlines() for text in words_of(tmp_path, monkeypatch))
    assert f"FID 12 ± {np.std([10, 14], ddof=1):.2g}" in first
    assert "FID 7.25" in second
    for line in ("FID at the start 310", "FID floor 0.7", "KID 0.02", "classes covered 10", "histogram distance 0.06",
                 "precision 0.91", "recall 0.83", "neighbor ratio 1.04"):  # fmt: skip
        assert line in second
        assert line in first, "the same for both seeds"
    assert not any("label agreement" in line for line in first), "one seed alone has it"
    assert "100 iterations, 61 s, 2 seeds" in first
    assert "100 iterations, 61 s" in second
    assert first[0] == "Default settings [dcgan_mnist]"


def test_both_losses_are_drawn_and_a_spike_flattens_nothing(tmp_path: Path) -> None:
    """The curve of a run with one spike covers as much height as that of a run without."""
    heights = []
    for name, spike in (("calm", 1.5), ("spiked", 500.0)):
        losses = np.linspace(1.0, 2.0, 1000)
        run = write_gan_run(tmp_path / name / "run")
        table = pd.DataFrame({"iteration": range(1000), "discriminator": losses, "generator": 3 - losses})
        table.loc[500, "discriminator"] = spike
        table.to_csv(run / "losses.tsv", sep="\t", index=False)
        sheet = drawn(tmp_path / name)
        for colour in ((0, 0x72, 0xB2), (0xD5, 0x5E, 0)):
            assert count(sheet, colour) > 200
        ys = np.flatnonzero((sheet == (0, 0x72, 0xB2)).all(axis=-1).sum(axis=1))
        heights.append(int(ys.max() - ys.min()))
    assert heights[1] > 0.8 * heights[0] > 100


def test_the_smooth_line_passes_below_a_spike() -> None:
    losses = pd.DataFrame({"iteration": range(1000), "discriminator": 1.0, "generator": 2.0})
    losses.loc[500, "generator"] = 500.0
    axes = Figure().subplots()
    draw_losses(axes, losses)
    tops = [float(np.max(np.asarray(line.get_ydata(), dtype=float))) for line in axes.lines]
    assert tops == [1.0, 1.0, 500.0, 2.0], "as it was and smooth, of each loss"
    assert axes.get_ylim()[1] < 3


def test_rows_without_anything_are_left_out(tmp_path: Path) -> None:
    for name, experiment in (("a", BASE), ("b", "dcgan_ngf128"), ("c", "dcgan_ndf128"), ("d", "dcgan_long")):
        changes = {"status": "failed", "error": "it broke"} if name == "d" else {}
        write_gan_run(tmp_path / name, experiment, **changes)
    whole = len(drawn(tmp_path))
    (tmp_path / "b" / "losses.tsv").unlink()
    for file in (tmp_path / "c" / "images" / "samples").iterdir():
        file.unlink()
    assert len(drawn(tmp_path)) == whole, "either is enough"
    (tmp_path / "c" / "losses.tsv").unlink()
    assert len(drawn(tmp_path)) == pytest.approx(whole - 2.9 * 110, abs=2)


def test_without_samples_and_losses_there_is_no_sheet(tmp_path: Path) -> None:
    run = write_gan_run(tmp_path / "a", iterations=[])
    (run / "losses.tsv").unlink()
    assert draw_table_of_samples(rows(tmp_path), "GANs") is None
    assert draw_table_of_samples([], "GANs") is None


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:60])


def scramble(path: Path) -> None:
    """Say that the chunk of pixels is empty, which Pillow calls a SyntaxError."""
    content = bytearray(path.read_bytes())
    content[content.index(b"IDAT") - 1] = 0
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [cut, scramble, lambda path: path.write_text("no picture")])
def test_a_picture_that_cannot_be_read_is_said_to_be_so(damage: Callable[[Path], object], tmp_path: Path) -> None:
    run = write_gan_run(tmp_path / "a")
    intact = drawn(tmp_path)
    damage(run / "images" / "samples" / "002000.png")
    (run / "images" / "samples" / "notes.png").write_text("of no iteration")
    sheet = drawn(tmp_path)
    assert sheet.shape == intact.shape
    assert shown(sheet) == [2, 5]
    ys, xs = np.nonzero((intact == (200, 40, 4)).all(axis=-1))
    place = sheet[ys.min() : ys.max(), xs.min() : xs.max()]
    assert 50 < (place < 128).all(axis=-1).sum() < 0.1 * len(ys), "words stand where the picture was"


def test_losses_that_cannot_be_read_stop_no_report(tmp_path: Path) -> None:
    write_gan_run(tmp_path / "a")
    file = write_gan_run(tmp_path / "b", "dcgan_ngf128", colour=90) / "losses.tsv"
    good = file.read_text()
    (run,) = [row.runs[0] for row in rows(tmp_path) if row.experiment == "dcgan_ngf128"]
    assert read_losses(run.directory) is not None
    for bad in ("", "iteration\tgenerator\n1\t0.1\n", "a\n1\t2\n1\t2\t3\n", good.replace("1.1", "much"),
                "iteration\tdiscriminator\tgenerator\n"):  # fmt: skip
        file.write_text(bad)
        assert read_losses(run.directory) is None, repr(bad)
        assert [line[:30] for line in observations(rows(tmp_path))[1:]] == ["More generator filters lower t"], "the FID"
    file.write_bytes(b"\xff\xfe\x00" * 30)
    assert read_losses(run.directory) is None
    assert shown(drawn(tmp_path), 90) == [2, 4, 5], "its samples stay"


def test_losses_that_diverged_are_drawn_as_far_as_they_go(tmp_path: Path) -> None:
    write_gan_run(tmp_path / "a", generator=[1.0] * 50 + [math.inf] * 10 + [math.nan] * 40)
    write_gan_run(tmp_path / "b", "dcgan_ngf128", generator=[math.nan] * 100)
    assert shown(drawn(tmp_path)) == [2, 4, 5]


# The verdict


@pytest.mark.parametrize(
    ("margins", "spread", "said"),
    [
        ([1.1, 1.0, 1.2], 1.0, "holds"),
        ([1.1, 0.1, 1.2], 1.0, "undecided"),  # every seed, but by less than the spread
        ([9.0, 9.0, -0.1], 1.0, "undecided"),  # by far, but not every seed
        ([9.0, 9.0, 0.0], 1.0, "undecided"),
        ([1.0, 1.0], 1.0, "undecided"),
        ([-1.1, -1.2], 1.0, "does not hold"),
        ([-0.5, -0.5], 1.0, "undecided"),
        ([-9.0, -9.0, 0.1], 1.0, "undecided"),
        ([9.0], 0.0, "undecided"),  # one seed has no spread
        ([-9.0], 0.0, "undecided"),
        ([math.nan, 9.0], 1.0, "undecided"),
        ([], 0.0, "undecided"),
    ],
)
def test_the_rule_of_a_verdict(margins: list[float], spread: float, said: str) -> None:
    assert verdict(margins, spread) == said


# The observations of hand-out 002: numbers of the experiment for three seeds, beside the base

BASE_FID = (12.0, 11.8, 12.2)
HOLDS: dict[str, tuple[str, dict[str, Sequence[float]]]] = {
    "More generator filters lower the FID": ("dcgan_ngf128", {"fid": (9.0, 9.1, 9.2)}),
    "More generator filters lower the generator's loss": ("dcgan_ngf128", {"loss": (1.0, 1.1, 1.2)}),
    "More discriminator filters keep": ("dcgan_ndf128", {"loss": (2.5, 2.6, 2.7)}),
    "PyTorch's initialization changes": ("dcgan_default_init", {"fid": (12.1, 11.9, 12.1)}),
    "The true loss has a worse FID": ("dcgan_true_loss", {"fid": (15.0, 15.1, 15.2)}),
    "A learning rate ten times as high has a worse FID": ("dcgan_lr_x10", {"fid": (15.0, 15.1, 15.2)}),
    "A learning rate ten times as high is less stable": ("dcgan_lr_x10", {"swing": (1.0, 1.1, 1.2)}),
    "A learning rate ten times as low has a worse FID": ("dcgan_lr_div10", {"fid": (15.0, 15.1, 15.2)}),
    "30 epochs improve the FID of 5 little": ("dcgan_long", {"fid": (11.7, 11.5, 12.0)}),
    "10 latent dimensions change": ("dcgan_nz10", {"fid": (12.4, 12.2, 12.6)}),
    "1000 latent dimensions change": ("dcgan_nz1000", {"fid": (12.4, 12.2, 12.6)}),
    "10 latent dimensions lose classes": ("dcgan_nz10", {"coverage": (7.0, 8.0, 8.0)}),
    "64 x 64 pixels are worse": ("dcgan_mnist64", {"fid": (15.0, 15.1, 15.2)}),
    "The conditional net has a better FID": ("cdcgan_mnist", {"fid": (9.0, 9.1, 9.2)}),
    "The conditional net draws the digit": ("cdcgan_mnist", {"label_agreement": (0.97, 0.98, 0.96)}),
}
FAILS: dict[str, dict[str, Sequence[float]]] = {
    "More generator filters lower the FID": {"fid": (15.0, 15.1, 15.2)},
    "More generator filters lower the generator's loss": {"loss": (2.5, 2.6, 2.7)},
    "More discriminator filters keep": {"loss": (1.0, 1.1, 1.2)},
    "PyTorch's initialization changes": {"fid": (9.0, 9.1, 9.2)},
    "The true loss has a worse FID": {"fid": (9.0, 9.1, 9.2)},
    "A learning rate ten times as high has a worse FID": {"fid": (9.0, 9.1, 9.2)},
    "A learning rate ten times as high is less stable": {"swing": (0.0, 0.0, 0.0)},
    "A learning rate ten times as low has a worse FID": {"fid": (9.0, 9.1, 9.2)},
    "30 epochs improve the FID of 5 little": {"fid": (9.0, 9.1, 9.2)},
    "10 latent dimensions change": {"fid": (15.0, 15.1, 15.2)},
    "1000 latent dimensions change": {"fid": (9.0, 9.1, 9.2)},
    "64 x 64 pixels are worse": {"fid": (9.0, 9.1, 9.2)},
    "The conditional net has a better FID": {"fid": (15.0, 15.1, 15.2)},
    "The conditional net draws the digit": {"label_agreement": (0.5, 0.6, 0.55)},
}


def write_seeds(folder: Path, experiment: str, **numbers: Sequence[float]) -> None:
    """Write a run a seed; `loss` is the generator's at the end, and `swing` how far it goes up and down there."""
    for seed, values in enumerate(zip(*numbers.values(), strict=True)):
        facts = dict(zip(numbers, values, strict=True))
        generator = facts.pop("loss", 1.8) + facts.pop("swing", 0.1) * (-1.0) ** np.arange(100)
        generator[:90] = 77.0  # before the last tenth
        write_gan_run(folder / f"{experiment}{seed}", experiment, seed=seed, generator=generator, **facts)


def said_of(claim: str, folder: Path, experiment: str, numbers: dict[str, Sequence[float]]) -> str:
    write_seeds(folder, BASE, fid=BASE_FID, loss=(1.8, 1.81, 1.82))
    write_seeds(folder, experiment, **numbers)
    (line,) = [line for line in observations(rows(folder)) if line.startswith(claim)]
    return line


@pytest.mark.parametrize("claim", HOLDS)
def test_an_observation_that_holds(claim: str, tmp_path: Path) -> None:
    assert ": holds (3 of 3 seeds): " in said_of(claim, tmp_path, *HOLDS[claim])


@pytest.mark.parametrize("claim", FAILS)
def test_an_observation_that_does_not_hold(claim: str, tmp_path: Path) -> None:
    assert ": does not hold (0 of 3 seeds): " in said_of(claim, tmp_path, HOLDS[claim][0], FAILS[claim])


@pytest.mark.parametrize("claim", FAILS)
def test_an_observation_of_which_one_seed_says_the_opposite(claim: str, tmp_path: Path) -> None:
    experiment, numbers = HOLDS[claim]
    mixed = {name: [*values[:2], FAILS[claim][name][2]] for name, values in numbers.items()}
    assert ": undecided (2 of 3 seeds): " in said_of(claim, tmp_path, experiment, mixed)


def test_classes_that_are_all_covered_lose_none(tmp_path: Path) -> None:
    line = said_of("10 latent dimensions lose classes", tmp_path, "dcgan_nz10", {"coverage": (10.0, 10.0, 10.0)})
    assert ": undecided (0 of 3 seeds): classes 10 (10 to 10) in dcgan_nz10" in line


def test_a_difference_within_the_spread_is_none(tmp_path: Path) -> None:
    """Every seed is better, but the seeds differ more than the rows."""
    write_seeds(tmp_path, BASE, fid=(10.0, 14.0, 12.0))
    write_seeds(tmp_path, "dcgan_ngf128", fid=(9.0, 13.0, 11.0))
    line = observations(rows(tmp_path))[1]
    assert line.startswith("More generator filters lower the FID: undecided (3 of 3 seeds): FID 11 (9 to 13)")


def test_the_larger_spread_of_the_two_rows_counts(tmp_path: Path) -> None:
    """Every seed is better and the means differ by 3, more than the spread of the one, less than that of the other."""
    steady, wide = (9.0, 9.0, 9.0), (9.1, 18.0, 8.9 + 0.2)
    write_seeds(tmp_path / "a", BASE, fid=wide)
    write_seeds(tmp_path / "a", "dcgan_ngf128", fid=steady)
    write_seeds(tmp_path / "b", BASE, fid=steady)
    write_seeds(tmp_path / "b", "dcgan_true_loss", fid=wide)
    for folder in ("a", "b"):
        assert ": undecided (3 of 3 seeds): FID " in observations(rows(tmp_path / folder))[1]


def test_an_observation_has_the_numbers_of_both(tmp_path: Path) -> None:
    said = said_of("More generator filters lower the FID", tmp_path, "dcgan_ngf128", {"fid": (9.0, 9.1, 9.2)})
    assert said == (
        "More generator filters lower the FID: holds (3 of 3 seeds): "
        "FID 9.1 (9 to 9.2) in dcgan_ngf128, 12 (11.8 to 12.2) in dcgan_mnist."
    )
    write_seeds(tmp_path, "cdcgan_mnist", label_agreement=(0.97, 0.98, 0.96))
    write_seeds(tmp_path, "dcgan_mnist64", fid=(15.0, 15.1, 15.2))
    last, sizes = observations(rows(tmp_path))[-1], observations(rows(tmp_path))[-3]
    assert last.endswith("(3 of 3 seeds): label agreement 0.97 (0.96 to 0.98) in cdcgan_mnist."), "one row alone"
    assert sizes.endswith("the judge sees both at 32 pixels.")


def test_one_seed_tells_nothing_apart(tmp_path: Path) -> None:
    write_gan_run(tmp_path / "a")
    write_gan_run(tmp_path / "b", "dcgan_ngf128", fid=1.0)
    line = observations(rows(tmp_path))[1]
    assert "undecided (one seed only): FID 1 in dcgan_ngf128, 12 in dcgan_mnist." in line


def test_only_seeds_that_both_rows_have_are_compared(tmp_path: Path) -> None:
    write_seeds(tmp_path, BASE, fid=(12.0, 12.1))
    write_seeds(tmp_path, "dcgan_ngf128", fid=(9.0, 9.1, 99.0))
    assert "holds (2 of 2 seeds): FID 9.05 (9 to 9.1) in" in observations(rows(tmp_path))[1]


def test_a_run_that_diverged_counts_for_nothing(tmp_path: Path) -> None:
    write_seeds(tmp_path, BASE, fid=BASE_FID)
    write_seeds(tmp_path, "dcgan_lr_x10", fid=(math.nan, math.inf, 15.0))
    (line,) = [line for line in observations(rows(tmp_path)) if "ten times as high has" in line]
    assert "undecided" in line
    assert "nan" in line


def test_of_what_was_not_run_or_not_measured_nothing_is_said(tmp_path: Path) -> None:
    write_gan_run(tmp_path / "b", "dcgan_nz10")
    assert observations(rows(tmp_path)) == [], "no base"
    write_gan_run(tmp_path / "a", coverage=None)
    assert [line[:27] for line in observations(rows(tmp_path))[1:]] == ["10 latent dimensions change"]
    (tmp_path / "a" / "metrics.json").write_text(
        (tmp_path / "a" / "metrics.json").read_text().replace('"finished"', '"interrupted"')
    )
    assert observations(rows(tmp_path)) == []


def test_only_rows_with_the_same_overrides_are_compared(tmp_path: Path) -> None:
    write_gan_run(tmp_path / "a", overrides="net.nz=50", fid=50.0)
    write_gan_run(tmp_path / "b", "dcgan_ngf128")
    assert observations(rows(tmp_path)) == []
    write_gan_run(tmp_path / "c", fid=12.5)
    assert "12.5 in dcgan_mnist" in observations(rows(tmp_path))[1]


def test_of_two_bases_the_more_alike_is_compared(tmp_path: Path) -> None:
    write_gan_run(tmp_path / "a", choices={"scheduler": "cosine"}, fid=50.0)
    write_gan_run(tmp_path / "b", fid=12.5)
    write_gan_run(tmp_path / "c", "dcgan_ngf128")
    assert "12.5 in dcgan_mnist" in observations(rows(tmp_path))[1]
    write_gan_run(tmp_path / "d", "dcgan_ndf128", choices={"scheduler": "cosine"})
    write_gan_run(tmp_path / "e", "dcgan_true_loss", choices={"scheduler": "cosine"})
    assert "50 in dcgan_mnist" in observations(rows(tmp_path))[-1]


# The whole report


def test_higher_is_better_where_it_is() -> None:
    better = {end: {c.key for c in sheet_of("gan").columns if c.better == end} for end in ("higher", "lower")}
    assert better["higher"] == {"test/coverage", "test/precision", "test/recall", "test/label_agreement"}
    assert better["lower"] == {"test/fid", "test/kid", "test/histogram_distance", "seconds"}


def test_the_hand_out_is_read() -> None:
    table = load_published(sheet_of("gan"))
    assert table is not None
    values = {row.match["experiment"][0]: row.values for row in table.rows}
    assert len(values) == len(table.rows) == 13
    assert values["dcgan_long"] == {"epochs": 30}
    assert (values["dcgan_nz10"]["nz"], values["dcgan_nz1000"]["nz"]) == (10, 1000)
    assert values["dcgan_ngf128"]["ngf"] == values["dcgan_ndf128"]["ndf"] == 128
    assert not table.rows[0].matches({"experiment": BASE, "module": "classifier"}, ())


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seeds of the base, and more generator filters: two rows of the hand-out, eleven that were not run."""
    folder = tmp_path_factory.mktemp("samples")
    write_seeds(folder / "grid", BASE, fid=(12.0, 12.2))
    write_seeds(folder / "grid", "dcgan_ngf128", fid=(9.0, 9.1))
    write_report([folder / "grid"], folder / "out")
    return folder / "out"


def test_the_table_has_the_columns_of_a_gan(report: Path) -> None:
    table = pd.read_csv(report / "table.csv")
    assert table["row"].tolist()[:3] == [
        "Default settings [dcgan_mnist]", "128 generator filters [dcgan_ngf128]", "128 discriminator filters",
    ]  # fmt: skip
    assert table["status"].tolist() == ["finished"] * 2 + ["not run"] * 11
    line = table.iloc[0]
    assert line["test/fid"] == pytest.approx(12.1)
    assert line["test/fid std"] == pytest.approx(np.std([12.0, 12.2], ddof=1))
    for name, value in {**METRICS, "epochs": 2, "epochs published": 5, "seconds": 61.2}.items():
        if name not in ("test/fid", "test/histogram_distance"):
            assert line[name] == pytest.approx(value), name
    assert table["epochs published"].tolist() == [5] * 7 + [30] + [5] * 3 + [15, 5]
    assert "test/label_agreement" not in table, "no run has one"


def test_label_agreement_is_a_column_where_a_run_has_it(tmp_path: Path) -> None:
    write_gan_run(tmp_path / "a")
    write_gan_run(tmp_path / "b", "cdcgan_mnist", label_agreement=0.97)
    (table,) = build_tables(find_runs([tmp_path]))
    assert "test/label_agreement" in [column.key for column in table.columns]
    assert [row.estimates["test/label_agreement"].mean for row in table.rows if row.experiment == "cdcgan_mnist"] == [
        0.97
    ]


@pytest.mark.parametrize("name", ["table.md", "table.tex", "report.html"])
def test_every_format_says_what_matters(name: str, report: Path) -> None:
    spaced = re.sub(r"\s+", " ", (report / name).read_text(encoding="utf-8"))
    for words in (
        "Generative adversarial networks (embedded data)",
        "More generator filters lower the FID: holds (2 of 2 seeds): FID 9.05 (9 to 9.1) in",
        "if every seed agrees",
        "how far samples are from held-out real images",
        "white dots",
        "10 latent dimensions",
        "hand-out 002",
        "Published numbers, on the real data",
        "not run",
        "classes covered",
    ):
        assert words in spaced, words
    assert "The true loss has" not in spaced


def test_the_sheet_of_all_samples_is_in_the_report(report: Path) -> None:
    with Image.open(report / "samples.png") as image:
        assert shown(np.asarray(image.convert("RGB")).astype(int)) == [2, 4, 5]
    assert "](samples.png)" in (report / "table.md").read_text(encoding="utf-8")
    page = (report / "report.html").read_text(encoding="utf-8")
    assert "All samples" in page
    assert "images/sheet.png of grid/dcgan_mnist0" in page, "and the sheet of each row's first run"
    assert (report / "curves.png").is_file()

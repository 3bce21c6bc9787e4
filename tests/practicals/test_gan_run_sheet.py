"""The sheet of a GAN's run, with everything there and with everything missing."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from labs.drawing.curves import PALETTE
from labs.practicals.gan.run_sheet import draw_distances, draw_losses, draw_run_sheet, in_words, read_losses

METRICS = {
    "test/fid": 12.345,
    "test/fid_floor": 0.678,
    "test/fid_start": 987.6,
    "test/kid": 0.0321,
    "test/kid_floor": 0.00045,
    "test/coverage": 9.0,
    "test/histogram_distance": 0.123,
    "test/precision": 0.712,
    "test/recall": 0.345,
    "test/neighbour_ratio": 0.87,
    "test/fid_batch_statistics": 15.25,
}
QUALITY = {
    "samples": 606,
    "held_out": 607,
    "seed": 4,
    "judge": "0123456789ab",
    "judge_accuracy": 0.987,
    "classes": ["0", "1", "2"],
    "generated_per_class": [300, 300, 6],
    "real_per_class": [202, 202, 202],
}
# Colours that nothing else on the sheet has.
SAMPLES = {0: (250, 1, 2), 400: (1, 250, 2), 500: (1, 2, 250), 2000: (250, 251, 1), 5000: (251, 1, 250)}
PICTURES = {
    "interpolation_linear": (1, 251, 250),
    "interpolation_spherical": (120, 1, 60),
    "neighbours": (60, 120, 1),
}


def flat(path: Path, colour: tuple[int, int, int]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (134, 68), colour).save(path)


def whole(run_dir: Path) -> None:
    """Write all that a finished run has."""
    for iteration, colour in SAMPLES.items():
        flat(run_dir / "images" / "samples" / f"{iteration:06d}.png", colour)
    for name, colour in PICTURES.items():
        flat(run_dir / "images" / f"{name}.png", colour)
    (run_dir / "quality.json").write_text(json.dumps(QUALITY))
    steps = np.arange(1, 5001)
    losses = pd.DataFrame({"iteration": steps, "discriminator": 1 / steps, "generator": np.log(steps)})
    losses.to_csv(run_dir / "losses.tsv", sep="\t", index=False)
    pd.DataFrame({"epoch": [1, 2], "val/fid": [50.0, 12.0]}).to_csv(run_dir / "log.tsv", sep="\t", index=False)


def colours(run_dir: Path) -> set[tuple[int, ...]]:
    """Return the colours of the sheet that fill more than a few pixels."""
    with Image.open(run_dir / "images" / "sheet.png") as sheet:
        found, counts = np.unique(np.asarray(sheet.convert("RGB")).reshape(-1, 3), axis=0, return_counts=True)
    return {tuple(colour.tolist()) for colour in found[counts > 500]}


def gan_sheet(run_dir: Path, metrics: dict[str, float], at: list[int], facts: dict[str, Any]) -> None:
    """Draw the sheet of a run whose recipe states iterations, and whose record has these facts."""
    (run_dir / ".hydra").mkdir(exist_ok=True)
    (run_dir / ".hydra" / "config.yaml").write_text(f"callbacks: {{samples: {{at: {at}}}}}")
    (run_dir / "metrics.json").write_text(json.dumps(facts))
    draw_run_sheet(run_dir, metrics)


def test_shows_the_stated_samples_the_last_ones_and_the_pictures(tmp_path: Path) -> None:
    whole(tmp_path)
    gan_sheet(
        tmp_path,
        METRICS,
        [400, 2000],
        {"experiment": "a run", "labels": ["embedded data"], "credits": ["photo: somebody"]},
    )
    shown = colours(tmp_path)
    assert {SAMPLES[400], SAMPLES[2000], SAMPLES[5000], *PICTURES.values()} <= shown
    assert not {SAMPLES[0], SAMPLES[500]} & shown
    bar = tuple(int(PALETTE[0][place : place + 2], 16) for place in (1, 3, 5))  # of the generated classes
    assert {bar, (187, 187, 187)} <= shown


def test_more_stated_samples_than_there_is_room_for_and_the_last_one_among_them(tmp_path: Path) -> None:
    whole(tmp_path)
    gan_sheet(tmp_path, {}, [0, 400, 500, 5000], {})
    shown = colours(tmp_path)
    assert {SAMPLES[0], SAMPLES[400], SAMPLES[5000]} <= shown
    assert not {SAMPLES[500], SAMPLES[2000]} & shown


def test_draws_with_everything_missing(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    gan_sheet(tmp_path, {}, [400, 2000], {})
    assert (255, 255, 255) in colours(tmp_path)


def test_draws_with_everything_damaged(tmp_path: Path) -> None:
    whole(tmp_path)
    for file in tmp_path.rglob("*.*"):
        if file.is_file():
            file.write_bytes(file.read_bytes()[:20])
    gan_sheet(tmp_path, METRICS, [400, 2000], {"experiment": "a run"})
    assert not {*SAMPLES.values(), *PICTURES.values()} & colours(tmp_path)


def test_in_words_says_every_number() -> None:
    words = " ".join(in_words({**METRICS, "test/label_agreement": 0.957, "test/inception_fid": 31.46}, QUALITY).split())
    for said in (
        "FID 12.3: 0.68 for real training images, 988 before training",
        "KID 0.0321: 0.00045 for real training images",
        "coverage 9 classes, histogram distance 0.123",
        "precision 0.712, recall 0.345",
        "label agreement 0.957",
        "neighbor ratio 0.87",
        "FID with batch statistics 15.2",
        "Inception FID 31.46",
        "606 samples (seed 4) against 607 held-out images; judge 0123456789ab, 98.7 % right",
    ):
        assert said in words


def test_in_words_leaves_out_what_was_not_measured() -> None:
    words = in_words(METRICS, {})
    assert "label agreement" not in words
    assert "Inception" not in words
    assert "judge" not in words
    assert in_words({}, {}) == ""
    assert max(map(len, in_words(METRICS, QUALITY).splitlines())) <= 62


@pytest.mark.parametrize("rows", [1, 400])
def test_losses_are_drawn_as_they_are_and_one_spike_does_not_flatten_them(rows: int, tmp_path: Path) -> None:
    generator = np.linspace(1, 2, rows)
    generator[rows // 2] = 1000 if rows > 1 else 1
    table = {"iteration": np.arange(1, rows + 1), "discriminator": np.linspace(0.5, 1, rows), "generator": generator}
    pd.DataFrame(table).to_csv(tmp_path / "losses.tsv", sep="\t", index=False)
    figure = Figure()
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    losses = read_losses(tmp_path)
    assert losses is not None
    draw_losses(axes, losses)
    drawn = [np.asarray(line.get_ydata(), dtype=float) for line in axes.lines]
    for column in ("discriminator", "generator"):
        assert any(np.allclose(values, table[column]) for values in drawn)
    assert axes.get_ylim()[0] <= 0.5
    assert axes.get_ylim()[1] < 4
    assert axes.get_ylim()[1] >= (2 if rows > 1 else 1)
    assert {text.get_text() for text in axes.get_legend().get_texts()} == {"discriminator", "generator"}


@pytest.mark.parametrize(("epochs", "marked"), [(1, True), (30, True), (200, False)])
def test_a_distance_of_one_epoch_is_seen(epochs: int, marked: bool, tmp_path: Path) -> None:
    log = pd.DataFrame({"epoch": range(1, epochs + 1), "val/fid": np.linspace(40, 1, epochs)})
    log.to_csv(tmp_path / "log.tsv", sep="\t", index=False)
    axes = Figure().subplots()
    draw_distances(axes, tmp_path / "log.tsv", METRICS)
    assert len(axes.lines) == 3  # with those before training and of real images
    assert (axes.lines[0].get_markersize() > 0) == marked
    assert all(float(tick).is_integer() for tick in axes.get_xticks())


def test_losses_that_are_not_finite(tmp_path: Path) -> None:
    """A run that diverged still gets its sheet."""
    table = {"iteration": [1, 2, 3], "discriminator": [1.0, np.nan, np.inf], "generator": [np.nan] * 3}
    pd.DataFrame(table).to_csv(tmp_path / "losses.tsv", sep="\t", index=False)
    (tmp_path / "images").mkdir()
    gan_sheet(tmp_path, {"test/fid": float("nan")}, [], {})
    assert (tmp_path / "images" / "sheet.png").is_file()

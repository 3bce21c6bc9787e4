"""What a style-transfer run leaves to look at, from real runs: finished, interrupted, and gone on with."""

from __future__ import annotations

import contextlib
import io
import json
import runpy
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from project import ROOT
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torchmetrics.functional.image import structural_similarity_index_measure

from labs import LabsError
from labs.callbacks.style_pictures import StylePictures
from labs.datamodules.image_pair import ImagePair, Pairs
from labs.drawing.curves import PALETTE

NAMES = ["astronaut_hubble", "astronaut_gravel", "astronaut_ihc"]
LABELS = ["embedded data", "features of squeezenet1_1", "ImageNet weights"]
RECIPE = ("experiment=nst_a", "data=embedded", "datamodule.image_size=32", "every=3")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("style_pictures")


@pytest.fixture(scope="module")
def type_(folder: Path) -> Callable[..., None]:
    """Type `python train.py ...` in one folder for all tests of this file."""

    def run(*arguments: str) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", [str(ROOT / "train.py"), *arguments])
            patch.chdir(folder)
            try:
                runpy.run_path(str(ROOT / "train.py"), run_name="__main__")
            finally:
                signal.signal(signal.SIGINT, signal.default_int_handler)  # Lightning stops listening at the first one

    return run


@pytest.fixture(scope="module")
def whole(folder: Path, type_: Callable[..., None]) -> Path:
    """A run that nothing interrupts: evaluations 1 to 7, a row every three."""
    type_(*RECIPE, "steps=7", "hydra.run.dir=whole")
    return folder / "whole"


@pytest.fixture(scope="module")
def stopped(folder: Path, type_: Callable[..., None]) -> tuple[Path, str]:
    """The same run, stopped by Ctrl-C at evaluation 5: a copy of its directory, and what the terminal said."""

    def stop(self: StylePictures, trainer: pl.Trainer, module: Any, optimizer: object) -> None:
        if module.evaluations == 5:
            raise KeyboardInterrupt

    said = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stderr(said):
        patch.setattr(StylePictures, "on_before_optimizer_step", stop)
        with pytest.raises(SystemExit):
            type_(*RECIPE, "steps=7", "hydra.run.dir=stopped")
    return Path(shutil.copytree(folder / "stopped", folder / "as_it_was_stopped")), said.getvalue()


@pytest.fixture(scope="module")
def resumed(folder: Path, stopped: tuple[Path, str], type_: Callable[..., None]) -> Path:
    """The stopped run after `resume=`, kept as it is then: stopped once more in its test, and gone on with again.

    A frame of evaluations that were not made lay in its folder.
    """
    growth = folder / "stopped" / "images" / "growth"
    shutil.copy(growth / "000003.png", growth / "000099.png")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pl.Trainer, "test", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(SystemExit):
            type_("resume=stopped")
    assert not (folder / "stopped" / "pictures.tsv").exists()
    type_("resume=stopped")
    return Path(shutil.copytree(folder / "stopped", folder / "as_it_was_resumed"))


@pytest.fixture(scope="module")
def pairs() -> Pairs:
    data = ImagePair(content="astronaut", style=["hubble", "gravel", "ihc"], image_size=32, embedded=True)
    data.setup("fit")
    return data.pictures


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def colours(path: Path) -> np.ndarray:
    """Return the different colours of a picture, each as one number."""
    return np.unique(pixels(path).astype(int) @ [1 << 16, 1 << 8, 1])


def in_256_steps(picture: torch.Tensor) -> np.ndarray:
    return (picture.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)


def facts(run_dir: Path) -> dict[str, Any]:
    return json.loads((run_dir / "metrics.json").read_text())


def final_metrics(run_dir: Path) -> dict[str, float]:
    return {name: value for name, value in facts(run_dir)["metrics"].items() if name.startswith("test/")}


def table(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, sep="\t")


def texts(path: Path) -> dict[str, str]:
    with Image.open(path) as image:
        image.load()
        return {name: str(text) for name, text in image.text.items()}


def board(run_dir: Path) -> EventAccumulator:
    events = EventAccumulator(str(run_dir / "tensorboard"), size_guidance={"images": 0, "scalars": 0})
    events.Reload()
    return events


def frames(run_dir: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (run_dir / "images" / "growth").iterdir()}


# A finished run


def test_the_pictures_are_what_the_run_has_found(whole: Path) -> None:
    """At full size: the state of the lowest loss, as the checkpoint has it."""
    best = torch.load(whole / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]["best.0.points"]
    assert best.shape == (3, 3, 32, 32)
    for name, picture in zip(NAMES, best, strict=True):
        np.testing.assert_array_equal(pixels(whole / "images" / f"{name}.png"), in_256_steps(picture.clamp(0, 1)))


def test_what_was_measured_was_measured_of_these_files(whole: Path, pairs: Pairs) -> None:
    measured = table(whole / "pictures.tsv").set_index("picture")
    assert list(measured.index) == NAMES
    for place, name in enumerate(NAMES):
        file = torch.from_numpy(pixels(whole / "images" / f"{name}.png").copy()).permute(2, 0, 1)[None] / 255
        similar = structural_similarity_index_measure(file, pairs.contents[place : place + 1], data_range=1.0)
        assert measured["ssim"][name] == pytest.approx(float(similar), abs=1e-5)
        assert json.loads(texts(whole / "images" / f"{name}.png")["measured"]) == pytest.approx(
            measured.loc[name].to_dict(), rel=1e-6
        )


def test_a_picture_tells_how_it_was_made(whole: Path) -> None:
    for name, style in zip(NAMES, ("hubble", "gravel", "ihc"), strict=True):
        told = texts(whole / "images" / f"{name}.png")
        assert told["Title"] == f"astronaut in the style of {style}"
        assert told["Comment"] == ", ".join(LABELS)
        assert told["command"].startswith("python train.py experiment=nst_a data=embedded")
        assert "steps=7" in told["command"]
        settings = json.loads(told["settings"])
        assert settings["content_layers"] == ["conv_4 (features.6)"]
        assert settings["style_layers"] == [
            *("conv_1 (features.1)", "conv_2 (features.3)", "conv_3 (features.4)"),
            *("conv_4 (features.6)", "conv_5 (features.7)"),
        ]
        assert (settings["evaluations"], settings["steps"], settings["style_weight"]) == (7, 7, 1e6)
        for word in ("astronaut: Eileen Collins; NASA", f"{style}: "):
            assert word in told["credits"]


def test_the_inputs_are_kept_as_the_run_saw_them(whole: Path, pairs: Pairs) -> None:
    for place, name in enumerate(NAMES):
        for kind, pictures in (("content", pairs.contents), ("style", pairs.styles)):
            file = whole / "images" / "inputs" / f"{name}-{kind}.png"
            np.testing.assert_array_equal(pixels(file), in_256_steps(pictures[place]))
    assert len(list((whole / "images" / "inputs").iterdir())) == 6


def test_how_they_grew(whole: Path) -> None:
    assert sorted(frames(whole)) == ["000003.png", "000006.png", "000007.png"]
    strips = [pixels(whole / "images" / "growth" / name).astype(int) for name in sorted(frames(whole))]
    side_by_side = np.concatenate([pixels(whole / "images" / f"{name}.png") for name in NAMES], axis=1)
    np.testing.assert_array_equal(strips[-1], side_by_side)
    with Image.open(whole / "images" / "growth.gif") as animation:
        assert animation.n_frames == 3
        durations, shown = [], []
        for place in range(3):
            animation.seek(place)
            durations.append(animation.info["duration"])
            shown.append(np.asarray(animation.convert("RGB"))[:32, :96].astype(int))
    assert durations[-1] > 10 * durations[0]
    apart = [[np.abs(frame - strip).mean() for strip in strips] for frame in shown]
    assert np.argmin(apart, axis=1).tolist() == [0, 1, 2], "each frame of the GIF is that of its evaluation"
    assert np.diag(apart).max() < 12  # of 255: what a palette of 256 colours loses


def test_losses_have_a_row_for_every_evaluation_and_pair(whole: Path) -> None:
    losses = table(whole / "losses.tsv")
    expected = [(number, name) for number in range(1, 8) for name in NAMES]
    assert list(losses[["evaluation", "picture"]].itertuples(index=False, name=None)) == expected
    first = losses[losses["evaluation"] == 1]
    assert first["content"].tolist() == [0, 0, 0], "it starts from the content"
    assert first["style"].tolist() == pytest.approx(table(whole / "pictures.tsv")["style_start"].tolist(), rel=1e-5)
    # balanced: the style weight of 1e6 in units of 1e-5; what is above is of pixels outside [0, 1]
    beyond = losses["total"] - losses["content"] - 10 * losses["style"]
    assert beyond.min() > -1e-4
    assert beyond[losses["evaluation"] == 1].abs().max() < 1e-4
    # L-BFGS goes down on its way
    assert (losses[losses["evaluation"] == 7]["total"].to_numpy() < first["total"].to_numpy() / 2).all()


def test_the_log_has_the_means_over_the_pairs(whole: Path) -> None:
    log, losses = table(whole / "log.tsv"), table(whole / "losses.tsv")
    ends = losses[losses["evaluation"].isin([3, 6, 7])].groupby("evaluation").mean(numeric_only=True)
    assert log["epoch"].tolist() == [1, 2, 3]
    for name, column in (("loss", "total"), ("content", "content"), ("style", "style")):
        np.testing.assert_allclose(log[f"train/{name}"], ends[column], rtol=1e-6)


def test_metrics_are_the_means_over_the_pictures(whole: Path) -> None:
    means = table(whole / "pictures.tsv").mean(numeric_only=True)
    assert final_metrics(whole) == pytest.approx({f"test/{name}": value for name, value in means.items()}, rel=1e-5)
    assert set(means.index) == {
        *("content_start", "content", "style", "style_start", "content_lost", "style_left", "ssim", "rollbacks")
    }


def test_metrics_json_says_what_the_pictures_are(whole: Path) -> None:
    record = facts(whole)
    assert record["status"] == "finished"
    assert record["labels"] == LABELS
    assert record["pictures"] == NAMES
    assert [line.partition(":")[0] for line in record["credits"]] == ["astronaut", "hubble", "gravel", "ihc"]
    assert record["size"] == [32, 32]
    settings = record["settings"]
    assert settings["module.content_layers"] == ["conv_4"]
    assert settings["module.style_layers"] == ["conv_1", "conv_2", "conv_3", "conv_4", "conv_5"]
    assert (settings["module.content_weight"], settings["module.style_weight"]) == (1, 1e6)
    assert (settings["steps"], settings["every"], settings["datamodule.image_size"]) == (7, 3, 32)


def test_the_sheet_shows_the_pictures_themselves(whole: Path) -> None:
    sheet = colours(whole / "images" / "sheet.png")
    for file in [*(whole / "images" / "inputs").iterdir(), *(whole / "images" / f"{name}.png" for name in NAMES)]:
        assert np.isin(colours(file), sheet).mean() > 0.98, file.name


def test_the_curves_of_every_pair_are_drawn(whole: Path) -> None:
    curves = pixels(whole / "images" / "losses.png").astype(int)
    for colour in PALETTE[:3]:
        rgb = [int(colour[place : place + 2], 16) for place in (1, 3, 5)]
        drawn = (np.abs(curves - rgb) < 12).all(axis=-1)
        thirds = np.array_split(drawn, 3, axis=1)
        assert min(part.sum() for part in thirds) > 50, "in each of the three panels"


def test_tensorboard_shows_them_grow(whole: Path) -> None:
    events = board(whole)
    assert [event.step for event in events.Images("generated")] == [3, 6, 7]
    assert [event.step for event in events.Images("sheet")] == [7]
    assert [event.step for event in events.Images("contents")] == [0]
    assert [event.step for event in events.Images("styles")] == [0]
    for event, name in zip(events.Images("generated"), sorted(frames(whole)), strict=True):
        with Image.open(io.BytesIO(event.encoded_image_string)) as image:
            shown = np.asarray(image.convert("RGB")).astype(int)
        # TensorBoard cuts off where the file rounds
        assert np.abs(shown - pixels(whole / "images" / "growth" / name)).max() <= 1


def test_the_terminal_lists_every_picture(
    whole: Path, type_: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    before = (whole / "images" / "sheet.png").read_bytes()
    type_(*RECIPE, "steps=7", "hydra.run.dir=whole")  # finished before: nothing is made again
    said = capsys.readouterr().out
    assert "finished before" in said
    assert ", ".join(LABELS) in said
    assert "whole/images/sheet.png" in said
    for row in table(whole / "pictures.tsv").itertuples():
        (line,) = [line for line in said.splitlines() if f"│ {row.picture} " in line]
        numbers = [row.content, row.style, row.content_lost, row.style_left, row.ssim]
        assert [cell.strip() for cell in line.split("│")[2:-1]] == [f"{number:.3g}" for number in numbers]
    assert (whole / "images" / "sheet.png").read_bytes() == before


# A run that is stopped


def test_a_stopped_run_keeps_the_best_pictures_so_far(
    stopped: tuple[Path, str], folder: Path, type_: Callable[..., None]
) -> None:
    """They are those of a run that ends there, whatever the size of the frames."""
    run_dir, _ = stopped
    type_(*RECIPE, "steps=5", "hydra.run.dir=five", "callbacks.pictures.frame_size=16", "logger=none")
    five = folder / "five"
    for name in NAMES:
        picture = run_dir / "images" / f"{name}.png"
        np.testing.assert_array_equal(pixels(picture), pixels(five / "images" / f"{name}.png"))
        assert json.loads(texts(picture)["settings"])["evaluations"] == 5
        assert json.loads(texts(picture)["measured"]) == {}, "nothing has been measured yet"
    assert not (run_dir / "pictures.tsv").exists()
    assert {len(pixels(run_dir / "images" / name)) > 300 for name in ("sheet.png", "losses.png")} == {True}
    assert sorted(frames(run_dir)) == ["000003.png"]
    assert {pixels(path).shape for path in (five / "images" / "growth").iterdir()} == {(16, 48, 3)}


def test_a_stopped_run_says_how_to_go_on(stopped: tuple[Path, str]) -> None:
    run_dir, said = stopped
    record = facts(run_dir)
    assert record["status"] == "interrupted"
    assert record["epochs"] == 1
    assert table(run_dir / "losses.tsv")["evaluation"].max() == 3, "what a resumed run will not make again"
    (line,) = [line for line in said.splitlines() if "go on with" in line]
    assert line.startswith("interrupted after 1 epoch")
    assert line.endswith("stopped")
    assert "python train.py resume=" in line


def test_a_resumed_run_ends_like_one_that_was_not_stopped(whole: Path, resumed: Path) -> None:
    for name in ("losses.tsv", "pictures.tsv", "test_log.tsv"):
        assert (resumed / name).read_text() == (whole / name).read_text(), name
    log, uninterrupted = (table(run / "log.tsv").drop(columns="seconds") for run in (resumed, whole))
    pd.testing.assert_frame_equal(log, uninterrupted, check_exact=True)
    assert final_metrics(resumed) == final_metrics(whole)
    assert facts(resumed)["status"] == "finished"
    for name in NAMES:
        files = [run / "images" / f"{name}.png" for run in (resumed, whole)]
        np.testing.assert_array_equal(*map(pixels, files))
        assert texts(files[0])["settings"] == texts(files[1])["settings"]
        assert texts(files[0])["measured"] == texts(files[1])["measured"]
    states = [torch.load(r / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"] for r in (resumed, whole)]
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_the_frames_of_a_resumed_run_have_no_gap_and_no_leftover(whole: Path, resumed: Path) -> None:
    assert frames(resumed) == frames(whole)
    for name in ("growth.gif", "sheet.png", "losses.png"):
        assert (resumed / "images" / name).read_bytes() == (whole / "images" / name).read_bytes()
    events = board(resumed)
    assert [event.step for event in events.Images("generated")] == [3, 6, 7]
    assert [event.step for event in events.Images("sheet")] == [5, 7]


def test_a_longer_run_goes_on(folder: Path, resumed: Path, type_: Callable[..., None]) -> None:
    type_("resume=stopped", "steps=10")
    longer = folder / "stopped"
    before, after = table(resumed / "losses.tsv"), table(longer / "losses.tsv")
    assert after["evaluation"].tolist() == [number for number in range(1, 11) for _ in NAMES]
    pd.testing.assert_frame_equal(after[: len(before)], before, check_exact=True)
    means = [run.groupby("evaluation")["total"].mean() for run in (before, after)]
    assert means[1][10] < means[0][7]
    assert sorted(frames(longer)) == ["000003.png", "000006.png", "000007.png", "000010.png"]
    assert {name: frames(longer)[name] for name in frames(resumed)} == frames(resumed)
    for name in NAMES:
        picture = longer / "images" / f"{name}.png"
        assert json.loads(texts(picture)["settings"])["evaluations"] == 10
        assert (pixels(picture) != pixels(resumed / "images" / f"{name}.png")).any()
    assert facts(longer)["status"] == "finished"
    assert facts(longer)["metrics"]["test/style"] < facts(resumed)["metrics"]["test/style"]


# Mistakes


@pytest.mark.filterwarnings("ignore:The dirpath has changed")  # the run is a copy
def test_a_resume_that_cannot_begin_says_why_and_touches_no_picture(
    folder: Path, whole: Path, type_: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    run_dir = Path(shutil.copytree(whole, folder / "shorter"))
    before = {path: path.read_bytes() for path in (run_dir / "images").rglob("*.*")}
    with pytest.raises(SystemExit) as exit_:
        type_("resume=shorter", "steps=3")
    assert exit_.value.code == 2
    said = capsys.readouterr().err
    assert "error:" in said
    assert "Traceback" not in said
    assert {path: path.read_bytes() for path in (run_dir / "images").rglob("*.*")} == before


def test_frames_have_sixteen_pixels_or_more() -> None:
    with pytest.raises(LabsError, match=r"callbacks\.pictures\.frame_size=15"):
        StylePictures(frame_size=15)
    assert StylePictures(frame_size=16).frame_size == 16

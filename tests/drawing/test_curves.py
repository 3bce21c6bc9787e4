import io
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from reporting.fake_runs import make_log

from labs.drawing import curves as figures
from labs.drawing.curves import curves_gif, curves_png
from labs.practicals import PANELS
from labs.reporting import comparison
from labs.reporting.comparison import Curve, comparison_png


def long_log(epochs: int) -> pd.DataFrame:
    return make_log(tuple(np.linspace(0.1, 1.0, epochs)))


def ink(image: Image.Image) -> np.ndarray:
    """Return where the picture shows the colour of the training curve."""
    colour = tuple(int(figures.PALETTE[0][place : place + 2], 16) for place in (1, 3, 5))
    return np.all(np.abs(np.asarray(image.convert("RGB")).astype(int) - colour) < 40, axis=-1)


def test_curves_of_a_run_have_one_panel_a_quantity() -> None:
    figure, lines = figures._run_figure(make_log(), "a run", ["embedded data"], PANELS)

    assert [axes.get_title() for axes in figure.axes] == ["accuracy (%)", "loss"]
    assert [line.get_label() for line in lines] == ["training", "validation"] * 2
    np.testing.assert_allclose(lines[0].get_ydata(), [25, 75, 100, 100])
    assert figure.get_suptitle() == "a run\nembedded data"


def test_other_columns_get_panels_of_their_own() -> None:
    log = pd.DataFrame({"epoch": [1, 2], "seconds": [1.0, 2.0], "d_loss": [1.0, 0.5], "g_loss": [1.0, 2.0]})

    figure, _ = figures._run_figure(log, "gan", [], PANELS)

    assert [axes.get_title() for axes in figure.axes] == ["d loss", "g loss"]


def test_a_value_that_is_no_number_leaves_a_gap_and_an_epoch_without_validation_none() -> None:
    log = make_log((0.1, 0.2, 0.3, 0.4))
    log.loc[0, ["val/acc", "val/loss"]] = np.nan  # not validated
    log.loc[2, "val/loss"] = np.nan  # diverged

    _, lines = figures._run_figure(log, "a run", [], PANELS)

    drawn = {line.get_label() + "/" + line.axes.get_title(): line.get_xdata().tolist() for line in lines}
    assert drawn["training/loss"] == [1, 2, 3, 4]
    assert drawn["validation/accuracy (%)"] == drawn["validation/loss"] == [2, 3, 4]
    assert [np.isnan(line.get_ydata()).tolist() for line in lines][3] == [False, True, False]


@pytest.mark.parametrize("epochs", [1, 2, 7, 300])
def test_epochs_are_numbered_by_integers(epochs: int) -> None:
    _, ((axes,),) = figures.new_figure(1, 1, (4, 3), "", [])
    axes.plot(range(1, epochs + 1), range(epochs))
    assert all(float(tick).is_integer() for tick in axes.get_xticks())


def test_a_png_is_drawn(tmp_path: Path) -> None:
    curves_png(make_log(), tmp_path / "result.png", "a run", ["embedded data"])

    with Image.open(tmp_path / "result.png") as image:
        assert ink(image).any()


@pytest.mark.parametrize(("epochs", "frames"), [(1, 1), (2, 2), (31, 31), (60, 60), (200, 60)])
def test_a_gif_has_a_frame_an_epoch_up_to_sixty(tmp_path: Path, epochs: int, frames: int) -> None:
    curves_gif(long_log(epochs), tmp_path / "result.gif", "a run", [])

    with Image.open(tmp_path / "result.gif") as image:
        assert getattr(image, "n_frames", 1) == frames


def test_a_gif_grows_on_fixed_axes_and_holds_the_end(tmp_path: Path) -> None:
    curves_gif(long_log(12), tmp_path / "result.gif", "a run", ["embedded data"])

    durations, drawn = [], []
    with Image.open(tmp_path / "result.gif") as image:
        for frame in range(12):
            image.seek(frame)
            durations.append(image.info["duration"])
            drawn.append(ink(image))
    assert durations == [60] * 11 + [2500]
    amounts = [frame.sum() for frame in drawn]
    assert amounts == sorted(amounts)
    assert amounts[-1] > 2 * amounts[0]
    # what was drawn early stays where it is: the axes do not move
    assert all((drawn[0] & ~frame).sum() <= 0.02 * drawn[0].sum() for frame in drawn[1:])


def test_a_gif_ends_with_the_still_picture(tmp_path: Path) -> None:
    curves_gif(long_log(9), tmp_path / "result.gif", "a run", ["embedded data"])
    curves_png(long_log(9), tmp_path / "result.png", "a run", ["embedded data"])

    with Image.open(tmp_path / "result.gif") as gif, Image.open(tmp_path / "result.png") as png:
        gif.seek(8)
        last = ink(gif).mean()
        assert last == pytest.approx(ink(png).mean(), rel=0.25)
        corner = gif.convert("RGB").getpixel((2, 2))
    assert corner == (255, 255, 255)


def test_frames_are_cheap(tmp_path: Path) -> None:
    curves_gif(long_log(2), tmp_path / "warm.gif", "a run", [])
    start = time.process_time()

    curves_gif(long_log(60), tmp_path / "result.gif", "a run", [])

    assert (time.process_time() - start) / 60 < 0.060


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_diverged_run_is_still_drawn(tmp_path: Path, value: float) -> None:
    log = make_log()
    log.loc[2:, "train/loss"] = value
    log["val/loss"] = value

    curves_png(log, tmp_path / "a.png", "a run", [])
    curves_gif(log, tmp_path / "a.gif", "a run", [])

    assert (tmp_path / "a.png").stat().st_size > 0


def test_an_empty_log_is_drawn_as_empty_panels(tmp_path: Path) -> None:
    curves_png(make_log().iloc[:0], tmp_path / "a.png", "a run", [])
    curves_gif(make_log().iloc[:0], tmp_path / "a.gif", "a run", [])

    assert (tmp_path / "a.gif").stat().st_size > 0


def test_rows_of_a_table_are_drawn_with_a_band(tmp_path: Path) -> None:
    curves = [
        Curve("a, dataset", "a", (make_log(), make_log((0.3, 0.5, 0.7, 0.9)))),
        Curve("b, dataset", "b", (make_log((0.1, 0.2)),)),
        Curve("a very long name " * 9, "a", (make_log((0.5,)),)),
        Curve("never finished", "c", ()),
    ]

    png = comparison_png(curves, "a table", ["embedded data"])

    assert png is not None
    with Image.open(io.BytesIO(png)) as image:
        assert image.width == 1100
        assert ink(image).any()


def test_the_band_covers_the_epochs_that_every_seed_has() -> None:
    lengths = [(0.1, 0.2, 0.3, 0.4, 0.5), (0.3, 0.4, 0.8), (0.2, 0.9, 0.1, 0.1)]
    _, ((axes,),) = figures.new_figure(1, 1, (4, 3), "", [])

    comparison._band(axes, [make_log(values) for values in lengths], "train/acc", 100.0, "red", "-")

    expected = 100 * np.array([values[:3] for values in lengths])
    np.testing.assert_array_equal(axes.lines[0].get_xdata(), [1, 2, 3])
    np.testing.assert_allclose(axes.lines[0].get_ydata(), expected.mean(axis=0))
    (band,) = axes.collections
    outline = band.get_paths()[0].vertices
    for epoch, low, high in zip((1, 2, 3), expected.min(axis=0), expected.max(axis=0), strict=True):
        values = outline[outline[:, 0] == epoch, 1]
        np.testing.assert_allclose([values.min(), values.max()], [low, high])


@pytest.mark.parametrize("families", ["aabbccdd", "aaaaaaaaa", "abcdefghi", "aaaaab", "a", "abababab"])
def test_no_two_rows_look_the_same(families: str) -> None:
    looks = comparison._looks([Curve(str(row), family, ()) for row, family in enumerate(families)])

    assert len(set(looks)) == len(families)


def test_rows_of_one_policy_share_a_colour() -> None:
    looks = comparison._looks([Curve(str(row), family, ()) for row, family in enumerate("aabb")])

    assert [colour for colour, _ in looks] == [figures.PALETTE[0]] * 2 + [figures.PALETTE[1]] * 2


def test_without_a_log_there_is_no_figure() -> None:
    assert comparison_png([Curve("a", "a", ())], "a table", []) is None

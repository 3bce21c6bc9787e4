import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from labs.drawing.animation import FRAME_MS, HOLD_MS, save_animation


def test_what_moves_moves_and_colors_that_only_the_first_frame_has_stay(tmp_path) -> None:  # type: ignore[no-untyped-def]
    figure = Figure(figsize=(2, 1), dpi=50, facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, 10), ylim=(0, 1))
    axes.axhline(0.1, color="black")
    dot = axes.plot([], [], "o", markersize=12)[0]

    def show(frame: int) -> None:
        dot.set_data([2 * frame], [0.5])
        dot.set_color("#D55E00" if frame < 2 else "#009E73")

    save_animation(figure, [dot], [1, 2, 4], show, tmp_path / "a.gif")
    with Image.open(tmp_path / "a.gif") as image:
        frames = []
        for place in range(3):
            image.seek(place)
            frames.append(np.asarray(image.convert("RGB"), dtype=int))
            assert image.info["duration"] == (HOLD_MS if place == 2 else FRAME_MS)
    for frame, x, color in zip(frames, (20, 40, 80), ((0xD5, 0x5E, 0), (0, 0x9E, 0x73), (0, 0x9E, 0x73))):
        assert np.abs(frame[25, x] - color).max() <= 8
        assert (frame[2, 2] == 255).all()
    assert (frames[0][25, 80] == 255).all()

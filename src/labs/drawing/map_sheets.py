"""Sheets of attribution maps over images, with the results of their checks."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from PIL import Image
from torch import Tensor

from labs.drawing.curves import PALETTE
from labs.drawing.figures import Figure, shortened
from labs.drawing.picture_files import as_image
from labs.functional.faithfulness import area, scaled
from labs.inspection.map_checks import CheckedMap

COLORS = "inferno"  # color map: dark is low, bright is high
MOST = 8  # images on the sheet of all images
GOOD, BAD = "#1b6e3c", "#b3261e"
WIDEST = 22  # characters of a class name


@dataclass(frozen=True)
class ShownMap:
    """A map with its image.

    Attributes:
        name: Name of the image.
        image: (3, height, width) in [0, 1].
        top: The most probable classes with their probabilities, in descending order.
        target: Name of the class that the map explains.
        label: Name of the true class; empty if unknown.
        checked: The map and the results of its checks.
    """

    name: str
    image: Tensor
    top: list[tuple[str, float]]
    target: str
    label: str
    checked: CheckedMap


def map_picture(values: Tensor) -> np.ndarray:
    """Color a map (height, width) as uint8 (height, width, 3); the brightest hundredth of its pixels saturates."""
    from matplotlib import colormaps

    colored = colormaps[COLORS](scaled(values[None])[0].numpy())
    return np.round(colored[..., :3] * 255).astype(np.uint8)


def overlay(image: Tensor, values: Tensor) -> np.ndarray:
    """Overlay a map on a faded gray image (3, height, width) in [0, 1]; return uint8 (height, width, 3)."""
    strength = scaled(values[None])[0].sqrt().numpy()[..., None]
    gray = 0.35 + 0.5 * image.mean(0).numpy()[..., None]
    colored = map_picture(values).astype(np.float32) / 255
    return np.round(255 * ((1 - strength) * gray + strength * colored).clip(0, 1)).astype(np.uint8)


def sheet_of_maps(shown: Sequence[ShownMap], path: Path, title: str, labels: Sequence[str]) -> None:
    """Draw one column per image: the image, its map, the overlay, and the map of random weights.

    Args:
        shown: The maps; at most `MOST` of them are drawn.
        path: The PNG file to write.
        title: Title of the sheet.
        labels: Notes for the reader, such as "embedded data".
    """
    more = len(shown) - MOST
    shown = shown[:MOST]
    figure = Figure(figsize=(1.2 + 2.1 * len(shown), 10.2), layout="constrained", facecolor="white")
    _title(figure, title + (f"; {more} more images have their own sheets" if more > 0 else ""), labels)
    panels = figure.subplots(4, len(shown), squeeze=False)
    rows = ("image", "map", "map over image", "same map,\nrandom weights")
    for axes, word in zip(panels[:, 0], rows, strict=True):
        axes.set_ylabel(word, fontsize=12)
    for column, one in zip(panels.T, shown, strict=True):
        pictures: tuple[np.ndarray | Image.Image, ...] = (
            as_image(one.image),
            map_picture(one.checked.map),
            overlay(one.image, one.checked.map),
            map_picture(one.checked.random_map),
        )
        for axes, picture in zip(column, pictures, strict=True):
            _picture(axes, picture)
        column[0].set_title(
            f"{shortened(one.target, WIDEST)}\n{one.checked.numbers['confidence']:.0%}", fontsize=12, parse_math=False
        )
        _verdict(column[3], one.checked)
    figure.write(path, dpi=100)


def sheet_of_map(one: ShownMap, path: Path, title: str, labels: Sequence[str]) -> None:
    """Draw one image with its map, its most probable classes, and the curves of the map's checks."""
    checked, numbers = one.checked, one.checked.numbers
    figure = Figure(figsize=(15, 8.2), layout="constrained", facecolor="white")
    _title(figure, title, labels)
    upper, lower = figure.subplots(2, 4)
    _picture(upper[0], as_image(one.image))
    upper[0].set_title(
        one.name + (f" ({shortened(one.label, WIDEST)})" if one.label else ""), fontsize=12, parse_math=False
    )
    _picture(upper[1], map_picture(checked.map))
    upper[1].set_title(f"map for the class {shortened(one.target, WIDEST)}", fontsize=12, parse_math=False)
    _picture(upper[2], overlay(one.image, checked.map))
    upper[2].set_title("map over image", fontsize=12)
    _bars(upper[3], one)
    _picture(lower[0], map_picture(checked.random_map))
    lower[0].set_title("same map, random weights", fontsize=12)
    _cascade(lower[1], checked)
    for axes, kind in zip(lower[2:], ("deletion", "insertion"), strict=True):
        _curves(axes, kind, checked)
    lines = (
        [f"fails: {'; '.join(checked.faults)}"]
        if checked.faults
        else [
            f"passes: random weights give a different map (Spearman {numbers['spearman']:.2f}), and deleting its "
            "pixels removes the class faster than random deletion"
        ]
    )
    figure.supxlabel("; ".join(lines), fontsize=13, color=BAD if checked.faults else GOOD)
    figure.write(path, dpi=100)


def _title(figure: Figure, title: str, labels: Sequence[str]) -> None:
    figure.suptitle("\n".join(filter(None, (title, " · ".join(labels)))), fontsize=14, parse_math=False)


def _picture(axes: Axes, picture: np.ndarray | Image.Image) -> None:
    axes.imshow(picture, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)


def _verdict(axes: Axes, checked: CheckedMap) -> None:
    numbers = checked.numbers
    ratio = numbers["deletion"] / max(numbers["random_deletion"], 1e-12)
    words = "fails" if checked.faults else "passes"
    text = f"{words}\nSpearman {numbers['spearman']:.2f}\ndeletion {ratio:.2f}"
    axes.set_xlabel(text, fontsize=12, color=BAD if checked.faults else GOOD)


def _bars(axes: Axes, one: ShownMap) -> None:
    names, values = [name for name, _ in one.top], [value for _, value in one.top]
    colors = [PALETTE[1] if name == one.target else PALETTE[5] for name in names]
    axes.barh(range(len(names)), values, color=colors, height=0.55)
    axes.set_yticks([])
    axes.set_xlim(0, 1)
    axes.set_ylim(len(names) - 0.4, -0.75)
    for place, (name, value) in enumerate(one.top):
        axes.text(0, place - 0.32, f"{shortened(name, 34)}  {value:.1%}", fontsize=11, va="bottom", parse_math=False)
    axes.set_title("prediction of the net", fontsize=12)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.tick_params(labelsize=10)


def _cascade(axes: Axes, checked: CheckedMap) -> None:
    shares = np.concatenate([[0], checked.shares.numpy()])
    for values, word, color in ((checked.spearman, "Spearman", PALETTE[0]), (checked.ssim, "SSIM", PALETTE[3])):
        axes.plot(shares, np.concatenate([[1], values.numpy()]), color=color, marker="o", ms=4, lw=2, label=word)
    axes.axhline(0, color="gray", lw=0.8)
    axes.set(ylim=(-0.35, 1.05), xlim=(0, 1))
    axes.set_xlabel("fraction of layers with random weights", fontsize=11)
    axes.set_title("similarity to the map above", fontsize=12)
    axes.legend(fontsize=10, frameon=False)
    axes.tick_params(labelsize=10)


def _curves(axes: Axes, kind: str, checked: CheckedMap) -> None:
    ours, random = getattr(checked, kind), getattr(checked, f"random_{kind}")
    share = np.linspace(0, 1, len(ours))
    areas = [float(area(curve[None])) for curve in (ours, random)]
    axes.plot(share, ours.numpy(), color=PALETTE[1], lw=2, label=f"order of the map (area {areas[0]:.2f})")
    axes.plot(share, random.numpy(), color="gray", lw=2, ls="--", label=f"random order (area {areas[1]:.2f})")
    axes.set(ylim=(0, 1.25 * max(float(ours.max()), float(random.max()), 0.01)), xlim=(0, 1))  # room for the legend
    axes.set_xlabel(f"fraction of pixels {'deleted' if kind == 'deletion' else 'inserted'}", fontsize=11)
    axes.set_title(f"{kind}: probability, {'lower' if kind == 'deletion' else 'higher'} is better", fontsize=12)
    axes.legend(fontsize=10, frameon=False, loc="upper right" if kind == "deletion" else "upper left")
    axes.tick_params(labelsize=10)

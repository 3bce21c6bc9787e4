"""A GAN's run on one sheet: samples as training went on, losses, distances, ways between latents, neighbours."""

import json
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from labs.reporting.figures import PALETTE


def gan_sheet(run_dir: Path, metrics: Mapping[str, float], at: Sequence[int], facts: Mapping[str, Any]) -> None:
    """Draw `images/sheet.png` from the files of a run directory.

    Args:
        run_dir: with `images/samples/`, `losses.tsv`, `quality.json` and the pictures of the end; what is missing is
            left blank.
        metrics: by name, such as `test/fid`.
        at: iterations whose samples are shown beside those of the end.
        facts: of `metrics.json`: the experiment and its labels stand above, credits of photographs below.
    """
    images = run_dir / "images"
    figure = Figure(figsize=(15, 15.5), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    title = facts.get("experiment", ""), " · ".join(facts.get("labels", []))
    figure.suptitle("\n".join(filter(None, title)), fontsize=13)
    if facts.get("credits"):
        figure.supxlabel(textwrap.fill("; ".join(facts["credits"]), 190), fontsize=7)
    panels = figure.subplots(3, 3, gridspec_kw={"height_ratios": (1.2, 0.9, 1.2)})
    for axes, file in zip(panels[0], _chosen(images / "samples", at), strict=False):
        _show(axes, file, f"iteration {int(file.stem)}")
    draw_losses(panels[1][0], run_dir / "losses.tsv")
    _distances(panels[1][1], run_dir / "log.tsv", metrics)
    quality = _read(run_dir / "quality.json")
    _histogram(panels[1][2], quality)
    _show(panels[2][0], images / "interpolation_linear.png", "between two latents a column, linear")
    _show(panels[2][1], images / "interpolation_spherical.png", "the same, spherical")
    below, above = panels[2][2].inset_axes((0, 0, 1, 0.62)), panels[2][2].inset_axes((0, 0.66, 1, 0.3))
    _show(above, images / "neighbours.png", "the samples nearest to a training image, which is below")
    below.text(0, 1, in_words(metrics, quality), va="top", fontsize=10, transform=below.transAxes)
    for axes in (below, *(axes for row in panels for axes in row if not axes.has_data())):
        axes.set_axis_off()
    figure.savefig(images / "sheet.png", format="png", dpi=100)


def in_words(metrics: Mapping[str, float], quality: Mapping[str, object]) -> str:
    """Write the measures of a run, a line each."""
    fid = "FID {test/fid:.3g}: {test/fid_floor:.2g} for real training images, {test/fid_start:.3g} before training"
    lines = [
        fid,
        "KID {test/kid:.3g}: {test/kid_floor:.2g} for real training images",
        "coverage {test/coverage:.0f} classes, histogram distance {test/histogram_distance:.3f}",
        "precision {test/precision:.3f}, recall {test/recall:.3f}",
        "label agreement {test/label_agreement:.3f}",
        "neighbour ratio {test/neighbour_ratio:.2f} (1: as far from training images as real ones, 0: copies)",
        "FID with batch statistics {test/fid_batch_statistics:.3g}",
        "Inception FID {test/inception_fid:.4g}",
    ]
    said = []
    for line in lines:
        try:
            said.append(line.format_map(metrics))
        except KeyError:  # not measured in this run
            continue
    if quality:
        said.append(
            f"{quality['samples']} samples (seed {quality['seed']}) against {quality['held_out']} held-out images; "
            f"judge {quality['judge']}, {100 * float(str(quality['judge_accuracy'])):.1f} % right"
        )
    return "\n".join(textwrap.fill(line, 62, subsequent_indent="   ") for line in said)


def draw_losses(axes: Axes, file: Path) -> None:
    """Draw both losses of `losses.tsv`: every iteration pale, their running mean over it.

    One spike must not flatten all: the axis ends at the 99.5th percentile.
    """
    try:
        losses = pd.read_csv(file, sep="\t").astype(float)
        curves = {name: losses[name] for name in ("discriminator", "generator")}
        iterations = losses["iteration"]
    except (OSError, ValueError, KeyError):  # missing, or nothing that anybody can read
        return
    for (name, values), colour in zip(curves.items(), PALETTE):
        axes.plot(iterations, values, color=colour, alpha=0.25, lw=0.6)
        smooth = values.rolling(max(len(values) // 50, 1), min_periods=1, center=True).mean()
        axes.plot(iterations, smooth, color=colour, lw=1.5, label=name)
    every = np.concatenate([values[np.isfinite(values)] for values in curves.values()])
    if len(every):
        low, high = np.quantile(every, (0.005, 0.995))
        axes.set_ylim(min(0.0, low), high + 0.05 * (high - low) + 1e-6)
    axes.set_title("losses", fontsize=10)
    axes.set_xlabel("iteration", fontsize=8)
    axes.tick_params(labelsize=8)
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.legend(fontsize=8, frameon=False)


def _chosen(samples: Path, at: Sequence[int]) -> list[Path]:
    """Return the samples of the first two stated iterations that there are, and those of the end."""
    frames = sorted(samples.glob("*.png"))
    stated = [frame for frame in frames if int(frame.stem) in at and frame != frames[-1]][:2]
    return [*stated, *frames[-1:]]


def _distances(axes: Axes, file: Path, metrics: Mapping[str, float]) -> None:
    try:
        log = pd.read_csv(file, sep="\t")
        axes.plot(log["epoch"], log["val/fid"], color=PALETTE[0], lw=1.6, label="generated")
    except (OSError, ValueError, KeyError):
        return
    for name, style in (("start", ":"), ("floor", "--")):
        value = metrics.get(f"test/fid_{name}")
        if value is not None and value > 0:
            words = {"start": "before training", "floor": "real training images"}[name]
            axes.axhline(value, color="#555555", ls=style, lw=1, label=words)
    axes.set_yscale("log")
    axes.set_title("FID against held-out images", fontsize=10)
    axes.set_xlabel("epoch", fontsize=8)
    axes.tick_params(labelsize=8)
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.legend(fontsize=8, frameon=False)


def _histogram(axes: Axes, quality: Mapping[str, list]) -> None:
    if not quality:
        return
    places = np.arange(len(quality["classes"]))
    for offset, (kind, colour) in enumerate((("generated", PALETTE[0]), ("real", "#bbbbbb"))):
        counts = np.asarray(quality[f"{kind}_per_class"], dtype=float)
        axes.bar(places + 0.4 * offset - 0.2, 100 * counts / max(counts.sum(), 1), 0.4, color=colour, label=kind)
    axes.set_xticks(places, quality["classes"], fontsize=8)
    axes.set_title("classes, as the judge sees them (%)", fontsize=10)
    axes.tick_params(labelsize=8)
    axes.legend(fontsize=8, frameon=False)


def _read(file: Path) -> dict:
    try:
        content: dict = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content


def _show(axes: Axes, file: Path, title: str) -> None:
    axes.set_title(title, fontsize=10)
    axes.set_axis_off()
    try:
        with Image.open(file) as image:
            axes.imshow(image.convert("RGB"), interpolation="nearest")
    except (OSError, SyntaxError, ValueError):  # Pillow raises each of them on some damaged file
        axes.text(0.5, 0.5, "cannot be read", transform=axes.transAxes, ha="center")

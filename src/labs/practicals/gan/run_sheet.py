"""A GAN's run on one sheet: samples during training, losses, distances, interpolations, nearest training images."""

import textwrap
from collections.abc import Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from labs.drawing.curves import PALETTE, marker_size
from labs.drawing.figures import Figure
from labs.drawing.picture_sheets import show
from labs.runs.directory import read_facts
from labs.runs.recipe import read_recipe_text, without_aliases
from labs.runs.references import check_references
from labs.storage.files import read_json, read_text

LOSSES = {"discriminator": PALETTE[0], "generator": PALETTE[1]}
# where the iterations that hand-out 002 shows before the end lie in its run: 400 and 2,000 of 2,345
PLACES = (1 / 6, 5 / 6)
SMOOTHED = 50  # a moving median is taken over one part in so many of the iterations


def draw_run_sheet(run_dir: Path, metrics: Mapping[str, float]) -> None:
    """Draw `images/sheet.png` from the files of a run directory.

    Args:
        run_dir: with `images/samples/`, `losses.tsv`, `quality.json` and the pictures of the end; what is missing is
            left blank.
        metrics: by name, such as `test/fid`; `metrics.json` has them only when the run has ended.
    """
    images, facts = run_dir / "images", read_facts(run_dir)
    figure = Figure(figsize=(15, 15.5), layout="constrained", facecolor="white")
    title = facts.get("experiment", ""), " · ".join(facts.get("labels", []))
    figure.suptitle("\n".join(filter(None, title)), fontsize=13)
    if facts.get("credits"):
        figure.supxlabel(textwrap.fill("; ".join(facts["credits"]), 190), fontsize=7)
    panels = figure.subplots(3, 3, gridspec_kw={"height_ratios": (1.2, 0.9, 1.2)})
    samples = {int(file.stem): file for file in (images / "samples").glob("*.png") if file.stem.isdecimal()}
    for axes, iteration in zip(panels[0], choose(list(samples), stated_iterations(run_dir)), strict=False):
        show(axes, samples[iteration], f"iteration {iteration}")
    losses = read_losses(run_dir)
    if losses is not None:
        draw_losses(panels[1][0], losses)
    draw_distances(panels[1][1], run_dir / "log.tsv", metrics)
    quality = _read(run_dir / "quality.json")
    _histogram(panels[1][2], quality)
    show(panels[2][0], images / "interpolation_linear.png", "each column: from one latent to another, linear")
    show(panels[2][1], images / "interpolation_spherical.png", "the same, spherical")
    below, above = panels[2][2].inset_axes((0, 0, 1, 0.62)), panels[2][2].inset_axes((0, 0.66, 1, 0.3))
    show(above, images / "neighbours.png", "the samples nearest to a training image, which is below")
    below.text(0, 1, in_words(metrics, quality), va="top", fontsize=10, transform=below.transAxes)
    for axes in (below, *(axes for row in panels for axes in row if not axes.has_data())):
        axes.set_axis_off()
    figure.write(images / "sheet.png", dpi=100)


def in_words(metrics: Mapping[str, float], quality: Mapping[str, object]) -> str:
    """Write the measures of a run, one per line."""
    fid = "FID {test/fid:.3g}: {test/fid_floor:.2g} for real training images, {test/fid_start:.3g} before training"
    lines = [
        fid,
        "KID {test/kid:.3g}: {test/kid_floor:.2g} for real training images",
        "coverage {test/coverage:.0f} classes, histogram distance {test/histogram_distance:.3f}",
        "precision {test/precision:.3f}, recall {test/recall:.3f}",
        "label agreement {test/label_agreement:.3f}",
        "neighbor ratio {test/neighbour_ratio:.2f} (1: as far from training images as real ones, 0: copies)",
        "FID with batch statistics {test/fid_batch_statistics:.3g}",
        "Inception FID {test/inception_fid:.4g}",
    ]
    sentences = []
    for line in lines:
        try:
            sentences.append(line.format_map(metrics))
        except KeyError:  # not measured in this run
            continue
    if quality:
        sentences.append(
            f"{quality['samples']} samples (seed {quality['seed']}) against {quality['held_out']} held-out images; "
            f"judge {quality['judge']}, {100 * float(str(quality['judge_accuracy'])):.1f} % right"
        )
    return "\n".join(textwrap.fill(line, 62, subsequent_indent="   ") for line in sentences)


def stated_iterations(run_dir: Path) -> list[int]:
    """Return the iterations that a run was asked to show samples of, as its recipe says; none if that is unknown."""
    try:
        recipe = OmegaConf.create(without_aliases(read_recipe_text(run_dir / ".hydra" / "config.yaml")))
        check_references(OmegaConf.to_container(recipe, resolve=False), "callbacks.samples.at")
        return [int(iteration) for iteration in OmegaConf.select(recipe, "callbacks.samples.at") or ()]
    except (OSError, ValueError, RecursionError, YAMLError, OmegaConfBaseException):
        return []


def choose(iterations: Sequence[int], stated: Sequence[int]) -> list[int]:
    """Choose up to three iterations: the first two stated ones and the last.

    Where a stated one is missing, it is the iteration nearest to where the hand-out's lies in its run.

    Examples:
        >>> choose([0, 100, 400, 1000, 2000, 2345], stated=[400, 2000])
        [400, 2000, 2345]
        >>> choose([0, 10, 20, 30, 40, 50, 60], stated=[400, 2000])
        [10, 50, 60]
    """
    *before, end = sorted(iterations) or [0]
    chosen = [iteration for iteration in before if iteration in stated][:2]
    for place in PLACES[len(chosen) :]:
        left = [iteration for iteration in before if iteration not in chosen]
        chosen += [min(left, key=lambda iteration: abs(iteration - place * end))] if left else []
    return [*sorted(chosen), end] if iterations else []


def read_losses(run_dir: Path) -> pd.DataFrame | None:
    """Read `losses.tsv`, one row per iteration; None if there is none, or it cannot be read."""
    try:
        table = pd.read_csv(StringIO(read_text(run_dir / "losses.tsv")), sep="\t").astype(float)
    except (OSError, ValueError, TypeError):  # what pandas raises for damaged files
        return None
    return table if len(table) and {"iteration", *LOSSES} <= set(table.columns) else None


def draw_losses(axes: Axes, losses: pd.DataFrame) -> None:
    """Draw each loss as it was, lightly, and its moving median; a few spikes leave the panel."""
    for name, color in LOSSES.items():
        smooth = losses[name].rolling(max(1, len(losses) // SMOOTHED), center=True, min_periods=1).median()
        axes.plot(losses["iteration"], losses[name], color=color, lw=0.4, alpha=0.3)
        axes.plot(losses["iteration"], smooth, color=color, lw=1.4, label=name)
    values = losses[list(LOSSES)].to_numpy()
    values = values[np.isfinite(values)]
    if len(values):
        low, high = np.quantile(values, (0.005, 0.995))
        room = max(0.08 * (high - low), 0.05)
        axes.set_ylim(low - room, high + room)
    _finish(axes, "losses", "iteration")


def draw_distances(axes: Axes, file: Path, metrics: Mapping[str, float]) -> None:
    """Draw the FID of each epoch of a `log.tsv`, of the start and of real images; nothing if the file is damaged."""
    try:
        log = pd.read_csv(StringIO(read_text(file)), sep="\t")
        look: dict[str, Any] = {"color": PALETTE[0], "marker": "o", "markersize": marker_size(len(log))}
        axes.plot(log["epoch"], log["val/fid"], lw=1.6, label="generated", **look)
    except (OSError, ValueError, TypeError, KeyError):
        return
    for name, style in (("start", ":"), ("floor", "--")):
        value = metrics.get(f"test/fid_{name}")
        if value is not None and value > 0:
            words = {"start": "before training", "floor": "real training images"}[name]
            axes.axhline(value, color="#555555", ls=style, lw=1, label=words)
    axes.set_yscale("log")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    _finish(axes, "FID against held-out images", "epoch")


def _histogram(axes: Axes, quality: Mapping[str, list]) -> None:
    if not quality:
        return
    places = np.arange(len(quality["classes"]))
    for offset, (kind, color) in enumerate((("generated", PALETTE[0]), ("real", "#bbbbbb"))):
        counts = np.asarray(quality[f"{kind}_per_class"], dtype=float)
        axes.bar(places + 0.4 * offset - 0.2, 100 * counts / max(counts.sum(), 1), 0.4, color=color, label=kind)
    axes.set_xticks(places, quality["classes"], fontsize=8)
    _finish(axes, "classes, as the judge sees them (%)", "class")


def _read(file: Path) -> dict:
    try:
        content = read_json(file)
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _finish(axes: Axes, title: str, along: str) -> None:
    axes.set_title(title, fontsize=9)
    axes.set_xlabel(along, fontsize=8)
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.tick_params(labelsize=8)
    axes.legend(fontsize=8, frameon=False)

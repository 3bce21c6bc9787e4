"""Generative adversarial networks: variations of DCGAN, and numbers for what samples are worth."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from labs.practicals import CURVES, SECONDS, Column, Plot, Sheet

if TYPE_CHECKING:
    from labs.reporting.row import Row


def _draw_samples(rows: "Sequence[Row]", title: str) -> bytes | None:
    from labs.practicals.gan.table_of_samples import draw_table_of_samples

    return draw_table_of_samples(rows, title)


def _observations(rows: "Sequence[Row]") -> list[str]:
    from labs.practicals.gan.observations import observations

    return observations(rows)


def _draw_run(run_dir: Path, metrics: Mapping[str, float]) -> None:
    from labs.practicals.gan.run_sheet import draw_run_sheet

    draw_run_sheet(run_dir, metrics)


SHEET = Sheet(
    title="Generative adversarial networks",
    handout="hand-out 002, 2-d and 2-e",
    docs="docs/gan.md",
    leads="test/fid",
    ranks=False,  # rows differ in their epochs and sizes: they are variations, not rivals
    watched=("val/fid",),
    columns=(
        Column("epochs", "epochs", "neither", "count", read=lambda run: run.epochs),
        Column("test/fid", "FID", "lower", interval=True),
        Column("test/fid_floor", "FID floor", "neither"),
        Column("test/fid_start", "FID at the start", "neither"),
        Column("test/kid", "KID", "lower"),
        Column("test/coverage", "classes covered", "higher", "count"),
        Column("test/precision", "precision", "higher"),
        Column("test/recall", "recall", "higher"),
        Column(
            "test/label_agreement",
            "label agreement",
            "higher",
            note="Label agreement: share of samples classified as was asked for.",
        ),
        Column("test/neighbour_ratio", "neighbour ratio", "neither"),
        Column("train/discriminator_loss", "discriminator", "neither", group="Losses"),
        Column("train/generator_loss", "generator", "neither", group="Losses"),
        replace(SECONDS, title="seconds, with measuring"),
    ),
    caption=(
        "FID and KID measure how far samples are from held-out real images by our own classifier of such images "
        "(CIFAR-10 has its own): they compare with each other only; the floor is that of real training images. "
        "Classes covered: of ten, with a fair share of the samples. Precision, recall: shares of samples among "
        "real images, of real images among samples. Neighbour ratio: distance to the nearest training image, 1 as "
        "for new real images, 0 for copies."
    ),
    published=__name__,
    files=("losses.tsv", "quality.json", "images/*.png", "images/*.gif", "images/samples/*.png"),
    pictures=("images/sheet.png",),
    plots=(
        Plot(
            "samples",
            "All samples",
            "Numbers are means over seeds. Of the first seed: samples of the same latents, and losses with moving "
            "medians (the outermost half percent above and below may be cut off).",
            _draw_samples,
        ),
        CURVES,
    ),
    observations=_observations,
    draw=_draw_run,
    try_out=("module.net.ngf=4", "module.net.ndf=4"),
)

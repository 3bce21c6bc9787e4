"""Generative adversarial networks: variations of DCGAN, and numbers for what samples are worth."""

from dataclasses import replace

from labs.practicals import CURVES, SECONDS, Column, Plot, Sheet, later

_AGREEMENT = "Label agreement: share of samples classified as was asked for."

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
        Column("test/histogram_distance", "histogram distance", "lower"),
        Column("test/precision", "precision", "higher"),
        Column("test/recall", "recall", "higher"),
        Column("test/label_agreement", "label agreement", "higher", note=_AGREEMENT),
        Column("test/neighbour_ratio", "neighbour ratio", "neither"),
        Column("train/discriminator_loss", "discriminator", "neither", group="Losses"),
        Column("train/generator_loss", "generator", "neither", group="Losses"),
        replace(SECONDS, title="seconds, with measuring"),
    ),
    caption=(
        "FID and KID measure how far samples are from held-out real images by our own classifier of such images "
        "(CIFAR-10 has its own): they compare with each other only; the floor is that of real training images. "
        "Classes covered: of ten, with a fair share of the samples; histogram distance: of these shares from those of "
        "real images. Precision, recall: shares of samples among real images, of real images among samples. Neighbour "
        "ratio: distance to the nearest training image, 1 as for new real images, 0 for copies."
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
            later(f"{__name__}.table_of_samples.draw_table_of_samples"),
        ),
        CURVES,
    ),
    observations=later(f"{__name__}.observations.observations"),
    draw=later(f"{__name__}.run_sheet.draw_run_sheet"),
    try_out=("module.net.ngf=4", "module.net.ndf=4"),
)

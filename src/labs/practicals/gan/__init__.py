"""Generative adversarial networks: variations of DCGAN, and numbers for how good samples are."""

from dataclasses import replace

from labs.practicals import CURVES, SECONDS, Column, Plot, Question, Sheet, later

_AGREEMENT = "Label agreement: the share of samples that show the class that was asked for."

SHEET = Sheet(
    title="Generative adversarial networks",
    handout="hand-out 002, 2-d and 2-e",
    docs="docs/gan.md",
    about="Parts 2-d and 2-e train generative adversarial networks on digits and on small photographs.",
    questions=(
        Question("002, 2-de 1", "What do the two losses reward, and what would happen with only one of them?"),
        Question("002, 2-de 2", "Into which distribution should the generator turn that of the latents?"),
        Question("002, 2-de 3", "What is the true loss of the generator, and why is another one used?"),
        Question("002, 2-de 4", "How do the samples, the two losses and the stability develop during training?"),
        Question("002, 2-de 5.1", "What do more filters in the generator or in the discriminator change?"),
        Question("002, 2-de 5.2", "What does PyTorch's default initialization change?"),
        Question("002, 2-de 5.3", "What does the true loss of question 3 change?"),
        Question("002, 2-de 5.4", "What do ten times larger and ten times smaller learning rates change?"),
        Question("002, 2-de 5.5", "What do 30 epochs bring?"),
        Question("002, 2-de 5.6", "What do 10 and 1000 latent dimensions change?"),
        Question("002, 2-de 5.7", "What happens between two latents when you go from one to the other in small steps?"),
        Question("002, 2-de 5.8", "How do samples of 64x64 pixels come out, and why?"),
        Question("002, 2-de 5.9", "How does the method do on CIFAR-10?"),
        Question("002, 2-de 6", "What does the conditional GAN do better or worse?"),
        Question("002, 2-de 7", "Could the discriminator do without the label?"),
        Question("002, 2-de 8", "Is the conditional GAN more successful than the plain one, and why?"),
        Question("002, 2-de 9", "What does the latent stand for, now that the label is given?"),
    ),
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
        Column("test/neighbour_ratio", "neighbor ratio", "neither"),
        Column("train/discriminator_loss", "discriminator", "neither", group="Losses"),
        Column("train/generator_loss", "generator", "neither", group="Losses"),
        replace(SECONDS, title="seconds, including measuring"),
    ),
    caption=(
        "FID and KID measure how far samples are from held-out real images, by our own classifier of such images "
        "(CIFAR-10 has its own). Compare them only with each other. The floor is the value of real training images. "
        "Classes covered: how many of ten have a fair share of the samples. Histogram distance: how far these shares "
        "are from those of real images. Precision: the share of samples that lie among real images. Recall: the share "
        "of real images that lie among samples. Neighbor ratio: the distance to the nearest training image; 1 as for "
        "new real images, 0 for copies."
    ),
    published=__name__,
    files=("losses.tsv", "quality.json", "images/*.png", "images/*.gif", "images/samples/*.png"),
    pictures=("images/sheet.png",),
    plots=(
        Plot(
            "samples",
            "All samples",
            "Numbers are means over seeds. Samples (of the same latents) and losses are those of the first seed. "
            "Losses have moving medians; the outermost half percent above and below may be cut off.",
            later(f"{__name__}.table_of_samples.draw_table_of_samples"),
        ),
        CURVES,
    ),
    observations=later(f"{__name__}.observations.observations"),
    draw=later(f"{__name__}.run_sheet.draw_run_sheet"),
    try_out=("module.net.ngf=4", "module.net.ndf=4"),
)

"""What the report of each practical shows: the one place to extend for a new practical.

Write one function that takes the runs of a table and returns a `Layout` (the columns of the table, its plots, and
which pictures of a run directory are shown), and name it in `LAYOUTS` under the practical, or any, and the module of
its runs. Runs that no layout knows get `generic`.
"""

from collections.abc import Callable, Sequence

from labs.reporting import sample_observations
from labs.reporting.domain_layout import domains
from labs.reporting.evidence import is_accuracy
from labs.reporting.layout import CURVES, Column, Layout, Plot, metric
from labs.reporting.published import load_published
from labs.reporting.recorded_run import Run
from labs.reporting.table_of_pictures import draw_table_of_pictures, observations
from labs.reporting.table_of_samples import draw_table_of_samples


def best_training_epoch(run: Run) -> int | None:
    """Return the place (from 0) of the first epoch with the highest training accuracy."""
    if run.log is None or "train/acc" not in run.log or run.log["train/acc"].dropna().empty:
        return None
    return int(run.log["train/acc"].argmax())


def at_best_training_epoch(column: str) -> Callable[[Run], float | None]:
    """Return a reader of a column of log.tsv at the epoch with the highest training accuracy."""

    def read(run: Run) -> float | None:
        place = best_training_epoch(run)
        if place is None or run.log is None or column not in run.log:
            return None
        return float(run.log[column].iloc[place])

    return read


CLASSIFIER_COLUMNS = (
    Column("train/acc", "accuracy (%)", at_best_training_epoch("train/acc"), "percent", "Training"),
    Column("train/loss", "loss", at_best_training_epoch("train/loss"), "number", "Training"),
    Column("erm", "ERM", at_best_training_epoch("epoch"), "epoch", "Training"),
    Column("test/acc", "accuracy (%)", metric("test/acc"), "percent", "Testing", interval=True),
    Column("test/loss", "loss", metric("test/loss"), "number", "Testing", interval=True),
)
CLASSIFIER_CAPTION = (
    "Training accuracy is the maximum over the epochs, with the loss of that epoch; "
    "ERM is the epoch (from 1) that first reached the maximum."
)


def cub_classifier(runs: Sequence[Run]) -> Layout:
    """Lay out Table 4 of hand-out 000: four freezing policies under two normalisations."""
    return Layout(
        title="CUB-200: freezing policy and normalisation",
        columns=CLASSIFIER_COLUMNS,
        caption=CLASSIFIER_CAPTION,
        published=load_published("000", "4"),
        settings=load_published("000", "2"),
    )


def classifier(runs: Sequence[Run]) -> Layout:
    """Lay out the classifier of any practical that has no published table of its own."""
    return Layout(f"Practical {runs[0].practical}", CLASSIFIER_COLUMNS, CLASSIFIER_CAPTION)


STYLE_TRANSFER_COLUMNS = (
    Column("content_weight", "content weight", lambda run: run.settings.get("content_weight")),
    Column("style_weight", "style weight", lambda run: run.settings.get("style_weight")),
    Column("test/content_start", "content at the start", metric("test/content_start"), group="Losses"),
    Column("test/content", "content", metric("test/content"), group="Losses"),
    Column("test/style_start", "style at the start", metric("test/style_start"), group="Losses"),
    Column("test/style", "style", metric("test/style"), group="Losses"),
    Column("test/content_lost", "content lost", metric("test/content_lost"), group="By the same layers"),
    Column("test/style_left", "style left", metric("test/style_left"), group="By the same layers"),
    Column("test/ssim", "SSIM", metric("test/ssim"), group="Without a net"),
    Column("seconds", "seconds", lambda run: run.seconds),
)


def style_transfer(runs: Sequence[Run]) -> Layout:
    """Lay out Table 5 of hand-out 000: settings of style transfer, and all pictures on one sheet."""
    sheet = Plot("pictures", "All pictures", "Of each row the first seed.", draw_table_of_pictures)
    return Layout(
        title="Style transfer",
        columns=STYLE_TRANSFER_COLUMNS,
        caption=(
            "Means over the pictures of a run. Losses are sums over the row's own layers before the two weights; the "
            "start is the first evaluation. Content lost is 0 for the content and 1 "
            "for the style, style left the other way round, both by the layers of PyTorch's tutorial. SSIM compares "
            "with the content, without a net."
        ),
        published=load_published("000", "5"),
        plots=(sheet, CURVES),
        pictures=("images/sheet.png",),
        observations=observations,
    )


GAN_COLUMNS = (
    Column("epochs", "epochs", lambda run: run.epochs, "epoch"),
    Column("test/fid", "FID", metric("test/fid"), interval=True),
    Column("test/fid_floor", "FID floor", metric("test/fid_floor")),
    Column("test/fid_start", "FID at the start", metric("test/fid_start")),
    Column("test/kid", "KID", metric("test/kid")),
    Column("test/coverage", "classes covered", metric("test/coverage"), "epoch"),  # a whole number, as epochs are
    Column("test/precision", "precision", metric("test/precision")),
    Column("test/recall", "recall", metric("test/recall")),
    Column("test/label_agreement", "label agreement", metric("test/label_agreement")),
    Column("test/neighbour_ratio", "neighbour ratio", metric("test/neighbour_ratio")),
    Column("train/discriminator_loss", "discriminator", metric("train/discriminator_loss"), group="Losses"),
    Column("train/generator_loss", "generator", metric("train/generator_loss"), group="Losses"),
    Column("seconds", "seconds, with measuring", lambda run: run.seconds),
)


def gan(runs: Sequence[Run]) -> Layout:
    """Lay out the GANs of hand-out 002 (2-de): their numbers, and samples and losses of all on one sheet."""
    caption = (
        "Numbers are means over seeds. Of the first seed: samples of the same latents, and losses with moving medians "
        "(the outermost half percent above and below may be cut off)."
    )
    sheet = Plot("samples", "All samples", caption, draw_table_of_samples)
    conditional = any("test/label_agreement" in run.metrics for run in runs)
    return Layout(
        title="Generative adversarial networks",
        columns=tuple(column for column in GAN_COLUMNS if conditional or column.key != "test/label_agreement"),
        caption=(
            "FID and KID measure how far samples are from held-out real images by our own classifier of such images "
            "(CIFAR-10 has its own): they compare with each other only; the floor is that of real training images. "
            "Classes covered: of ten, with a fair share of the samples. Precision, recall: shares of samples among "
            "real images, of real images among samples. Label agreement: share of samples classified as was asked "
            "for. Neighbour ratio: distance to the nearest training image, 1 as for new real images, 0 for copies."
        ),
        published=load_published("002", "5"),
        plots=(sheet, CURVES),
        pictures=("images/sheet.png",),
        observations=sample_observations.observations,
    )


def generic(runs: Sequence[Run]) -> Layout:
    """Lay out any practical: every final metric that a finished run recorded."""
    names = {name for run in runs if run.finished for name in run.metrics}
    columns = [
        Column(
            key=name,
            title=f"{name} (%)" if is_accuracy(name) else name,
            value=metric(name),
            unit="percent" if is_accuracy(name) else "number",
            interval=name.startswith("test/"),
        )
        for name in sorted(names, key=_train_val_test)
    ]
    practical = runs[0].practical
    if not practical:
        return Layout("What cannot be read", tuple(columns))
    return Layout(f"Practical {practical}", tuple(columns), "Every number is the final value that a run recorded.")


def _train_val_test(name: str) -> tuple[int, str]:
    stage = name.split("/", 1)[0]
    stages = ("train", "val", "test")
    return (stages.index(stage) if stage in stages else len(stages), name)


ANY = "*"

# (practical, module) -> layout
LAYOUTS: dict[tuple[str, str], Callable[[Sequence[Run]], Layout]] = {
    ("cub", "classifier"): cub_classifier,
    (ANY, "classifier"): classifier,
    (ANY, "style_transfer"): style_transfer,
    (ANY, "gan"): gan,
    ("dann", ANY): domains,
}


def layout_of(run: Run) -> Callable[[Sequence[Run]], Layout]:
    """Return the layout of a run: of its practical and module, of either alone, or `generic`."""
    module = run.choices.get("module", "")
    keys = ((run.practical, module), (run.practical, ANY), (ANY, module))
    return next((LAYOUTS[key] for key in keys if key in LAYOUTS), generic)

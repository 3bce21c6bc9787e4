"""Neural style transfer: settings of the loss, judged by numbers and pictures."""

from labs.practicals import CURVES, SECONDS, SETTINGS, Column, Plot, Question, Sheet, later, rows_of, setting

_TABLE = f"{__name__}.table_of_pictures"


def _table(rows: list[dict[str, str]]) -> list[list[str]]:
    """Return what was measured of each picture, in the 80 columns of a terminal."""
    shown = [head for head in rows[0] if not head.endswith(("picture", "_start", "rollbacks"))]
    return [
        ["picture", *(head.replace("_", " ") for head in shown)],
        *([row["picture"], *(f"{float(row[head]):.3g}" for head in shown)] for row in rows),
    ]


SHEET = Sheet(
    title="Style transfer",
    handout="hand-outs 000, question 2, and 004, part 2",
    docs="docs/style_transfer.md",
    about=("Question 2 of hand-out 000 and part 2 of hand-out 004 redraw a photograph in the style of a painting."),
    questions=(
        Question(
            "000, 2",
            "Which content image and which three styles did you take, and what do the tutorial's settings "
            "make of them?",
        ),
        Question(
            "000, 2a",
            "What do at least two other pairs of style weight and content weight change in the pictures?",
        ),
        Question("000, 2b", "What does at least one other choice of layers for the two losses change?"),
        Question("000, 3", "Can a neural network be creative? Argue in a few sentences from what you have learned."),
        Question("004, 2.1.2", "What does VGG19 consist of, and what do its convolutions and poolings do?"),
        Question("004, 2.1.3", "What do the content loss and the style loss compare, and what is the Gram matrix for?"),
    ),
    leads="test/style_left",
    ranks=False,  # more of the style is not better: it costs content
    watched=("train/loss",),
    columns=(
        Column("content_weight", "content weight", "neither", read=setting("module.content_weight")),
        Column("style_weight", "style weight", "neither", read=setting("module.style_weight")),
        Column("test/content_start", "content at the start", "neither", group="Losses"),
        Column("test/content", "content", "lower", group="Losses"),
        Column("test/style_start", "style at the start", "neither", group="Losses"),
        Column("test/style", "style", "lower", group="Losses"),
        Column("test/content_lost", "content lost", "lower", group="By the tutorial's layers"),
        Column("test/style_left", "style left", "lower", group="By the tutorial's layers"),
        Column("test/ssim", "SSIM", "higher", group="Without a net"),
        SECONDS,
    ),
    caption=(
        "Means over the pictures of a run. Losses are sums over the row's own layers, before the two weights. The "
        "start is the first evaluation. Content lost is 0 for the content image and 1 for the style image; style left "
        "is the other way round. Both are measured by the layers of PyTorch's tutorial. SSIM compares the picture "
        "with the content image, without a net."
    ),
    published=__name__,
    settings=(
        *SETTINGS,
        "module.net.name",
        "module.content_layers",
        "module.style_layers",
        "module.content_weight",
        "module.style_weight",
        "steps",
    ),
    files=("losses.tsv", "pictures.tsv", "images/*.png", "images/*.gif", "images/*/*.png"),
    pictures=("images/sheet.png",),
    plots=(
        Plot("pictures", "All pictures", "The first seed of each row.", later(f"{_TABLE}.draw_table_of_pictures")),
        CURVES,
    ),
    observations=later(f"{_TABLE}.observations"),
    results=rows_of("pictures.tsv", _table),
    try_out=("datamodule.image_size=32", "every=2", "steps=4"),
)

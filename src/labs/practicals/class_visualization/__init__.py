"""Class visualization: pictures that a net takes for a class, and what another net sees in them."""

from labs.practicals import CURVES, SECONDS, Column, Panel, Plot, Question, Sheet, later, rows_of, setting


def _table(rows: list[dict[str, str]]) -> list[list[str]]:
    """Return what each net sees in each picture, as the run wrote it down."""
    judged = "judge_prob" in rows[0]
    return [
        ["picture", "its own net", *(["another net", "rank there"] if judged else [])],
        *(
            [row["title"], _percent(row["prob"])]
            + ([_percent(row["judge_prob"]), f"{float(row['judge_rank']):.0f}"] if judged else [])
            for row in rows
        ),
    ]


def _percent(share: str) -> str:
    return f"{100 * float(share):.3g} %"


SHEET = Sheet(
    title="Class visualization",
    handout="hand-out 002, part 2-b, questions 8 to 11",
    docs="docs/class_visualization.md",
    about="These questions change an image until a net sees a chosen class in it.",
    questions=(
        Question("002, 2-b 8", "What do the pictures made from noise show of what the net has learned of a class?"),
        Question(
            "002, 2-b 9",
            "What do the number of steps, the learning rate and the weight of the L2 penalty change?",
        ),
        Question("002, 2-b 10", "What happens when you start from a photograph instead of noise?"),
        Question("002, 2-b 11", "How do the pictures change with VGG16?"),
    ),
    leads="test/judge_prob",
    ranks=False,  # pictures of different classes, or that begin elsewhere, do not compete
    watched=("train/prob",),
    columns=(
        Column("steps", "steps", "neither", unit="count", read=setting("steps")),
        Column("lr", "lr", "neither", read=setting("module.optimizer.lr")),
        Column("l2", "L2", "neither", read=setting("module.l2")),
        Column("test/prob", "its own net", "higher", unit="percent", group="Probability of the class", images=""),
        Column("test/judge_prob", "another net", "higher", unit="percent", group="Probability of the class", images=""),
        Column("test/judge_rank", "rank", "lower", group="In the other net"),
        SECONDS,
    ),
    caption=(
        "Means over the pictures of a run, as saved in 8 bits. The other net had no part in making them. If it does "
        "not see the class, the picture is a texture that only one net reacts to. Rank 1 is its first answer."
    ),
    settings=("steps", "module.optimizer.lr", "module.l2", "module.l2_form", "module.classes", "module.net.name"),
    files=("pictures.tsv", "images/*.png", "images/*.gif", "images/growth/*.png"),
    pictures=("images/sheet.png", "images/growth.gif"),
    plots=(
        Plot(
            "pictures",
            "All pictures",
            "The first seed of each row.",
            later(f"{__name__}.table_of_pictures.draw_table_of_pictures"),
        ),
        CURVES,
    ),
    panels=(Panel("prob", "probability of the class (%)", percent=True), Panel("score", "score of the class")),
    results=rows_of("pictures.tsv", _table),
    try_out=("net.image_size=48", "every=2", "steps=4"),
)

"""Maps of images: which pixels a score depends on, and whether the map means anything."""

from labs.practicals import SECONDS, Column, Plot, Question, Sheet, later, rows_of


def _table(rows: list[dict[str, str]]) -> list[list[str]]:
    """Return what was found of each image, in the 80 columns of a terminal."""
    table = [["image", "answer", "Spearman", "deletion", "at random", "map"]]
    for row in rows:
        answer = f"{row['answer'][:20]} {100 * float(row['confidence']):.0f} %"
        numbers = [f"{float(row[name] or 'nan'):.2f}" for name in ("spearman", "deletion", "random_deletion")]
        table.append([row["image"][:20], answer, *numbers, "fails" if row["fails"] else "passes"])
    return table


SHEET = Sheet(
    title="Maps of images",
    handout="hand-outs 001, 2.5; 002, 2-b; 003, 2b",
    docs="docs/attribution.md",
    about="These parts ask which pixels of an image a net's answer depends on.",
    questions=(
        Question(
            "001, 2.5",
            "What does guided backpropagation show for one person's picture on the net that you fine-tuned?",
        ),
        Question("002, 2-b 1", "What do the saliency maps show, and how do you interpret them?"),
        Question("002, 2-b 2", "What are the limits of saliency maps?"),
        Question("002, 2-b 3", "What else could the technique be used for?"),
        Question("002, 2-b 4", "How do the maps of VGG16 differ from those of SqueezeNet?"),
        Question("003, 2b", "What do VGG16's maps of the flamingo and of three images of your own highlight, and why?"),
    ),
    leads="test/passed",
    ranks=False,
    watched=(),
    columns=(
        Column("test/confidence", "confidence (%)", "neither", "percent"),
        Column("test/spearman", "Spearman", "lower", group="Like random weights"),
        Column("test/ssim", "SSIM", "lower", group="Like random weights"),
        Column("test/deletion", "by the map", "lower", group="Deletion"),
        Column("test/random_deletion", "at random", "neither", group="Deletion"),
        Column("test/insertion", "by the map", "higher", group="Insertion"),
        Column("test/random_insertion", "at random", "neither", group="Insertion"),
        Column("test/passed", "maps that pass (%)", "higher", "percent", interval=True),
        SECONDS,
    ),
    caption=(
        "Means over the images. Like random weights: how similar the map is to that of the same net with random "
        "weights in all layers. Deletion: the area under the class probability while a blur replaces pixels, starting "
        "with the highest value of the map. Insertion: the same while pixels appear. A map passes if its Spearman is "
        "below 0.5 and deletion removes the class faster than random orders do."
    ),
    settings=("module.method", "module.net.name", "module.target"),
    files=("maps.tsv", "images/*/*.png"),
    pictures=("images/sheet.png", "images/*.png"),
    plots=(
        Plot("maps", "All maps", "The first seed of each row.", later(f"{__name__}.table_of_maps.draw_table_of_maps")),
    ),
    results=rows_of("maps.tsv", _table),
    try_out=(
        "module.stages=2",
        "module.points=2",
        "module.orders=1",
        "module.samples=2",
        "module.steps=2",
        "net.image_size=64",
    ),
)

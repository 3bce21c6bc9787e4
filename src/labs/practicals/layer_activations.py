"""Activations and first filters of a trained net: something to look at, without a ranking."""

from labs.practicals import SECONDS, Column, Question, Sheet, rows_of


def _table(rows: list[dict[str, str]]) -> list[list[str]]:
    """Return what was measured of each layer, as the run wrote it down."""
    heads = ["layer", "maps", "sees (pixels)", "active", "dead", "peak"]
    return [
        heads,
        *(
            [
                row["layer"],
                f"{row['channels']} of {row['height']}x{row['width']}",
                row["sees_pixels"] or "not known",
                f"{100 * float(row['active']):.0f} %",
                row["dead"],
                f"{float(row['peak']):.4g}",
            ]
            for row in rows
        ),
    ]


SHEET = Sheet(
    title="Activations and first filters",
    handout="hand-out 002, part 2-a, question 4",
    docs="docs/layer_activations.md",
    about="Question 4 looks at the maps of a trained VGG16's first convolution.",
    questions=(
        Question("002, 2-a 4", "What do the maps of the first layer show, and what does each seem to react to?"),
    ),
    leads="test/active",
    ranks=False,
    watched=(),
    columns=(
        Column("test/active", "positions active (%)", "neither", "percent"),
        Column("test/dead", "channels dead (%)", "neither", "percent"),
        SECONDS,
    ),
    caption=(
        "Over all images of a run. Active: the share of positions above zero, as a mean over layers. Dead: the share "
        "of channels that are never above zero."
    ),
    settings=("module.net.name", "module.layers", "module.units"),
    files=("layers.tsv", "units.tsv", "images/*.png", "images/maps/*.png"),
    pictures=("images/overview.png", "images/filters.png", "images/units-*.png"),
    plots=(),
    results=rows_of("layers.tsv", _table),
    try_out=("datamodule.photographs=[chelsea,coffee]", "net.image_size=64", "module.maps=1"),
)

"""AlexNet on WikiArt: which layers begin anew and train."""

from labs.practicals import SECONDS, SETTINGS, Column, Sheet

SHEET = Sheet(
    title="WikiArt: which layers of AlexNet begin anew and train",
    handout="hand-out 003, part 2a",
    docs="docs/wikiart.md",
    columns=(
        Column("train/acc", "accuracy (%)", "higher", "percent", "Training"),
        Column("train/loss", "loss", "lower", group="Training"),
        Column("test/acc", "accuracy (%)", "higher", "percent", "Testing", interval=True),
        Column("test/loss", "loss", "lower", group="Testing", interval=True),
        SECONDS,
    ),
    caption="Training accuracy and loss are means over the last epoch, with dropout; testing is on all test images.",
    published=__name__,
    settings=(*SETTINGS, "trainer.log_every_n_steps"),
    files=("steps.tsv", "images/steps.png", "images/predictions.png", "images/confusion_matrix.png"),
    pictures=("result.png", "images/steps.png"),
    predicts="test/acc",
    answers="best",
    try_out=("callbacks.pictures=null", "weights=random", "datamodule.source.images_per_class=10"),
)

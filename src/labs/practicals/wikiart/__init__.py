"""AlexNet on WikiArt: which layers are trained from scratch."""

from labs.practicals import CLASSIFIED, SECONDS, SETTINGS, Column, Question, Sheet

SHEET = Sheet(
    title="WikiArt: which layers of AlexNet to train from scratch",
    handout="hand-out 003, part 2a",
    docs="docs/wikiart.md",
    about="Assignment 2a teaches AlexNet ten styles of painting by training its last layers anew.",
    questions=(
        Question("003, 2a (1)", "Which accuracy do you reach with fc8 trained anew, and which with fc7 and fc8?"),
        Question(
            "003, 2a (2)",
            "How do the curves, and the distributions of weights and gradients, differ between the two?",
        ),
        Question("003, 2a (3)", "What makes paintings hard for a net that was trained on ImageNet?"),
    ),
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
    files=(
        "steps.tsv",
        "images/steps.png",
        *CLASSIFIED,
    ),
    pictures=("result.png", "images/steps.png"),
    best_pictures=(*CLASSIFIED, "images/steps.png"),
    predicts="test/acc",
    answers="best",
    try_out=("callbacks.pictures=null", "weights=random", "datamodule.source.images_per_class=10"),
)

"""Domain adaptation: adapting methods between their bounds, in one table."""

from labs.practicals import CLASSIFIED, PANELS, SECONDS, SETTINGS, Column, Panel, Question, Sheet, later

ACCURACY = "test/target_acc"
ORACLE = f"{ACCURACY}_by_oracle"
CHOICES = {
    "source_acc": "source validation",
    "target_entropy": "entropy",
    "target_density": "soft neighborhood density",
}
_LAST = "Last epoch"
_PSEUDO = "Pseudo-labels, last round"
_SHARE = "Pseudo-labels: the share of target images that got one,"
_PRECISION = "and how many of these are right."

SHEET = Sheet(
    title="Domain adaptation",
    handout="hand-out 002, 2-c",
    docs="docs/dann.md",
    about="Part 2-c trains a digit classifier on MNIST that has to work on MNIST-M, without labels there.",
    questions=(
        Question(
            "002, 2-c 1",
            "What happens to the features, and to both accuracies, without the gradient reversal layer?",
        ),
        Question("002, 2-c 2", "Why may the accuracy on the source drop a little?"),
        Question("002, 2-c 3", "What does the size of lambda change?"),
        Question("002, 2-c 4", "How does pseudo-labeling work, and when does it fail?"),
    ),
    leads=ACCURACY,
    watched=("val/source_acc",),
    columns=(
        Column(ACCURACY, "target accuracy (%)", "higher", "percent", _LAST, interval=True),
        Column("test/source_acc", "source accuracy (%)", "higher", "percent", _LAST, images="test source"),
        Column("test/domain_acc", "domain accuracy (%)", "neither", "percent", _LAST, images=""),
        *(
            Column(f"{ACCURACY}_by_{name}", f"by {words} (%)", "higher", "percent", "Chosen without target labels")
            for name, words in CHOICES.items()
        ),
        Column(ORACLE, "by target validation (%)", "higher", "percent", "Chosen with target labels (oracle)"),
        Column("test/pseudo_share", "share (%)", "neither", "percent", _PSEUDO, note=_SHARE),
        Column("test/pseudo_precision", "precision (%)", "higher", "percent", _PSEUDO, note=_PRECISION),
        SECONDS,
    ),
    caption=(
        "Accuracies are on test images. Domain accuracy is how well the domain head tells source from target; chance "
        "is 50 %. Chosen: the target accuracy of the epoch that a criterion picks. The oracle picks by the labels of "
        "the target's validation images, which nobody who needs to adapt has."
    ),
    published=__name__,
    settings=(*SETTINGS, "module.reversal.weight", "module.batch_norm"),
    files=("selections.tsv", "checkpoints/by_*.ckpt", "images/*.png"),
    pictures=("images/features.png", "result.png"),
    best_pictures=(*CLASSIFIED, "images/features.png"),
    panels=(
        *PANELS,
        Panel("oracle_target_acc", "target accuracy (%), an oracle", percent=True),
        Panel("source_acc", "source accuracy (%)", percent=True),
        Panel("labeled_acc", "accuracy on labeled images (%)", percent=True),
        Panel("domain_acc", "domain accuracy (%), 50 by chance", percent=True),
        Panel("label_loss", "label loss"),
        Panel("domain_loss", "domain loss"),
        Panel("target_density", "soft neighborhood density"),
        Panel("target_entropy", "entropy of target predictions"),
        Panel("pseudo_share", "target images with a pseudo-label (%)", percent=True),
        Panel("pseudo_precision", "pseudo-labels that are right (%)", percent=True),
        Panel("lambda", "lambda, weight of the reversal"),
    ),
    observations=later(f"{__name__}.observations.observations"),
    predicts=ACCURACY,
    answers="last",
    try_out=("callbacks.pictures=null", "callbacks.features.images=10"),
)

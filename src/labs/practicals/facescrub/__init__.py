"""Who is it? FaceScrub with a perceptron, with AlexNet's activations, and with AlexNet fine-tuned."""

from typing import TYPE_CHECKING

from labs.practicals import CLASSIFIED, Column, Question, Sheet, later

if TYPE_CHECKING:
    from labs.reporting.recorded_run import Run


def mean_roughness(run: "Run") -> float | None:
    """Return the mean roughness of a run's hidden units, None if it drew none."""
    file = run.directory / "hidden_units.tsv"
    if not file.is_file():
        return None
    head, *lines = [line.split("\t") for line in file.read_text(encoding="utf-8").splitlines()] or [[]]
    if "roughness" not in head:
        return None
    try:
        values = [float(line[head.index("roughness")]) for line in lines]
    except (IndexError, ValueError):  # torn or foreign
        return None
    return sum(values) / len(values) if values else None


SHEET = Sheet(
    title="FaceScrub: who is it?",
    handout="hand-out 001, part 2",
    docs="docs/facescrub.md",
    about=(
        "Part 2 recognizes faces of FaceScrub: with one hidden layer, with AlexNet's activations, and with "
        "AlexNet fine-tuned."
    ),
    questions=(
        Question(
            "001, 2.1",
            "How are images and weights prepared, what exactly is the net, and how well does it do on the test faces?",
        ),
        Question("001, 2.2", "How is the classifier on AlexNet's activations built, and how well does it do?"),
        Question(
            "001, 2.3",
            "What do two hidden units of the net with 300 units and of that with 800 look like, and why are "
            "they interesting?",
        ),
        Question("001, 2.4", "Show the fine-tuned AlexNet at work: a face goes in, which name comes out?"),
    ),
    columns=(
        Column("train/acc", "accuracy (%)", "higher", "percent", "Training", images="train"),
        Column("val/acc", "accuracy (%)", "higher", "percent", "Validation", images="val"),
        Column("test/acc", "accuracy (%)", "higher", "percent", "Testing", interval=True),
        Column("test/loss", "loss", "lower", group="Testing", interval=True),
        Column(
            "roughness",
            "roughness",
            "lower",
            group="Hidden units",
            read=mean_roughness,
            note="Roughness: the mean step between neighboring weights of a unit, in mean weights; noise has 2.8.",
        ),
    ),
    caption="Training and validation accuracy are those of the tested epoch, the one with the best validation.",
    files=(
        *CLASSIFIED,
        "images/hidden_units.png",
        "images/learning_curves.png",
        "hidden_units.tsv",
        "learning_curves.tsv",
    ),
    pictures=("result.png", "images/learning_curves.png", "images/hidden_units.png"),
    best_pictures=(*CLASSIFIED, "images/learning_curves.png", "images/hidden_units.png"),
    published=__name__,
    observations=later("labs.practicals.facescrub.observations.observations"),
    predicts="test/acc",
    answers="best",
    try_out=(
        "callbacks.pictures=null",
        "datamodule.source.train_per_person=8",
        "datamodule.source.rest_per_person=4",
        "datamodule.source.drawn_per_person=20",
    ),
)

"""15-Scene: linear SVMs on features of trained nets."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labs.practicals import CLASSIFIED, PANELS, SETTINGS, Column, Panel, Question, Sheet, final_metrics, later

if TYPE_CHECKING:
    from labs.reporting.recorded_run import Run

SECONDS_OF = {
    "features_seconds": "features",
    "gram_seconds": "inner products",
    "pca_seconds": "principal components",
    "svm_seconds": "SVM",
    "cv_seconds": "cross-validation",
}


def _mean_of_classes(run: "Run") -> float | None:
    """Return the mean of the accuracies of the classes."""
    found = run.predictions
    if found is None or found.empty:
        return None
    return float((found["label"] == found["prediction"]).groupby(found["label"]).mean().mean())


def _results(facts: Mapping[str, Any], run_dir: Path) -> list[list[str]]:
    """Return accuracies and the seconds of each part, or the splits of a head that was trained."""
    metrics = facts["metrics"]
    if "test/svm_seconds" not in metrics:
        return final_metrics(facts, run_dir)
    lines = [["measured", "value"]]
    for name, words in {"acc": "accuracy", "mean_acc": "mean of the classes", "fitted_acc": "training images"}.items():
        lines.append([words, f"{100 * metrics[f'test/{name}']:.2f} %"])
    lines.append(["features per image", f"{metrics['test/width']:,.0f}"])
    lines.append(["C", f"{metrics['test/C']:g}"])
    for name, words in SECONDS_OF.items():
        if f"test/{name}" in metrics:
            lines.append([f"{words} (s)", f"{metrics[f'test/{name}']:.2f}"])
    return lines


SHEET = Sheet(
    title="15-Scene: features of trained nets and a linear SVM",
    handout="hand-out 002, part 2-a",
    docs="docs/scenes.md",
    about=("Part 2-a classifies photographs of 15 kinds of scenes with features of a trained VGG16 and a linear SVM."),
    questions=(
        Question("002, 2-a 1", "How many parameters does each layer of VGG16 have, and where are most of them?"),
        Question("002, 2-a 2", "What is the size of VGG16's output, and what does it mean?"),
        Question("002, 2-a 3", "What is ImageNet's normalization for, and what is evaluation mode for?"),
        Question("002, 2-a 5", "Why is VGG16 not trained directly on 15-Scene?"),
        Question("002, 2-a 6", "How does the training on ImageNet help to classify scenes?"),
        Question("002, 2-a 7", "What are the limits of such features?"),
        Question("002, 2-a 8", "What changes with the layer that the features come from?"),
        Question("002, 2-a 9", "The images are gray, but the net wants three channels. What do you do?"),
        Question("002, 2-a 10", "Could a layer of the net replace the SVM? What speaks against it?"),
        Question(
            "002, 2-a 11",
            "What do another layer, another net, another C, a fully connected head and fewer dimensions change?",
        ),
    ),
    columns=(
        Column("test/acc", "accuracy (%)", "higher", "percent", "Testing", interval=True),
        Column("mean", "mean of the classes (%)", "higher", "percent", "Testing", images="", read=_mean_of_classes),
        Column("test/width", "features", "neither", "count"),
        Column("test/C", "C", "neither"),
        *(
            Column(f"test/{name}", words, "lower", group="Seconds")
            for name, words in SECONDS_OF.items()
            if name != "cv_seconds"
        ),
    ),
    caption=(
        "Seconds of the features and of their inner products are the time to compute them once; later runs read them "
        "from disk. A trained head has no C and no such times."
    ),
    published=__name__,
    settings=(*SETTINGS, "module.C", "module.pca"),
    files=("classes.tsv", *CLASSIFIED),
    pictures=("images/confusion_matrix.png", "images/predictions.png", "result.png"),
    panels=(*PANELS, Panel("mean_acc", "mean of the classes (%)", percent=True)),
    observations=later(f"{__name__}.observations.observations"),
    results=_results,
    predicts="test/acc",
    answers="last",
    try_out=(
        "callbacks.pictures=null",
        "datamodule.image_size=64",
        "datamodule.source.train_per_class=4",
        "datamodule.source.test_per_class=2",
    ),
)

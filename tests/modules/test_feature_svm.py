"""A linear SVM on features: scikit-learn's own answers, features that are computed once, and runs that answer."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.decomposition import PCA
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer
from sklearn.svm import LinearSVC

from labs import LabsError
from labs.callbacks.class_table import ClassTable
from labs.callbacks.keep_tested import KeepTested
from labs.datamodules.image_classification import ImageClassification
from labs.datamodules.sources import LabeledImages
from labs.modules import feature_svm
from labs.modules.feature_svm import FeatureSVM
from labs.nets.layer_vectors import LayerVectors
from labs.runs.load import load_run

pytestmark = pytest.mark.filterwarnings("ignore:.*LeafSpec")
CLASSES, EACH, SIZE = 4, 30, 16
TRAIN = 20  # of each class


class Stripes:
    """Waves of four lengths with much noise, the last third of each class for testing."""

    name = "stripes"

    def __init__(self, folder: Path, classes: int = CLASSES) -> None:
        self.cache, self.classes = folder / "cache", classes

    def load(self, size: int) -> LabeledImages:
        draw = np.random.default_rng(0)
        labels = np.repeat(np.arange(self.classes), EACH)
        waves = np.sin(np.arange(size) * (0.4 + 0.4 * labels[:, None]) + draw.uniform(0, 6, (len(labels), 1)))
        noisy = 128 + 30 * waves[:, None, None, :] + draw.normal(0, 60, (len(labels), 1, size, size))
        pixels = np.repeat(noisy.clip(0, 255).astype(np.uint8), 3, axis=1)
        names = [f"{label}/{row}.jpg" for row, label in enumerate(labels)]
        classes = [f"wave {label}" for label in range(self.classes)]
        return LabeledImages(pixels, labels, names, classes, np.arange(len(labels)) % EACH >= TRAIN)


def data_in(folder: Path, classes: int = CLASSES) -> ImageClassification:
    return ImageClassification(
        source=Stripes(folder, classes), num_classes=classes, image_size=SIZE, batch_size=16, normalization="imagenet",
        augment={"crop_scale": None, "flip": False}, embedded=True, validation="none",
    )  # fmt: skip


def svm_in(folder: Path, *words: str, classes: int = CLASSES, pooling: str = "flatten", **options: Any) -> FeatureSVM:
    layers = list(words or ("resnet_small/layer2",))
    net = LayerVectors(layers=layers, num_classes=classes, image_size=SIZE, pooling=pooling)
    return FeatureSVM(net=net, num_classes=classes, folder=str(folder / "features"), **options)


def run_svm(folder: Path, *words: str, classes: int = CLASSES, limits: dict[str, Any] | None = None, **options: Any):
    method, data = svm_in(folder, *words, classes=classes, **options), data_in(folder, classes)
    quiet: dict[str, Any] = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    callbacks = [ClassTable(), KeepTested(dirpath=str(folder / "checkpoints"))]
    trainer = pl.Trainer(accelerator="cpu", callbacks=callbacks, default_root_dir=folder, **quiet, **(limits or {}))
    (metrics,) = trainer.test(method, data, verbose=False)
    return method, data, metrics


@torch.no_grad()
def by_hand(method: FeatureSVM, data: ImageClassification) -> tuple[np.ndarray, ...]:
    """Return the features of all images, not of length one, and which rows are for what."""
    method.net.eval()
    cpu = torch.device("cpu")
    rows = {
        split: torch.cat(
            [torch.cat([part(images) for part in method.net.parts], dim=1) for images in data.every(split, cpu)]
        )
        for split in ("train", "test")
    }
    labels = {split: data.images[split].labels[data.rows[split]] for split in rows}
    return rows["train"].numpy(), labels["train"], rows["test"].numpy(), labels["test"]


@pytest.mark.parametrize("solver", ["gram", "liblinear"])
@pytest.mark.parametrize("options", [{"C": 1.0}, {"C": 30.0}, {"C": 0.1, "pca": 25}])
def test_it_answers_as_scikit_learns_pipeline(solver: str, options: dict[str, Any], tmp_path: Path) -> None:
    method, data, metrics = run_svm(tmp_path, solver=solver, **options)
    train, labels, test, expected = by_hand(method, data)
    reduction = [PCA(options["pca"], random_state=0)] if "pca" in options else []
    machines = LinearSVC(C=options["C"], tol=1e-7, max_iter=1_000_000, random_state=0)
    theirs = make_pipeline(Normalizer(), *reduction, machines).fit(train, labels)
    with torch.no_grad():
        ours = method.net(torch.cat(list(data.every("test", torch.device("cpu"))))).numpy()
    assert np.allclose(ours, theirs.decision_function(test), atol=0.01)
    assert metrics["test/acc"] == pytest.approx(theirs.score(test, expected), abs=0.026)
    assert metrics["test/fitted_acc"] == pytest.approx(theirs.score(train, labels), abs=0.026)
    assert metrics["test/acc"] > 0.3
    assert ("test/pca_seconds" in metrics) is ("pca" in options)


def test_two_classes_are_two_machines(tmp_path: Path) -> None:
    scores = []
    for solver in ("gram", "liblinear"):
        method, data, _ = run_svm(tmp_path, classes=2, solver=solver)
        scores.append(method.net(next(data.every("test", torch.device("cpu")))).detach())
        assert torch.allclose(scores[-1].sum(dim=1), torch.zeros(len(scores[-1])), atol=1e-3)
    assert torch.allclose(*scores, atol=0.01)


def test_cross_validation_sees_training_images_alone_and_chooses_as_scikit_learn(tmp_path: Path) -> None:
    grid = [0.03, 1.0, 30.0]
    method, data, metrics = run_svm(tmp_path, C="cv", grid=grid, folds=4)
    train, labels, _, _ = by_hand(method, data)
    folds = StratifiedKFold(4, shuffle=True, random_state=0)
    theirs = GridSearchCV(LinearSVC(tol=1e-7, max_iter=1_000_000, random_state=0), {"C": grid}, cv=folds)
    theirs.fit(Normalizer().fit_transform(train), labels)
    assert metrics["test/cv_acc"] == pytest.approx(theirs.best_score_, abs=0.013)
    chosen = next(place for place, c in enumerate(grid) if metrics["test/C"] == pytest.approx(c))
    assert theirs.cv_results_["mean_test_score"][chosen] >= theirs.best_score_ - 0.013


@pytest.mark.parametrize("options", [{"pca": 10}, {"C": "cv", "grid": [0.1, 1.0], "folds": 2}])
def test_nothing_is_fitted_on_test_images(options: dict[str, Any], tmp_path: Path, monkeypatch: Any) -> None:
    seen: list[int] = []
    fit = PCA.fit
    monkeypatch.setattr(PCA, "fit", lambda self, x, y=None: (seen.append(len(x)), fit(self, x))[1])
    _, data, _ = run_svm(tmp_path, **options)
    assert len(data.rows["train"]) == CLASSES * TRAIN
    assert set(seen) <= {CLASSES * TRAIN}


def test_features_and_products_are_computed_once_for_all_c(tmp_path: Path, monkeypatch: Any) -> None:
    run_svm(tmp_path, C=1.0)
    files = sorted(tmp_path.glob("features/*.npy"))
    assert len(files) == 2
    monkeypatch.setattr(feature_svm, "gram_matrix", None)
    monkeypatch.setattr("labs.storage.gram_stores.gram_matrix", None)
    monkeypatch.setattr("labs.nets.layer_vectors._Vectors.forward", once := CountCalls())
    for c in (0.1, 10.0):
        run_svm(tmp_path, C=c)
    assert sorted(tmp_path.glob("features/*.npy")) == files
    assert set(once.sizes) == {2}, "only the images of which the width is learned"


class CountCalls:
    def __init__(self) -> None:
        self.sizes: list[int] = []

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        self.sizes.append(len(images))
        return torch.zeros(len(images), 2048)


def test_a_table_of_the_classes_and_a_mean_of_them(tmp_path: Path) -> None:
    _, _, metrics = run_svm(tmp_path)
    table = pd.read_csv(tmp_path / "classes.tsv", sep="\t")
    assert table["class"].tolist() == [f"wave {label}" for label in range(CLASSES)]
    assert table["images"].tolist() == [EACH - TRAIN] * CLASSES
    assert table["accuracy"].mean() == pytest.approx(metrics["test/mean_acc"], abs=1e-5)
    assert table["right"].sum() / table["images"].sum() == pytest.approx(metrics["test/acc"], abs=1e-5)


def test_a_try_out_is_small(tmp_path: Path) -> None:
    limits = {"limit_train_batches": 1, "limit_test_batches": 1}
    method, _, metrics = run_svm(tmp_path, limits=limits, pca=50, C="cv")
    assert len(method.rows) == 16 + 16
    assert 0 <= metrics["test/acc"] <= 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"C": 0.0}, r"module\.C=0\.0: expected a number above 0"),
        ({"C": -1.0}, r"module\.C=-1\.0"),
        ({"C": float("nan")}, r"module\.C=nan"),
        ({"C": float("inf")}, r"module\.C=inf"),
        ({"C": "cv", "grid": [1.0, 0.0]}, r"module\.grid contains 0\.0: expected numbers above 0"),
        ({"C": "cv", "grid": [float("inf")]}, r"module\.grid contains inf"),
        ({"C": "cv", "grid": []}, r"module\.grid=\[\]: expected at least one value of C"),
        ({"folds": 1}, r"module\.folds=1: expected 2 or more"),
        ({"pca": 0}, r"module\.pca=0: expected 1 or more"),
        ({"pca": 81}, r"module\.pca=81: 80 training images .* have at most 80 components\. .*module\.pca=64"),
        ({"C": "cv", "folds": 21}, r"module\.folds=21: class wave 0 has only 20 training images"),
        ({"budget_gb": 1e-6}, r"resnet_small/layer2 has 2,048 features for each of 120 images"),
    ],
)
def test_what_cannot_be_is_refused(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(LabsError, match=message):
        run_svm(tmp_path, **options)


def test_images_of_one_class_are_refused(tmp_path: Path, monkeypatch: Any) -> None:
    load = Stripes.load
    monkeypatch.setattr(Stripes, "load", lambda self, size: load(self, size)._replace(labels=np.zeros(120, np.int64)))
    with pytest.raises(LabsError, match="all training images belong to one class"):
        run_svm(tmp_path)


def test_training_needs_validation_images(tmp_path: Path) -> None:
    data = data_in(tmp_path)
    with pytest.raises(LabsError, match=r"validation=none: training needs a validation split"):
        data.setup("fit")


def test_a_run_answers_about_an_image_as_it_was_tested(train: Callable[..., Path], data_folder: Path) -> None:
    words = ("experiment=scenes_relu7_svm", "data=embedded", "datamodule.image_size=64", "logger=none",
             "datamodule.source.train_per_class=4", "datamodule.source.test_per_class=2")  # fmt: skip
    (run_dir,) = (train(*words) / "scenes_relu7_svm").iterdir()
    facts = json.loads((run_dir / "metrics.json").read_text())
    assert facts["labels"] == ["embedded data", "features of squeezenet1_1/features.12", "ImageNet weights"]
    assert facts["counts"] == {"train": 52, "test": 26}
    assert (run_dir / "images" / "confusion_matrix.png").is_file()
    run = load_run(run_dir)
    (folder,) = data_folder.glob("embedded/photo_patches_4+2_seed0_*/15SceneData")
    for _, row in pd.read_csv(run_dir / "predictions.csv").iloc[::5].iterrows():
        image, _ = run.read(folder / row["name"])
        probabilities = run.predict(image)[0]
        assert run.classes[int(probabilities.argmax())] == row["prediction"]
        assert float(probabilities.max()) == pytest.approx(row["confidence"], abs=2e-3)

"""A linear support vector machine (SVM) on the features of a trained net, which itself stays fixed.

From features x of length one and labels y, +1 (the class) or -1 (the rest), each class gets weights w and a bias b:

    min over w, b of  1/2 |w|^2 + 1/2 b^2 + C sum_i max(0, 1 - y_i (w . x_i + b))^2

as in scikit-learn's `LinearSVC` (A. Razavian et al., "CNN Features off-the-shelf", CVPR workshops 2014). With fewer
images than features, the problem is solved exactly from the inner products of the images, which all classes and values
of C share (`labs.functional.gram_svm`). The SVMs become the head of the net, so that the run can classify images.
"""

import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import lightning.pytorch as pl
import numpy as np
import torch
from sklearn.decomposition import PCA
from sklearn.model_selection import StratifiedKFold
from sklearn.svm import LinearSVC
from torch import Tensor
from torchmetrics.classification import MulticlassAccuracy

from labs import LabsError
from labs.callbacks.notes import is_limited
from labs.datamodules.batches import Batch
from labs.datamodules.image_classification import ImageClassification
from labs.datamodules.protocols import handed_over
from labs.datamodules.sources import say
from labs.functional.gram_svm import gram_matrix, gram_svm
from labs.nets.layer_vectors import LayerVectors, unit_rows
from labs.storage.feature_stores import stored_features
from labs.storage.gram_stores import stored_gram
from labs.storage.stores import NoRoomError, Stored, digest

NEVER = -1e4  # score of a class without training images (in a try-out)
LARGEST_GRAM = 10_000  # images; for more, the inner products would take a gigabyte


class FeatureSVM(pl.LightningModule):
    """Fit a linear SVM on features of the training images, and test it.

    Args:
        net: Computes the features; the SVMs become its head.
        num_classes: Number of classes of the dataset.
        C: Cost of margin violations, above 0. `cv` chooses it from `grid` by cross-validation on the training images.
        grid: Values of C that cross-validation tries.
        folds: Number of stratified cross-validation folds.
        pca: Number of principal components, fitted on the training images. None: no dimensionality reduction.
        solver: `gram` uses the inner products of the images, `liblinear` is scikit-learn's solver. `auto` uses `gram`
            if there are fewer images than features.
        folder: Folder of the stored features and inner products, shared by all runs.
        budget_gb: Largest size of that folder, in gigabytes.
        seed: Seed of the folds and of liblinear's order.
    """

    def __init__(
        self,
        *,
        net: LayerVectors,
        num_classes: int,
        C: float | Literal["cv"] = 1.0,  # noqa: N803 - the field's letter
        grid: Sequence[float] = (0.01, 0.1, 1.0, 10.0, 100.0),
        folds: int = 5,
        pca: int | None = None,
        solver: Literal["auto", "gram", "liblinear"] = "auto",
        folder: str = "data/cache/features",
        budget_gb: float = 8.0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if C != "cv" and not 0 < C < math.inf:
            raise LabsError(f"module.C={C}: expected a number above 0, such as 1, or cv.")
        if not grid:
            raise LabsError("module.grid=[]: expected at least one value of C, such as [0.1,1].")
        for value in grid:
            if not 0 < value < math.inf:
                raise LabsError(f"module.grid contains {value}: expected numbers above 0, such as [0.1,1].")
        for name, number, least in (("folds", folds, 2), ("pca", 1 if pca is None else pca, 1)):
            if number < least:
                raise LabsError(f"module.{name}={number}: expected {least} or more.")
        net.parts.requires_grad_(False)
        self.net, self.C, self.grid, self.folds, self.pca = net, C, list(grid), folds, pca
        self.solver, self.folder, self.budget, self.seed = solver, Path(folder), int(budget_gb * 1e9), seed
        self.test_acc = MulticlassAccuracy(num_classes, average="micro")
        self.test_mean_acc = MulticlassAccuracy(num_classes, average="macro")
        self.found: dict[str, float] = {}  # further results by name

    @property
    def labels(self) -> list[str]:
        """Notes that every number of this run must carry."""
        return self.net.labels

    def forward(self, images: Tensor) -> Tensor:
        """Return scores (batch, num_classes) for images (batch, 3, height, width)."""
        scores: Tensor = self.net(images)
        return scores

    def setup(self, stage: str) -> None:
        """Select the training images, and check that there are enough of them."""
        if self.trainer.world_size > 1:
            raise LabsError("an SVM is fitted on one device. Type trainer.devices=1.")
        data = self.data = handed_over(self.trainer, ImageClassification, to=self)
        self.train_rows, limit = data.rows["train"], self.trainer.limit_train_batches
        if is_limited(self.trainer, "train"):  # a try-out
            count = limit * data.batch_size if isinstance(limit, int) else int(limit * len(self.train_rows))
            places = np.linspace(0, len(self.train_rows) - 1, min(max(count, 2), len(self.train_rows)))
            self.train_rows = self.train_rows[places.astype(int)]
            self.pca = self.pca and min(self.pca, len(self.train_rows))
        self.train_labels = data.images["train"].labels[self.train_rows]
        most = min(len(self.train_rows), self.net.width)
        if self.pca is not None and self.pca > most:
            raise LabsError(
                f"module.pca={self.pca}: {len(self.train_rows):,} training images with {self.net.width:,} features "
                f"have at most {most:,} components. Type a smaller number, such as module.pca={4 * most // 5}."
            )
        classes, counts = np.unique(self.train_labels, return_counts=True)
        if len(classes) < 2:
            raise LabsError("an SVM needs at least two classes, but all training images belong to one class.")
        if self.C == "cv" and counts.min() < self.folds and not is_limited(self.trainer, "train"):
            raise LabsError(
                f"module.folds={self.folds}: class {data.classes[classes[counts.argmin()]]} has only {counts.min()} "
                "training images. Type a smaller module.folds, or set a fixed cost, such as module.C=1."
            )

    def on_test_start(self) -> None:
        """Compute or read the features, and fit the SVMs."""
        tested = self.data.rows["test"][: self.trainer.num_test_batches[0] * self.data.batch_size]
        self.rows = np.union1d(self.train_rows, tested)
        self.stores = [self._stored(place) for place in range(len(self.net.parts))]
        self.found = {"features_seconds": sum(store.facts["seconds"] for store in self.stores)}
        features = self._features(self.train_rows).numpy()
        classes, labels = np.unique(self.train_labels, return_inverse=True)
        gram = None
        if self.pca is None and self._in_products(features):
            gram, self.found["gram_seconds"] = stored_gram(features, self.folder, self.budget)
        c = self._cross_validated(features, labels, gram) if self.C == "cv" else float(self.C)
        ((weights, biases),) = self._fit(features, labels, gram, [c])
        head = self.net.head
        head.weight.zero_()
        head.bias.fill_(NEVER)
        head.weight[classes] = torch.from_numpy(weights.T).to(head.weight)
        head.bias[classes] = torch.from_numpy(biases).to(head.bias)
        self.found |= {"C": c, "width": float(features.shape[1])}
        fitted = self.net.head(torch.from_numpy(features).to(head.weight)).argmax(dim=1).cpu().numpy()
        self.found["fitted_acc"] = float((fitted == self.train_labels).mean())

    def test_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """Compute the scores of a batch from its features, and return the predictions."""
        rows = self.data.rows["test"][batch.positions.cpu().numpy()]
        scores = self.net.head(self._features(rows).to(self.net.head.weight))
        confidence, preds = scores.softmax(dim=1).max(dim=1)
        metrics = {"test/acc": self.test_acc, "test/mean_acc": self.test_mean_acc}
        for metric in metrics.values():
            metric.update(preds, batch.labels)
        if batch_idx == 0:
            self.log_dict(metrics, on_step=False, on_epoch=True)
            measured = {f"test/{name}": value for name, value in self.found.items()}
            self.log_dict(measured, on_step=False, on_epoch=True, batch_size=1)
        return {"positions": batch.positions, "labels": batch.labels, "preds": preds, "confidence": confidence}

    # Features

    def _stored(self, place: int) -> Stored:
        """Return the features of one layer for the images of this run, before they are scaled to length one."""
        part, data = self.net.parts[place], self.data
        pixels = data.images["test"].pixels

        def images() -> Any:
            for rows in np.array_split(self.rows, max(len(self.rows) // data.batch_size, 1)):
                yield data.transformed(torch.from_numpy(pixels[rows]).to(self.device), torch.from_numpy(rows), None)

        width = self.net.widths[place]
        try:
            return stored_features(
                part,
                images,
                len(self.rows),
                ((width,), torch.float32),
                key={**data.key("test"), "rows": digest(self.rows), "precision": str(self.trainer.precision)},
                folder=self.folder,
                budget=self.budget,
                precision=self.trainer.precision_plugin.forward_context,
            )
        except NoRoomError as error:
            raise LabsError(
                f"layer {self.net.layers[place]} has {width:,} features for each of {len(self.rows):,} images: {error} "
                "Choose a later layer, type net.pooling=average, or set a larger module.budget_gb."
            ) from error

    def _features(self, rows: np.ndarray) -> Tensor:
        """Return the features of some images of the dataset, (rows, width), scaled to length one."""
        places = np.searchsorted(self.rows, rows)
        return unit_rows([torch.from_numpy(store.array[places]) for store in self.stores])

    # SVMs

    def _fit(
        self, features: np.ndarray, labels: np.ndarray, gram: np.ndarray | None, values: Sequence[float]
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return the weights (width, classes) and biases (classes,) of the SVMs for each C, and record the time."""
        start, reduction = time.perf_counter(), None
        if self.pca is not None:
            reduction = PCA(min(self.pca, len(features)), random_state=self.seed).fit(features)
            features = reduction.transform(features)
            gram = gram_matrix(features) if self._in_products(features) else None
            self.found["pca_seconds"] = time.perf_counter() - start
            start = time.perf_counter()
        machines = []
        for c in values:
            if gram is not None:
                duals = gram_svm(gram, labels, c)
                weights, biases = features.T @ duals, duals.sum(axis=0)
            else:
                weights, biases = liblinear(features, labels, c, self.seed)
            if reduction is not None:  # weights for the original features that give the same scores
                weights = reduction.components_.T @ weights
                biases = biases - reduction.mean_ @ weights
            machines.append((weights, biases))
        self.found["svm_seconds"] = time.perf_counter() - start
        return machines

    def _in_products(self, features: np.ndarray) -> bool:
        fewer = len(features) < features.shape[1] and len(features) <= LARGEST_GRAM
        return self.solver == "gram" or (self.solver == "auto" and fewer)

    def _cross_validated(self, features: np.ndarray, labels: np.ndarray, gram: np.ndarray | None) -> float:
        """Return the value of C with the highest cross-validation accuracy, the smallest of several."""
        start, right = time.perf_counter(), dict.fromkeys(sorted(self.grid), 0)
        if np.bincount(labels).min() < self.folds:  # in a try-out
            return max(right)
        cut = StratifiedKFold(self.folds, shuffle=True, random_state=self.seed)
        for train, held_out in cut.split(features, labels):
            inner = None if gram is None else gram[np.ix_(train, train)]
            machines = self._fit(features[train], labels[train], inner, list(right))
            for c, (weights, biases) in zip(right, machines, strict=True):
                right[c] += int(((features[held_out] @ weights + biases).argmax(axis=1) == labels[held_out]).sum())
        shares = {c: count / len(labels) for c, count in right.items()}
        best = max(shares, key=lambda c: shares[c])
        listed = ", ".join(f"{100 * share:.1f} % with C={c:g}" for c, share in shares.items())
        say(
            f"{self.folds}-fold cross-validation accuracy on {len(labels):,} training images: {listed}. "
            f"C={best:g} is used.",
            [],
        )
        self.found |= {"cv_acc": shares[best], "cv_seconds": time.perf_counter() - start}
        return best


def liblinear(features: np.ndarray, labels: np.ndarray, c: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the weights (width, classes) and biases (classes,) of scikit-learn's linear SVMs."""
    machines = LinearSVC(C=c, random_state=seed, max_iter=20_000).fit(features, labels)
    if len(machines.coef_) == 1:  # scikit-learn fits one SVM for two classes
        return np.stack([-machines.coef_[0], machines.coef_[0]], axis=1), np.array([-1, 1]) * machines.intercept_
    return machines.coef_.T, machines.intercept_

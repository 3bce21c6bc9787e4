"""Linear machines from inner products are scikit-learn's, for every C."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.svm import LinearSVC

from labs.functional.gram_svm import gram_matrix, gram_svm


def unit_rows(count: int, width: int, classes: int, seed: int, spread: float = 0.3) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(classes), draw.integers(0, classes, count - classes)])
    rows = np.maximum(spread * draw.normal(size=(classes, width))[labels] + draw.normal(size=(count, width)), 0)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True), labels


@pytest.mark.parametrize("c", [1e-3, 0.1, 1.0, 30.0, 1e4])
@pytest.mark.parametrize(("count", "width", "classes"), [(40, 200, 4), (60, 61, 13), (90, 30, 3), (20, 500, 2)])
def test_it_is_linear_svc_with_a_tight_tolerance(c: float, count: int, width: int, classes: int) -> None:
    features, labels = unit_rows(count, width, classes, seed=count)
    duals = gram_svm(gram_matrix(features), labels, c)
    theirs = LinearSVC(C=c, tol=1e-11, max_iter=10_000_000, dual=c < 30, random_state=0).fit(features, labels)
    weights, biases = features.T @ duals, duals.sum(axis=0)
    ours = weights[:, 1:].T if classes == 2 else weights.T
    assert np.allclose(ours, theirs.coef_, atol=2e-4 * np.abs(theirs.coef_).max())
    assert np.allclose(biases[1:] if classes == 2 else biases, theirs.intercept_, atol=2e-3)


@pytest.mark.parametrize("c", [0.01, 1.0, 1e3, 1e6])
def test_no_weights_are_better(c: float) -> None:
    """The gradient of the objective is zero, which is enough: it is convex."""
    features, labels = unit_rows(70, 300, 5, seed=1)
    features[3], features[4] = features[5], 0  # a copy, and an image of which a layer gave nothing
    duals = gram_svm(gram_matrix(features), labels, c)
    weights, biases = features.T @ duals, duals.sum(axis=0)
    for label in range(5):
        sign = np.where(labels == label, 1.0, -1.0)
        missing = np.maximum(1 - sign * (features @ weights[:, label] + biases[label]), 0)
        gradient = weights[:, label] - 2 * c * features.T @ (sign * missing)
        size = max(np.abs(weights).max(), 2 * c * missing.max())  # of two copies of which one is of the class
        assert np.abs(gradient).max() < 1e-7 * size
        assert biases[label] == pytest.approx(2 * c * (sign * missing).sum(), abs=1e-7 * size)


@pytest.mark.parametrize("c", [0.1, 1.0, 10.0])
def test_accuracies_are_those_of_linear_svc_as_it_comes(c: float) -> None:
    rows, labels = unit_rows(400, 300, 6, seed=2, spread=0.15)
    train, test = np.arange(400) < 200, np.arange(400) >= 200
    duals = gram_svm(gram_matrix(rows[train].astype(np.float32)), labels[train], c)
    scores = rows[test] @ (rows[train].T @ duals) + duals.sum(axis=0)
    theirs = LinearSVC(C=c, random_state=0).fit(rows[train], labels[train])
    ours = float((scores.argmax(axis=1) == labels[test]).mean())
    assert 0.3 < ours < 0.95
    assert ours == pytest.approx(theirs.score(rows[test], labels[test]), abs=0.0051)

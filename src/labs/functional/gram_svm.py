"""Linear support vector machines (SVMs) from the Gram matrix alone, for fewer images than features.

There is one SVM per class, one against the rest. Each minimizes over weights w and bias b, with labels y of +1 and -1,

    1/2 |w|^2 + 1/2 b^2 + C sum_i max(0, 1 - y_i (w . x_i + b))^2

like scikit-learn's `LinearSVC`: the bias counts as the weight of an additional feature that is always 1. The optimal w
is a linear combination of the x_i, so only the inner products K_ij = x_i . x_j are needed, which are the same for all
classes and values of C. Newton's method reaches the exact solution after a few steps, because the loss is quadratic
while no image crosses the margin (O. Chapelle, "Training a Support Vector Machine in the Primal", 2007).
"""

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.linalg.lapack import dpotrf, dpotri

STEPS = 100  # largest number of Newton steps; about ten are needed
HALVINGS = 30  # largest number of halvings of one step


def gram_matrix(features: np.ndarray) -> np.ndarray:
    """Return the inner products (images, images), in double precision, of features (images, width)."""
    values = features.astype(np.float64)
    return values @ values.T


def gram_svm(gram: np.ndarray, labels: np.ndarray, c: float) -> np.ndarray:
    """Return the dual coefficients of each image in each SVM, (images, classes).

    With these `duals` and features X, the weights of the SVMs are `X.T @ duals`, (width, classes), and the biases are
    `duals.sum(axis=0)`.

    Args:
        gram: Inner products (images, images).
        labels: Class of each image, from 0; no class is empty.
        c: Cost of margin violations, above 0.

    Examples:
        >>> x = np.array([[-2.0], [-1.0], [1.0], [2.0]])
        >>> duals = gram_svm(gram_matrix(x), np.array([0, 0, 1, 1]), c=1e6)
        >>> np.round(x.T @ duals, 3).tolist(), np.abs(duals.sum(axis=0)).round(3).tolist()
        ([[-1.0, 1.0]], [0.0, 0.0])
    """
    with_bias = gram + 1
    # one inverse for all classes: an SVM with few images outside the margin needs little more (`_solve`)
    matrix = with_bias + np.eye(len(gram)) / (2 * c)
    inverse, _ = dpotri(dpotrf(matrix, lower=True)[0], lower=True, overwrite_c=True)
    inverse = np.tril(inverse) + np.tril(inverse, -1).T
    signs = np.where(labels[:, None] == np.arange(labels.max() + 1), 1.0, -1.0)
    starts = inverse @ signs  # the solutions if all images are within the margin
    machines = [_machine(with_bias, matrix, inverse, sign, start, c) for sign, start in zip(signs.T, starts.T)]
    return np.stack(machines, axis=1)


def _machine(
    gram: np.ndarray, matrix: np.ndarray, inverse: np.ndarray, sign: np.ndarray, start: np.ndarray, c: float
) -> np.ndarray:
    """Return the duals of one SVM by Newton's method; a step that does not lower the objective is halved."""
    duals, within = start, np.ones(len(sign), dtype=bool)
    scores = gram @ duals
    value = _objective(duals, scores, sign, c)
    for _ in range(STEPS):
        now = sign * scores < 1
        if np.array_equal(now, within):
            break
        within = now
        target = _solve(matrix, inverse, sign, within)
        step, change = target - duals, gram @ target - scores
        share = 1.0
        for _ in range(HALVINGS):
            tried = _objective(duals + share * step, scores + share * change, sign, c)
            if tried <= value:
                break
            share /= 2
        else:
            break  # no measurable improvement is possible
        duals, scores, value = duals + share * step, scores + share * change, tried
        if share < 1:
            within = np.zeros_like(within)  # the step was shortened, so do not stop yet
    return duals


def _objective(duals: np.ndarray, scores: np.ndarray, sign: np.ndarray, c: float) -> float:
    return float(duals @ scores / 2 + c * np.square(np.maximum(1 - sign * scores, 0)).sum())


def _solve(matrix: np.ndarray, inverse: np.ndarray, sign: np.ndarray, within: np.ndarray) -> np.ndarray:
    """Return the solution if exactly these images are within the margin; the duals of the others are zero.

    The smaller of two systems is solved: that of the images within the margin, or that of the others, which corrects
    the solution for all images.
    """
    duals, others = np.zeros(len(sign)), ~within
    if 2 * within.sum() <= len(within):
        duals[within] = cho_solve(_factor(matrix, within), sign[within], check_finite=False)
        return duals
    corner = _factor(inverse, others) if others.any() else None
    for _ in range(2):  # the second pass removes rounding errors, for a large C and similar images
        left = np.where(within, sign - matrix @ duals, 0)
        if corner is not None:
            left[others] = -cho_solve(corner, (inverse @ left)[others], check_finite=False)
        duals += inverse @ left
        duals[others] = 0
    return duals


def _factor(matrix: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, bool]:
    """Return the Cholesky factor of some rows and columns of a matrix."""
    return cho_factor(matrix[np.ix_(rows, rows)], lower=True, overwrite_a=True, check_finite=False)

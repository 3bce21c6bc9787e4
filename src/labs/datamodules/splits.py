"""Rules for splitting images: pure functions of names, labels and groups."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from labs import LabsError
from labs.datamodules.sources import LabeledImages


def first_k(names: Sequence[str], labels: np.ndarray, k: int = 15, classes: Sequence[str] = ()) -> np.ndarray:
    """Mark the first `k` file names of each class, in ascending order, as test images.

    This is hand-out 000, question 1, with k = 15. Names are sorted by code points, as Python sorts strings. `classes`
    are the class names for error messages.

    Returns:
        A boolean array (images,), True for test images.

    Raises:
        LabsError: a class has no more than `k` images, so that none would be left for training.

    Examples:
        >>> first_k(["b", "a", "c"], np.array([0, 0, 0]), k=2).tolist()
        [True, True, False]
    """
    is_test = np.zeros(len(names), dtype=bool)
    for label in np.unique(labels):
        members = sorted(np.flatnonzero(labels == label), key=lambda row: names[int(row)])
        if len(members) <= k:
            raise LabsError(
                f"class {_name(label, classes)} has {len(members)} images: the first {k} are its test set, so none "
                "is left for training. Add images to its folder, or type datamodule.source.split=official."
            )
        is_test[members[:k]] = True
    return is_test


def stratified_holdout(
    labels: np.ndarray, fraction: float, seed: int, classes: Sequence[str] = (), groups: np.ndarray | None = None
) -> np.ndarray:
    """Mark a fraction of every class, drawn by `seed`, as held out; both parts get at least one image of each class.

    A group is held out as a whole or not at all. It counts as one image, with the class of its first image.

    Args:
        labels: class of each image, (images,).
        fraction: fraction to hold out, in (0, 1).
        seed: random seed; the same seed gives the same images on every machine.
        classes: class names for error messages.
        groups: group of each image, (images,); None: each image is its own group.

    Returns:
        A boolean array (images,), True for images held out.

    Raises:
        LabsError: the fraction is outside (0, 1), or a class has only one image or group.
    """
    check_fraction(fraction)
    if groups is not None:
        _, first, member_of = np.unique(groups, return_index=True, return_inverse=True)
        _check_groups(labels, labels[first], classes)
        return stratified_holdout(labels[first], fraction, seed, classes)[member_of]
    draw = np.random.default_rng(seed)
    held_out = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        if len(members) < 2:
            raise LabsError(
                f"class {_name(label, classes)} has one training image, too few to split into training and validation. "
                "Add images to it, or remove the class."
            )
        count = min(max(round(fraction * len(members)), 1), len(members) - 1)
        held_out[draw.permutation(members)[:count]] = True
    return held_out


def folds_of(
    labels: np.ndarray, folds: int, seed: int, *, stratified: bool = True, groups: np.ndarray | None = None
) -> np.ndarray:
    """Return the fold of each image, from 0 to `folds` - 1, drawn by `seed`.

    If a class has `n` images, fold 0 gets `n // folds` of them, and the remainder goes to the other folds in turn,
    class after class. A group is in one fold as a whole. It counts as one image, with the class of its first image.

    Args:
        labels: class of each image, (images,).
        folds: number of folds.
        seed: random seed.
        stratified: whether to divide each class separately; otherwise all images are divided together.
        groups: group of each image, (images,); None: each image is its own group.

    Returns:
        An integer array (images,).

    Examples:
        >>> np.bincount(folds_of(np.repeat([0, 1], [7, 12]), folds=5, seed=0)).tolist()
        [3, 4, 4, 4, 4]
    """
    if groups is not None:
        _, first, member_of = np.unique(groups, return_index=True, return_inverse=True)
        return folds_of(labels[first], folds, seed, stratified=stratified)[member_of]
    draw = np.random.default_rng(seed)
    found = np.zeros(len(labels), dtype=np.int64)
    left_over = 0
    for label in np.unique(labels) if stratified else (None,):
        members = draw.permutation(np.flatnonzero(labels == label) if label is not None else len(labels))
        whole = len(members) // folds * folds
        found[members[:whole]] = np.arange(whole) % folds
        for row in members[whole:]:
            found[row] = 1 + left_over % (folds - 1)
            left_over += 1
    return found


def _check_groups(labels: np.ndarray, of_groups: np.ndarray, classes: Sequence[str]) -> None:
    """Raise an error if all images of a class are copies of each other, or of images in other classes."""
    for label in np.unique(labels):
        images, groups = (int((found == label).sum()) for found in (labels, of_groups))
        if groups < 2 <= images:
            raise LabsError(
                f"class {_name(label, classes)} cannot be split: all {images} images are copies of each other or of "
                "images in other classes, and copies must stay together. Add other images, or remove the class."
            )


def _name(label: int, classes: Sequence[str]) -> str:
    return classes[label] if classes else str(label)


def check_fraction(fraction: float) -> None:
    """Raise an error if a validation fraction is outside (0, 1)."""
    if not 0 < fraction < 1:
        raise LabsError(f"datamodule.validation_fraction={fraction}: expected a fraction in (0, 1), such as 0.1.")


def check_same_data(saved: Mapping[str, Any], here: Mapping[str, Any], *keys: str) -> None:
    """Refuse to resume from a checkpoint whose datamodule differs from this run's in one of the keys."""
    for key in keys:
        if saved[key] != here[key]:
            raise LabsError(
                f"the checkpoint was trained on other data ({key} {saved[key]}, here {here[key]}); "
                "start a new run instead of resuming this one."
            )


def split_hash(names: Sequence[str], splits: dict[str, np.ndarray]) -> str:
    """Return a digest of which image is in which split; runs with the same digest are comparable."""
    digest = hashlib.sha256()
    for split, rows in sorted(splits.items()):
        digest.update(f"{split}:{len(rows)}\n".encode())
        for name in sorted(names[row] for row in rows):
            digest.update(f"{name}\n".encode())
    return digest.hexdigest()[:16]


def three_splits(images: LabeledImages, validation: str, fraction: float, seed: int) -> dict[str, np.ndarray]:
    """Return the rows of the training, validation and test splits.

    Args:
        images: images of a source.
        validation: `train` uses the source's validation images; if there are none, a stratified part of the training
            images is held out, with whole groups. Two sources with equal groups and classes, in the same order, hold
            out the same groups. `test` uses the test split for validation, too. `none` has no validation split, and
            ignores the source's.
        fraction: fraction of each class to hold out.
        seed: random seed of that split.
    """
    is_val = np.zeros(len(images.labels), dtype=bool) if images.is_val is None else images.is_val
    train, val, test = (np.flatnonzero(rows) for rows in (~images.is_test & ~is_val, is_val, images.is_test))
    if validation == "test":
        return {"train": train, "val": test, "test": test}
    if validation == "none":
        return {"train": train, "test": test}
    if len(val):
        return {"train": train, "val": val, "test": test}
    groups = None if images.groups is None else images.groups[train]
    held_out = stratified_holdout(images.labels[train], fraction, seed, images.classes, groups)
    return {"train": train[~held_out], "val": train[held_out], "test": test}

"""Whether two domains fit each other, and which of their images train, validate and test."""

from collections.abc import Mapping
from typing import Literal

import numpy as np

from labs import LabsError
from labs.datamodules.sources import LabeledImages, check_classes
from labs.datamodules.splits import stratified_holdout

Domain = Literal["source", "target"]


def check_domains(domains: Mapping[Domain, LabeledImages], names: Mapping[Domain, str], num_classes: int) -> None:
    """Check that two domains have images and the same classes, as many as expected.

    Args:
        domains: `source` and `target`.
        names: of their datasets.
        num_classes: expected.

    Raises:
        LabsError: they have not.
    """
    (first, one), (second, other) = ((names[domain], images) for domain, images in domains.items())
    if one.classes != other.classes:
        raise LabsError(
            f"{first} has the classes {_some(one.classes)}, {second} {_some(other.classes)}: two domains must show the "
            "same classes."
        )
    check_classes(num_classes, one.classes, "both domains")
    for domain, images in domains.items():
        for split, is_test in {"training": False, "test": True}.items():
            if not (images.is_test == is_test).any():
                raise LabsError(f"the {domain} domain, {names[domain]}, has no {split} images; it needs some.")


def cut_domain(images: LabeledImages, fraction: float, seed: int) -> dict[str, np.ndarray]:
    """Return the rows of the splits `train`, `val` and `test`.

    A share of the training images is held out to validate on, stratified by class; of one group all or none. Groups of
    the same classes, in the same order, are cut alike, so that two domains that show the same things hold out the same.

    Args:
        images: of one domain.
        fraction: share of the groups of each class, in (0, 1).
        seed: of the cut.
    """
    train, test = (np.flatnonzero(images.is_test == is_test) for is_test in (False, True))
    groups = images.groups[train] if images.groups is not None else np.arange(len(train))
    _, first, member_of = np.unique(groups, return_index=True, return_inverse=True)
    held_out = stratified_holdout(images.labels[train][first], fraction, seed, images.classes)[member_of]
    return {"train": train[~held_out], "val": train[held_out], "test": test}


def _some(classes: list[str]) -> str:
    return ", ".join(classes[:4]) + (f", ... ({len(classes)} in all)" if len(classes) > 4 else "")

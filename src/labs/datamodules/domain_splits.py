"""Whether two domains fit each other, and which of their images train, validate and test."""

from collections.abc import Mapping
from typing import Literal

import numpy as np

from labs import LabsError
from labs.datamodules.sources import LabeledImages, check_classes
from labs.datamodules.splits import three_splits

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

    Args:
        images: of one domain.
        fraction: share of the groups of each class that is held out to validate on, in (0, 1).
        seed: of the cut.
    """
    return three_splits(images, "train", fraction, seed)


def _some(classes: list[str]) -> str:
    return ", ".join(classes[:4]) + (f", ... ({len(classes)} in all)" if len(classes) > 4 else "")

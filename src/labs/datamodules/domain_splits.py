"""Check that two domains match, and split their images into training, validation and test sets."""

from collections.abc import Mapping
from typing import Literal

import numpy as np

from labs import LabsError
from labs.datamodules.sources import LabeledImages, check_classes
from labs.datamodules.splits import three_splits

Domain = Literal["source", "target"]


def check_domains(domains: Mapping[Domain, LabeledImages], names: Mapping[Domain, str], num_classes: int) -> None:
    """Check that two domains have images and the same classes, of the expected number.

    Args:
        domains: images of `source` and `target`.
        names: names of their datasets.
        num_classes: expected number of classes.

    Raises:
        LabsError: the check fails.
    """
    (first, one), (second, other) = ((names[domain], images) for domain, images in domains.items())
    if one.classes != other.classes:
        raise LabsError(
            f"The two domains need the same classes, but {first} has {_some(one.classes)} and {second} has "
            f"{_some(other.classes)}."
        )
    check_classes(num_classes, one.classes, "both domains")
    for domain, images in domains.items():
        for split, is_test in {"training": False, "test": True}.items():
            if not (images.is_test == is_test).any():
                raise LabsError(f"the {domain} domain, {names[domain]}, has no {split} images; choose another dataset.")


def cut_domain(images: LabeledImages, fraction: float, seed: int) -> dict[str, np.ndarray]:
    """Return the rows of the splits `train`, `val` and `test`.

    Args:
        images: images of one domain.
        fraction: fraction of the groups of each class that is held out for validation, in (0, 1).
        seed: random seed of the split.
    """
    return three_splits(images, "train", fraction, seed)


def _some(classes: list[str]) -> str:
    return ", ".join(classes[:4]) + (f", ... ({len(classes)} in all)" if len(classes) > 4 else "")

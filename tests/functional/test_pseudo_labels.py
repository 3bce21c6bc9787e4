"""Pseudo-labels against a slow reference without tensors."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from labs.functional.pseudo_labels import NO_LABEL, pseudo_labels


def predictions(images: int = 200, classes: int = 5, seed: int = 0, skew: float = 1.0) -> Tensor:
    """Draw probabilities of which some classes are predicted more often than others, all different."""
    draw = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(images, classes, generator=draw) + skew * torch.arange(classes)
    return logits.double().softmax(dim=1)


def slowly(probabilities: Tensor, threshold: float, balanced: bool) -> list[int]:
    rows = probabilities.tolist()
    labels = [row.index(max(row)) if max(row) >= threshold else -1 for row in rows]
    if balanced:
        classes = len(rows[0])
        most = math.ceil(sum(label != -1 for label in labels) / classes)
        for label in range(classes):
            members = sorted((i for i, given in enumerate(labels) if given == label), key=lambda i: (-max(rows[i]), i))
            for image in members[most:]:
                labels[image] = -1
    return labels


@pytest.mark.parametrize("balanced", [False, True])
@pytest.mark.parametrize("threshold", [0.0, 0.4, 0.8, 0.95, 0.999])
@pytest.mark.parametrize("seed", range(3))
def test_they_are_those_of_a_slow_reference(seed: int, threshold: float, balanced: bool) -> None:
    probabilities = predictions(seed=seed)
    assert pseudo_labels(probabilities, threshold, balanced=balanced).tolist() == slowly(
        probabilities, threshold, balanced
    )


def test_only_what_is_confident_is_labelled() -> None:
    probabilities = predictions()
    labels = pseudo_labels(probabilities, 0.9, balanced=False)
    confident = probabilities.max(dim=1).values >= 0.9
    assert 0 < confident.sum() < len(labels)
    assert torch.equal(labels != NO_LABEL, confident)
    assert torch.equal(labels[confident], probabilities.argmax(dim=1)[confident])
    assert labels.dtype == torch.int64


def test_the_threshold_itself_is_confident_enough() -> None:
    probabilities = torch.tensor([[0.95, 0.05], [0.05, 0.95], [0.9499, 0.0501]])
    assert pseudo_labels(probabilities, 0.95, balanced=False).tolist() == [0, 1, -1]


def test_a_threshold_of_zero_takes_all_and_one_the_certain() -> None:
    probabilities = torch.cat([predictions(classes=3), torch.eye(3, dtype=torch.float64)])
    assert torch.equal(pseudo_labels(probabilities, 0.0, balanced=False), probabilities.argmax(dim=1))
    assert pseudo_labels(probabilities, 1.0, balanced=False).tolist() == [-1] * 200 + [0, 1, 2]
    assert pseudo_labels(probabilities, 1.0, balanced=True).tolist() == [-1] * 200 + [0, 1, 2]


@pytest.mark.parametrize("skew", [0.0, 1.0, 4.0])
def test_no_class_has_more_than_the_mean_class_and_keeps_its_surest(skew: float) -> None:
    probabilities = predictions(skew=skew)
    free = pseudo_labels(probabilities, 0.7, balanced=False)
    labels = pseudo_labels(probabilities, 0.7, balanced=True)
    mean = (free != NO_LABEL).sum().item() / 5
    confidence = probabilities.max(dim=1).values
    for label in range(5):
        kept, given = labels == label, free == label
        assert kept.sum() == min(given.sum(), math.ceil(mean))
        assert not (kept & ~given).any()
        dropped = given & ~kept
        if dropped.any() and kept.any():
            assert confidence[kept].min() >= confidence[dropped].max()


@pytest.mark.parametrize("balanced", [False, True])
def test_other_orders_of_images_and_classes_give_the_same_labels(balanced: bool) -> None:
    probabilities, draw = predictions(), torch.Generator().manual_seed(3)
    labels = pseudo_labels(probabilities, 0.8, balanced=balanced)
    images, classes = torch.randperm(200, generator=draw), torch.randperm(5, generator=draw)
    assert torch.equal(pseudo_labels(probabilities[images], 0.8, balanced=balanced), labels[images])
    renamed = pseudo_labels(probabilities[:, classes], 0.8, balanced=balanced)
    named_back = torch.where(renamed == NO_LABEL, NO_LABEL, classes[renamed])
    assert torch.equal(named_back, labels)


def test_among_equally_sure_images_the_first_are_kept() -> None:
    probabilities = torch.tensor([[1.0, 0.0]] * 5 + [[0.0, 1.0]])
    assert pseudo_labels(probabilities, 0.9, balanced=True).tolist() == [0, 0, 0, -1, -1, 1]


def test_a_few_confident_images_are_kept() -> None:
    """Less than one of each class: the mean is rounded up."""
    probabilities = torch.full((20, 10), 0.1)
    probabilities[3], probabilities[7], probabilities[8] = torch.eye(10)[4], torch.eye(10)[2], torch.eye(10)[2]
    labels = pseudo_labels(probabilities, 0.9, balanced=True)
    assert {place: int(label) for place, label in enumerate(labels) if label != NO_LABEL} == {3: 4, 7: 2}


def test_nobody_confident_no_labels() -> None:
    for balanced in (False, True):
        assert pseudo_labels(torch.full((4, 5), 0.2), 0.5, balanced=balanced).tolist() == [NO_LABEL] * 4
        assert pseudo_labels(torch.full((4, 5), torch.nan), 0.0, balanced=balanced).tolist() == [NO_LABEL] * 4


def test_the_probabilities_stay_as_they_are() -> None:
    probabilities = predictions()
    before = probabilities.clone()
    pseudo_labels(probabilities, 0.5, balanced=True)
    assert torch.equal(probabilities, before)

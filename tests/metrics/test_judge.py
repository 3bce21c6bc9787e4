"""The judge of generated images, trained on images that are easily told apart."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import labs.metrics.judge
from labs.datamodules.sources import LabeledImages
from labs.metrics.judge import Judge, trained_judge

CLASSES = 3


def striped(seed: int = 0, count: int = 90) -> LabeledImages:
    """Noisy stripes of three directions: horizontal, vertical, none. Every third of each class is for testing."""
    draw = np.random.default_rng(seed)
    labels = np.arange(count) % CLASSES
    pixels = draw.integers(0, 120, (count, 1, 32, 32))
    stripes = 120 * (np.arange(32) // 4 % 2)
    pixels[labels == 0] += stripes[:, None]
    pixels[labels == 1] += stripes[None, :]
    is_test = np.arange(count) // CLASSES % 3 == 2
    names = [f"image_{row:03d}" for row in range(count)]
    return LabeledImages(pixels.astype(np.uint8), labels.astype(np.int64), names, ["h", "v", "none"], is_test)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labs.metrics.judge, "STEPS", 30)
    monkeypatch.setattr(labs.metrics.judge, "BATCH", 16)


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One entry for each time that a judge is trained."""
    counted: list[int] = []
    original = labs.metrics.judge._train

    def train(judge: Judge, images: LabeledImages) -> None:
        counted.append(len(images.pixels))
        original(judge, images)

    monkeypatch.setattr(labs.metrics.judge, "_train", train)
    return counted


def test_trained_once_and_read_from_disk_afterwards(tmp_path: Path, trainings: list[int]) -> None:
    first = trained_judge(striped(), tmp_path)
    second = trained_judge(striped(), tmp_path)
    assert len(trainings) == 1
    assert first.hash == second.hash
    assert first.accuracy == second.accuracy
    assert len(list(tmp_path.glob("judge-*.pt"))) == 1
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize("damage", ["empty", "half", "text", "another_object", "another_net"])
def test_a_damaged_file_is_replaced(damage: str, tmp_path: Path, trainings: list[int]) -> None:
    first = trained_judge(striped(), tmp_path)
    (file,) = tmp_path.glob("judge-*.pt")
    content = file.read_bytes()
    if damage == "another_object":
        torch.save([1, 2], file)
    elif damage == "another_net":
        torch.save(Judge(3, CLASSES).state_dict(), file)
    else:
        file.write_bytes(
            {"empty": b"", "half": content[: len(content) // 2], "text": b"<html>not found</html>"}[damage]
        )
    again = trained_judge(striped(), tmp_path)
    assert len(trainings) == 2
    assert again.hash == first.hash
    trained_judge(striped(), tmp_path)
    assert len(trainings) == 2, "it was written again"


def test_other_images_labels_or_test_images_other_file(tmp_path: Path, trainings: list[int]) -> None:
    images = striped()
    swapped, moved = images.labels.copy(), np.roll(images.is_test, 3)
    swapped[:2] = swapped[:2][::-1].copy()
    for some in (images, striped(seed=1), images._replace(labels=swapped), images._replace(is_test=moved)):
        trained_judge(some, tmp_path)
    assert len(trainings) == len(list(tmp_path.glob("judge-*.pt"))) == 4


def test_same_hash_in_two_folders_whatever_the_global_seed(tmp_path: Path) -> None:
    torch.manual_seed(1)
    first = trained_judge(striped(), tmp_path / "one")
    torch.manual_seed(2)
    second = trained_judge(striped(), tmp_path / "two")
    assert first.hash == second.hash
    assert len(first.hash) == 12
    with torch.no_grad():
        second.head.bias[0] += 1e-3
    assert first.hash != second.hash


@pytest.mark.parametrize("kept", [False, True], ids=["trained", "read"])
def test_leaves_the_global_generator_alone(kept: bool, tmp_path: Path) -> None:
    if kept:
        trained_judge(striped(), tmp_path)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    trained_judge(striped(), tmp_path)
    assert torch.equal(torch.rand(3), expected)


def test_tells_classes_apart_that_can_be_told_apart(tmp_path: Path) -> None:
    images = striped()
    judge = trained_judge(images, tmp_path)
    assert judge.accuracy >= 0.9
    held_out = torch.from_numpy(images.pixels[images.is_test])
    right = judge.classify(judge(held_out)).numpy() == images.labels[images.is_test]
    assert judge.accuracy == pytest.approx(right.mean())
    wrong = images._replace(labels=np.where(images.is_test, (images.labels + 1) % CLASSES, images.labels))
    assert trained_judge(wrong, tmp_path).accuracy <= 0.1, "it is measured on the test images, which never train"


def test_frozen_and_in_evaluation_mode(tmp_path: Path) -> None:
    for _ in ("trained", "read"):
        judge = trained_judge(striped(), tmp_path)
        assert not any(module.training for module in judge.modules())
        assert not any(parameter.requires_grad for parameter in judge.parameters())


def features_of(images: LabeledImages, judge: Judge) -> Tensor:
    return judge(torch.from_numpy(images.pixels[~images.is_test]))


def test_root_mean_square_of_the_training_features_is_one(tmp_path: Path) -> None:
    images = striped()
    features = features_of(images, trained_judge(images, tmp_path))
    assert features.shape == (60, 64)
    assert features.square().mean().sqrt().item() == pytest.approx(1, abs=1e-4)


def test_features_become_the_logits_that_were_trained(tmp_path: Path) -> None:
    """Scaling the features must not move what the last layer says."""
    images = striped()
    judge = trained_judge(images, tmp_path)
    assert judge.unit.item() != pytest.approx(1, abs=0.01), "else this compares nothing"
    pixels = torch.from_numpy(images.pixels[:20])
    plain = judge.head(judge.body(pixels.float() / 127.5 - 1))
    torch.testing.assert_close(judge.logits(judge(pixels)), plain)


def test_larger_images_are_judged_as_their_averages(tmp_path: Path) -> None:
    images = striped()
    judge = trained_judge(images, tmp_path)
    small = torch.from_numpy(images.pixels[:20])
    doubled = small.repeat_interleave(2, -1).repeat_interleave(2, -2)
    torch.testing.assert_close(judge(doubled), judge(small))
    # other pixels with the same averages, up to half a gray level
    noise = torch.randint(-20, 21, (20, 1, 32, 32), generator=torch.Generator().manual_seed(0))
    uneven = doubled.int().clamp(20, 235)
    reference = judge(uneven.byte())
    uneven[..., ::2, ::2] += noise
    uneven[..., 1::2, 1::2] -= noise
    torch.testing.assert_close(judge(uneven.byte()), reference)

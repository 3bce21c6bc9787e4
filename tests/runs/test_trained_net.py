"""A trained net: ImageNet's with its own classes, or that of a run, and how a class is named."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from trained_run import CLASSES, write_trained_run

from labs import LabsError
from labs.datamodules.photos import Photos
from labs.inspection.maps import maps_of
from labs.runs.load import load_run
from labs.runs.trained_net import TrainedNet, class_index, imagenet_classes, top_classes, trained_net


@pytest.fixture(scope="module")
def squeezenet() -> TrainedNet:
    return trained_net(name="squeezenet1_1")


def test_imagenets_net_names_what_is_on_a_photograph(squeezenet: TrainedNet) -> None:
    assert squeezenet.labels == []
    assert not squeezenet.net.training
    assert not any(parameter.requires_grad for parameter in squeezenet.net.parameters())
    data = photos(images=["coffee", "chelsea"])
    data.trainer = Looking(squeezenet)  # type: ignore[assignment]
    data.setup("test")
    probabilities = squeezenet(data.pixels).softmax(1)
    best = [top_classes(squeezenet, row, 1)[0] for row in probabilities]
    assert [name for name, _ in best] == ["espresso", "Egyptian cat"]
    assert best[0][1] > 0.9


class Looking:
    """A trainer, as far as `Photos` asks it."""

    def __init__(self, net: TrainedNet) -> None:
        self.world_size = 1
        self.lightning_module = type("Method", (), {"looked_into": net})()


def photos(**settings: object) -> Photos:
    usual = {"images": None, "photographs": ["coffee"], "split": "test", "count": 4, "batch_size": 2, "embedded": False,
             "folder": "data"}  # fmt: skip
    return Photos(**{**usual, **settings})  # type: ignore[arg-type]


def test_random_weights_are_seeded_and_labeled() -> None:
    first, second, other = (trained_net(name="alexnet", weights="random", seed=seed) for seed in (0, 0, 1))
    images = torch.rand(1, 3, 224, 224)
    assert first.labels == ["random weights"]
    assert torch.equal(first(images), second(images))
    assert not torch.equal(first(images), other(images))


def test_the_net_of_a_run_answers_as_the_run_does(tmp_path: Path) -> None:
    run_dir = write_trained_run(tmp_path / "run")
    net, run = trained_net(weights=str(run_dir)), load_run(run_dir)
    images = torch.rand(2, 3, 16, 16)
    torch.testing.assert_close(net(images).softmax(1), run.predict(images))
    torch.testing.assert_close(net(images), net.net((images - 0.5) / 0.25))
    assert (net.classes, net.image_size, net.resize, net.labels) == (CLASSES, 16, 16, ["embedded data"])
    assert net.run == run_dir.resolve()
    assert maps_of(net.net, images, torch.tensor([0, 1]), method="guided").isfinite().all()


def test_a_file_of_weights_of_imagenets_classes_is_read(tmp_path: Path) -> None:
    torch.save(trained_net(name="squeezenet1_1").net.state_dict(), tmp_path / "net.pth")
    net = trained_net(name="squeezenet1_1", weights=str(tmp_path / "net.pth"))
    assert net.labels == ["weights of a file"]
    assert len(net.classes) == 1000


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"name": "squeezenet"}, "did you mean"),
        ({"weights": "outputs/nothing"}, "weights=outputs/nothing: expected imagenet, random, or a run directory"),
        ({"image_size": 0}, "at least 17x17 pixels, found 0x0"),
        ({"image_size": 8}, "at least 17x17 pixels, found 8x8.*Type net.image_size=64"),
        ({"name": "timm/resnet10"}, "timm .* has no such net"),
    ],
)
def test_what_there_is_not_is_said(settings: dict, words: str) -> None:
    with pytest.raises(LabsError, match=words):
        trained_net(**settings)


def test_a_run_is_not_asked_for_another_size(tmp_path: Path) -> None:
    run_dir = write_trained_run(tmp_path / "run")
    with pytest.raises(LabsError, match="was trained on 16 pixels"):
        trained_net(weights=str(run_dir), image_size=32)


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LabsError, match="this is no trained run"):
        trained_net(weights=str(tmp_path))


def test_a_class_has_a_name_a_number_and_neighbors() -> None:
    classes = imagenet_classes()
    assert [class_index(classes, typed, "target") for typed in ("tarantula", "TARANTULA", 76, "76", "stingray")] == [
        76, 76, 76, 76, 6
    ]  # fmt: skip
    assert [class_index(["5", "6", "7", "cat"], typed, "target") for typed in (6, "7", 3)] == [1, 2, 3]
    assert class_index(["001.Black_footed", "002.Laysan"], "black footed", "target") == 0
    for typed, words in (
        ("taranula", r"target=taranula: the net has no such class \(did you mean tarantula\?\)"),
        ("terrier", "classes are called so; type the number of one: toy terrier"),
        ("1000", "expected 0 to 999"),
        (-1, "expected 0 to 999"),
        ("", "no such class"),
    ):
        with pytest.raises(LabsError, match=words):
            class_index(classes, typed, "target")


def test_a_net_that_gives_no_numbers_says_so(tmp_path: Path) -> None:
    net = load_run(write_trained_run(tmp_path / "run"))
    next(net.net.parameters()).data.fill_(float("nan"))
    with pytest.raises(LabsError, match="gives no numbers: its training diverged"):
        net.predict(torch.rand(1, 3, 16, 16))

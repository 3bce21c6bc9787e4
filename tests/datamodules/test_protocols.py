"""What each datamodule hands over, and what is said where a method or a callback needs something else."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from fake_domains import CLASSES, SGD, SIZE, Drawn, domains, small_net, small_trainer

from labs import LabsError
from labs.datamodules import protocols
from labs.datamodules.image_classification import ImageClassification
from labs.datamodules.image_generation import ImageGeneration
from labs.datamodules.image_pair import ImagePair
from labs.datamodules.protocols import (
    AdaptsDomains,
    ImagesOfClasses,
    ImagesToImitate,
    MakesPictures,
    MakesSamples,
    PicturePairs,
    Recorded,
    SizedImages,
    TwoDomains,
    handed_over,
    needed,
)
from labs.modules.classifier import Classifier
from labs.modules.dann import DANN


class Credited(Drawn):
    credits: list[str] = []  # noqa: RUF012


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("cache")
    common: dict[str, Any] = {"source": Credited("dark", folder), "num_classes": CLASSES, "embedded": True}
    augment = {"crop_scale": None, "flip": False}
    found: dict[str, Any] = {
        "classification": ImageClassification(
            **common, image_size=SIZE, batch_size=8, normalization="half", augment=augment
        ),
        "generation": ImageGeneration(**common, image_size=SIZE, channels=3, batch_size=8),
        "domains": domains(folder),
        "pair": ImagePair(content="astronaut", style="hubble", image_size=16, embedded=True),
    }
    for data in found.values():
        data.setup("fit")
    return found


HANDED_OVER = {
    Recorded: {"classification", "generation", "domains", "pair"},
    SizedImages: {"classification", "generation", "domains", "pair"},
    ImagesOfClasses: {"classification", "domains"},
    TwoDomains: {"domains"},
    ImagesToImitate: {"generation"},
    PicturePairs: {"pair"},
}


@pytest.mark.parametrize("kind", HANDED_OVER, ids=lambda kind: kind.__name__)
def test_who_hands_over_what(kind: type, served: dict[str, Any]) -> None:
    for name, data in served.items():
        trainer: Any = SimpleNamespace(datamodule=data)
        if name in HANDED_OVER[kind]:
            assert handed_over(trainer, kind, to=self_) is data
        else:
            with pytest.raises(LabsError, match=f"Asks does not work with {type(data).__name__}: it needs") as said:
                handed_over(trainer, kind, to=self_)
            assert "Remove callbacks=, module= and datamodule=, or type the experiment=..." in str(said.value)
            assert "\n" not in str(said.value)


class Asks(pl.Callback):
    pass


self_ = Asks()


def test_every_protocol_says_what_it_is_in_one_sentence() -> None:
    kinds = [kind for kind in vars(protocols).values() if getattr(kind, "__module__", "") == protocols.__name__]
    for kind in (kind for kind in kinds if isinstance(kind, type)):
        assert (kind.__doc__ or "").endswith(".")
        assert "\n" not in (kind.__doc__ or "\n")


def test_methods_are_told_from_each_other() -> None:
    adapting = DANN(net=small_net(), num_classes=CLASSES, optimizer=SGD)
    assert needed(adapting, AdaptsDomains, by=self_) is adapting
    classifier = Classifier(net=small_net(), num_classes=CLASSES, optimizer=SGD)
    for kind in (AdaptsDomains, MakesSamples, MakesPictures):
        with pytest.raises(LabsError, match="Asks does not work with Classifier: it needs a method that"):
            needed(classifier, kind, by=self_)


def test_a_method_on_other_data_is_refused_before_it_trains(served: dict[str, Any], tmp_path: Path) -> None:
    adapting = DANN(net=small_net(), num_classes=CLASSES, optimizer=SGD)
    with pytest.raises(LabsError, match="DANN does not work with ImageClassification: it needs images from"):
        small_trainer(tmp_path, num_sanity_val_steps=1).fit(adapting, served["classification"])


def test_stored_images_are_those_of_the_source(served: dict[str, Any]) -> None:
    data = served["generation"]
    images = data.images
    for split, is_test in {"train": False, "test": True}.items():
        stored = data.stored(split)
        assert np.array_equal(stored.images.numpy(), images.pixels[images.is_test == is_test])
        assert np.array_equal(stored.labels.numpy(), images.labels[images.is_test == is_test])
        assert torch.equal(stored.positions, torch.arange(len(stored.labels)))

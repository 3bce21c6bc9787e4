"""What the features of two domains look like: files, the state that survives a resume, and mistakes."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn

from labs import LabsError
from labs.callbacks import domain_features
from labs.callbacks.domain_features import DomainFeatures, class_colors, domains_figure, project, take_features
from labs.datamodules.domains import Domains
from labs.datamodules.image_pair import ImagePair
from labs.datamodules.sources import LabeledImages
from labs.functional.gradient_reversal import ReversalWeight
from labs.modules.dann import DANN

CLASSES, TRAIN, TEST, SIZE = 3, 24, 18, 8


class Bars:
    """Images with a bar at a place that tells the class, grey or coloured."""

    def __init__(self, name: str, colour: tuple[float, float, float], cache: Path, credits_: list[str]) -> None:
        self.name, self.colour, self.cache, self.credits = name, np.array(colour), cache, credits_

    def load(self, size: int) -> LabeledImages:
        count = TRAIN + TEST
        labels = np.arange(count) % CLASSES
        pixels = np.random.default_rng(0).integers(0, 60, (count, 3, size, size))
        for row, label in enumerate(labels):
            pixels[row, :, 2 * label : 2 * label + 2] += (180 * self.colour[:, None, None]).astype(int)
        names = [f"image_{row:02d}" for row in range(count)]
        is_test = np.arange(count) >= TRAIN
        return LabeledImages(pixels.astype(np.uint8), labels.astype(np.int64), names, ["low", "mid", "top"], is_test)


class Net(nn.Module):
    """A net of one hidden layer, with dropout, which only training has."""

    head_name = "head"

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(3 * SIZE * SIZE, 6), nn.ReLU(), nn.Dropout(0.5))
        self.head = nn.Linear(6, CLASSES)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.body(images))


@pytest.fixture
def data(tmp_path: Path) -> Domains:
    return Domains(
        source=Bars("grey bars", (1, 1, 1), tmp_path, []),  # type: ignore[arg-type]
        target=Bars("red bars", (1, 0.2, 0.2), tmp_path, ["bars: A. Painter (CC BY 2.0)"]),  # type: ignore[arg-type]
        num_classes=CLASSES, image_size=SIZE, batch_size=8, normalization="dataset", embedded=True,
        validation_fraction=0.25,
    )  # fmt: skip


def module() -> DANN:
    torch.manual_seed(0)
    build = partial(torch.optim.SGD, lr=0.1)
    return DANN(net=Net(), num_classes=CLASSES, optimizer=build, reversal=ReversalWeight(weight=0.1))


def trainer(folder: Path, callback: DomainFeatures, epochs: int) -> pl.Trainer:
    last = ModelCheckpoint(dirpath=folder, filename="last", save_on_train_epoch_end=True, enable_version_counter=False)
    return pl.Trainer(
        max_epochs=epochs, accelerator="cpu", callbacks=[callback, last], default_root_dir=folder,
        logger=TensorBoardLogger(folder, name="", version=""), enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0, log_every_n_steps=1,
    )  # fmt: skip


def colours(path: Path) -> int:
    with Image.open(path) as image:
        return len(np.unique(np.asarray(image.convert("RGB")).reshape(-1, 3), axis=0))


@pytest.mark.parametrize("method", ["pca", "tsne"])
def test_both_pictures_are_drawn(data: Domains, tmp_path: Path, method: Any) -> None:
    net, callback = module(), DomainFeatures(method=method, images=12)
    run = trainer(tmp_path, callback, epochs=3)

    run.fit(net, data)
    run.test(net, data, verbose=False)

    assert colours(tmp_path / "images" / "features.png") > 20, "two domains, three classes, and edges of markers"
    assert colours(tmp_path / "images" / "domains.png") > 20
    board = EventAccumulator(str(tmp_path))
    board.Reload()
    assert {"test/features", "test/domains"} <= set(board.Tags()["images"])
    after = take_features(net, data, 12)
    assert callback.before is not None
    assert callback.before.features.shape == after.features.shape == (24, 6)
    assert torch.equal(callback.before.labels, after.labels)
    assert after.is_target.tolist() == [False] * 12 + [True] * 12
    assert (callback.before.features - after.features).abs().max() > 0.1


def test_the_tested_weights_are_drawn(data: Domains, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net, callback = module(), DomainFeatures(images=12)
    run = trainer(tmp_path, callback, epochs=1)
    run.fit(net, data)
    drawn = []
    monkeypatch.setattr(
        domain_features, "project", lambda features, *_: drawn.append(features) or project(features, *_)
    )

    run.test(net, data, verbose=False)

    assert callback.before is not None
    np.testing.assert_array_equal(drawn[0], callback.before.features.numpy())
    np.testing.assert_array_equal(drawn[1], take_features(net, data, 12).features.numpy())


def test_a_resumed_run_shows_what_was_before_it_began(data: Domains, tmp_path: Path) -> None:
    first = DomainFeatures(images=12)
    trainer(tmp_path, first, epochs=1).fit(module(), data)
    resumed, net = DomainFeatures(images=12), module()
    nn.init.zeros_(net.net.get_submodule("body.1").weight)  # type: ignore[arg-type]

    trainer(tmp_path, resumed, epochs=2).fit(net, data, ckpt_path=tmp_path / "last.ckpt")

    assert first.before is not None
    assert resumed.before is not None
    assert all(torch.equal(old, new) for old, new in zip(first.before, resumed.before, strict=True))
    torch.load(tmp_path / "last.ckpt", weights_only=True)


def test_without_features_of_before_those_of_after_are_drawn(data: Domains, tmp_path: Path) -> None:
    net, callback = module(), DomainFeatures(images=4)

    trainer(tmp_path, callback, epochs=1).test(net, data, verbose=False)

    assert callback.before is None
    assert callback.state_dict() == {}
    with Image.open(tmp_path / "images" / "features.png") as image:
        assert image.height < image.width, "one row of panels"


def test_every_layer_goes_back_to_its_mode(data: Domains) -> None:
    data.setup("fit")
    net = module()
    net.train()
    net.net.get_submodule("head").eval()
    before = [part.training for part in net.modules()]

    one, two = (take_features(net, data, 7) for _ in range(2))

    assert torch.equal(one.features, two.features), "without dropout"
    assert len(one.features) == 14
    assert [part.training for part in net.modules()] == before


def test_the_images_are_those_of_the_dataset(data: Domains) -> None:
    data.setup("fit")
    for split, domain in (("train", "source"), ("train", "target"), ("test", "target")):
        picture = domain_features._tiles(data, split, domain, torch.device("cpu"))
        assert picture[2:66, 2:66].shape == (64, 64, 3)
        stored = data._parts[split, domain].host[0].transpose(1, 2, 0)  # type: ignore[index]
        np.testing.assert_array_equal(picture[2:66:8, 2:66:8], stored)


def test_credits_and_labels_stand_in_the_picture(data: Domains) -> None:
    data.setup("fit")

    figure = domains_figure(data, torch.device("cpu"))

    assert "A. Painter (CC BY 2.0)" in figure.get_supxlabel()
    assert "embedded data" in figure.get_suptitle()
    assert [axes.get_title() for axes in figure.axes][1] == "target, training: red bars"


def test_a_map_says_what_it_is() -> None:
    features = np.random.default_rng(0).normal(size=(4, 5)).astype(np.float32)

    points, said = project(features, "pca", 0)
    assert points.shape == (4, 2)
    centred = features - features.mean(axis=0)
    shares = np.linalg.svd(centred, compute_uv=False) ** 2 / (centred**2).sum()
    assert said == f"PCA: {100 * shares[0]:.0f} % and {100 * shares[1]:.0f} % of the variance"
    points, said = project(features, "tsne", 0)
    assert (points.shape, said) == ((4, 2), "t-SNE, perplexity 1")
    np.testing.assert_array_equal(project(features, "tsne", 0)[0], points)
    assert project(np.random.default_rng(0).normal(size=(200, 5)), "tsne", 0)[1] == "t-SNE, perplexity 30"
    assert project(np.zeros((4, 5)), "pca", 0)[1] == "PCA: all features are the same"
    points, said = project(np.full((4, 5), np.nan), "tsne", 0)
    assert said == "not drawn: the features are not finite"
    assert np.isnan(points).all()


def test_classes_have_colors_of_their_own() -> None:
    for classes in (1, 2, 10, 11, 200):
        assert len({str(colour) for colour in class_colors(classes)}) == classes


def test_mistakes() -> None:
    with pytest.raises(LabsError, match=r"callbacks\.features\.method=umap: expected pca or tsne"):
        DomainFeatures(method=cast(Any, "umap"))
    with pytest.raises(LabsError, match=r"callbacks\.features\.images=1: expected 2 or more"):
        DomainFeatures(images=1)
    with pytest.raises(LabsError, match="DomainFeatures does not work with ImagePair: it needs images from two"):
        DomainFeatures().setup(
            cast(
                Any,
                SimpleNamespace(
                    datamodule=ImagePair(content="astronaut", style="hubble", image_size=16, embedded=True)
                ),
            ),
            cast(Any, None),
            "fit",
        )

"""A trained net is asked in Python: files, images of Pillow, tensors, and what is no image."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import labs
from labs import LabsError
from labs.functional.normalization import FIXED, Normalizer
from labs.runs import given_images
from labs.runs.trained_net import TrainedNet

SIZE = 8


@pytest.fixture
def net() -> TrainedNet:
    layers = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(144, 2))
    return TrainedNet(
        "tiny", layers.eval().requires_grad_(False), ["a", "b"], Normalizer(FIXED["half"]), SIZE, 10, [], None
    )


def picture(seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (20, 30, 3), dtype=np.uint8))


def test_the_same_image_in_any_form_gets_the_same_answer(net: TrainedNet, tmp_path: Path) -> None:
    picture().save(tmp_path / "a.png")
    pixels = net.read(tmp_path / "a.png")[0]
    forms: list[Any] = [
        tmp_path / "a.png", str(tmp_path / "a.png"), [tmp_path / "a.png"], picture(), [picture()], pixels, pixels[None],
        np.asarray(picture()), [np.asarray(picture())], np.asarray(picture())[None],
        [pixels], pixels.mul(255).round().to(torch.uint8), pixels.double(),
    ]  # fmt: skip
    expected = net(pixels[None]).softmax(1)
    for form in forms:
        torch.testing.assert_close(net.predict(form), expected)
    assert net.predict([picture(), pixels, tmp_path / "a.png"]).shape == (3, 2)
    assert net.top(expected[0])[0][1] == float(expected.max())


def test_many_images_go_through_the_net_a_few_at_a_time(net: TrainedNet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(given_images, "AT_ONCE", 2)
    images = torch.rand(5, 3, SIZE, SIZE)
    expected = net(images).softmax(1)
    torch.testing.assert_close(net.predict(images), expected)
    torch.testing.assert_close(net.predict(list(images)), expected)
    assert net.features("0", images).shape == (5, 4, 6, 6)


def test_features_are_what_the_layer_gives_before_others_overwrite_it(net: TrainedNet) -> None:
    images = torch.rand(2, 3, SIZE, SIZE)
    first = net.net.get_submodule("0")(images - 0.5)
    torch.testing.assert_close(net.features("0", images), first)
    torch.testing.assert_close(net.features("1", images), first.relu())
    torch.testing.assert_close(net.features("3", images), net(images))
    assert not net.net.get_submodule("0")._forward_hooks
    head = nn.Linear(2, 2)  # another classifier on them
    head(net.features("3", images)).sum().backward()


@pytest.mark.parametrize(
    ("images", "said"),
    [
        (torch.rand(2, 3, 4, 4), r"\(batch, 3, 8, 8\) .*; found one of shape \(2, 3, 4, 4\)"),
        (torch.rand(3, 8), r"found one of shape \(3, 8\)"),
        (torch.randn(2, 3, 8, 8), r"found torch\.float32 from -.* to .*\. The net normalizes by itself"),
        (torch.full((1, 3, 8, 8), torch.nan), "from nan"),
        (torch.zeros(1, 3, 8, 8, dtype=torch.int64), r"found torch\.int64"),
        ([], "found an empty list"),
        (
            np.zeros((8, 8, 3)),
            r"arrays \(height, width, 3\) of uint8, .*; found an array \(8, 8, 3\) of float64",
        ),
        (np.zeros((3, 8, 8), np.uint8), r"found an array \(3, 8, 8\) of uint8"),
        (np.zeros(8, np.uint8), r"found an array \(8,\) of uint8"),
        (7, "found a int"),
        ([7], "found a int in a list"),
        ("gone.png", r"image=gone\.png: no such file"),
    ],
)
def test_what_is_no_image_is_said(net: TrainedNet, images: Any, said: str) -> None:
    with pytest.raises(LabsError, match=said):
        net.predict(images)


@pytest.mark.parametrize(("layer", "said"), [("conv", "tiny has no such layer"), ("", "no such layer; dict")])
def test_a_layer_that_is_not_there(net: TrainedNet, layer: str, said: str) -> None:
    with pytest.raises(LabsError, match=said):
        net.features(layer, torch.rand(1, 3, SIZE, SIZE))


def test_importing_labs_imports_nothing_else() -> None:
    code = "import sys, labs; sys.exit(any(name in sys.modules for name in ('torch', 'numpy', 'hydra', 'PIL')))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
    assert labs.load_run.__module__ == "labs.runs.load"
    assert labs.runs_table.__module__ == "labs.reporting.runs_table"
    with pytest.raises(AttributeError, match="has no attribute 'load'"):
        labs.load  # noqa: B018

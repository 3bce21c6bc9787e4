"""An exported net answers in other programs as it does here, and says what it must be told."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from PIL import Image
from torch import nn
from trained_run import CLASSES, write_trained_run

from labs import LabsError
from labs.functional.normalization import FIXED, Normalizer
from labs.runs import export
from labs.runs.export import METADATA, export_net
from labs.runs.load import load_run
from labs.runs.trained_net import TrainedNet


@pytest.fixture
def net(made_once: Callable[[str, Callable[[Path], None]], Path]) -> TrainedNet:
    def fill(folder: Path) -> None:
        write_trained_run(folder / "run")

    return load_run(made_once("predicted", fill) / "run")


def pixels(count: int, size: int) -> torch.Tensor:
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(3))


def test_onnx_runtime_gives_the_same_answers_for_any_number_of_images(net: TrainedNet, tmp_path: Path) -> None:
    path = export_net(net, "onnx", tmp_path)
    assert [one.name for one in tmp_path.iterdir()] == [path.name], "one file holds it all"
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    for count in (1, 2, 5):
        images = pixels(count, net.image_size)
        logits, probabilities = session.run(None, {"images": images.numpy()})
        np.testing.assert_allclose(probabilities, net.predict(images), atol=1e-5)
        np.testing.assert_allclose(logits, net(images).detach(), atol=1e-4)
    facts = session.get_modelmeta().custom_metadata_map
    assert json.loads(facts["classes"]) == CLASSES
    assert json.loads(facts["labels"]) == ["embedded data"]
    assert facts["image_size"] == "16"
    onnx.checker.check_model(onnx.load(path), full_check=True)


def test_an_image_file_is_prepared_as_the_metadata_says(net: TrainedNet, tmp_path: Path) -> None:
    """What the text says, done by hand with Pillow and NumPy alone."""
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (50, 90, 3), dtype=np.uint8)).save(tmp_path / "a.png")
    assert export.metadata(net)["preprocessing"] == (
        "squeeze to 16 x 16 (bilinear), cut the central 16 x 16, divide by 255"
    )
    image = Image.open(tmp_path / "a.png").resize((16, 16), Image.Resampling.BILINEAR)
    images = np.asarray(image, dtype=np.float32).transpose(2, 0, 1)[None] / 255
    session = onnxruntime.InferenceSession(str(export_net(net, "onnx", tmp_path)))
    found = session.run(["probabilities"], {"images": images})[0]
    np.testing.assert_allclose(found, net.predict(tmp_path / "a.png"), atol=1e-5)


def test_an_exported_program_is_the_net(net: TrainedNet, tmp_path: Path) -> None:
    path = export_net(net, "torch_export", tmp_path)
    extra = {METADATA: ""}
    program = torch.export.load(path, extra_files=extra).module()
    for count in (1, 4):
        images = pixels(count, net.image_size)
        torch.testing.assert_close(program(images)[1], net.predict(images))
    assert json.loads(json.loads(extra[METADATA])["classes"]) == CLASSES
    assert export_net(net, "torch_export", tmp_path).name == f"{path.stem}-2.pt2", "nothing is replaced"


@pytest.mark.parametrize("form", ["onnx", "torch_export"])
def test_a_net_that_cannot_be_written_leaves_nothing(form: str, tmp_path: Path) -> None:
    class Odd(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return images.flatten(1)[:, :2] if images.sum() > 0 else images.flatten(1)[:, 2:4]

    net = TrainedNet("odd", Odd(), ["a", "b"], Normalizer(FIXED["half"]), 8, None, [], None)
    with pytest.raises(LabsError, match=rf"^export={form}: odd cannot be written so \(") as raised:
        export_net(net, form, tmp_path)
    assert "\n" not in str(raised.value)
    assert not list(tmp_path.iterdir())


def test_what_onnx_needs_is_one_line(net: TrainedNet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "find_spec", lambda name: None if name != "onnx" else object())
    with pytest.raises(LabsError, match=r"needs onnxscript, onnxruntime; type pip install onnxscript onnxruntime\.$"):
        export_net(net, "onnx", tmp_path)

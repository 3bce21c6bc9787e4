"""Attribution: what is asked about, what is refused, and that a run ends with every image's map."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import nn

from labs import LabsError
from labs.datamodules.batches import Batch
from labs.functional.normalization import FIXED, Normalizer
from labs.modules.attribution import Attribution
from labs.runs.trained_net import TrainedNet

TINY = ("logger=none", "module.stages=2", "module.points=2", "module.orders=1", "net.image_size=64")


def small_net() -> TrainedNet:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 14 * 14, 3)).eval()
    return TrainedNet("small", net, ["cat", "dog", "Great Dane"], Normalizer(FIXED["half"]), 16, None, [], None)


def method(**settings: Any) -> Attribution:
    return Attribution(net=small_net(), stages=2, points=4, orders=1, **settings)


def batch(labels: list[int]) -> Batch:
    images = torch.rand(len(labels), 3, 16, 16, generator=torch.Generator().manual_seed(0))
    return Batch(images, torch.tensor(labels), torch.arange(len(labels)))


@pytest.mark.parametrize(("target", "expected"), [("great_dane", [2, 2]), (0, [0, 0]), ("label", [1, 0])])
def test_which_class_is_asked_about(target: str | int, expected: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    module = method(target=target)
    monkeypatch.setattr(module, "log_dict", lambda *_, **__: None)
    module.test_step(batch([1, 0]), 0)
    assert [result.target for result in module.results] == expected


def test_without_a_target_it_is_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    module = method()
    monkeypatch.setattr(module, "log_dict", lambda *_, **__: None)
    with torch.inference_mode():
        module.test_step(batch([-1, -1]), 0)
    for result in module.results:
        assert result.target == result.probabilities.argmax()
    assert module.means["passed"].compute() == torch.tensor([not r.faults for r in module.results]).float().mean()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"target": "gret dane"}, r"no such class \(did you mean great dane\?\)"),
        ({"target": 3}, "expected 0 to 2"),
        ({"steps": 0}, "module.steps=0: expected 1 or more"),
        ({"noise": -1.0}, "module.noise=-1.0: expected 0 or more"),
        ({"noise": float("nan")}, "module.noise=nan: expected 0 or more"),
    ],
)
def test_what_makes_no_sense_is_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(LabsError, match=words):
        Attribution(net=small_net(), **settings)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"method": "guided"}, "no ReLU"),
        ({"method": "grad_cam", "layer": "9"}, "layer=9: the net has no such layer"),
    ],
)
def test_a_map_that_the_net_has_not_is_refused_before_anything_is_made(settings: dict[str, Any], words: str) -> None:
    net = small_net()
    net.net[1] = nn.GELU()  # type: ignore[operator]
    with pytest.raises(LabsError, match=words):
        Attribution(net=net, **settings)


def test_the_label_of_an_unlabeled_image_is_not_asked_about() -> None:
    with pytest.raises(LabsError, match="these images have no labels"):
        method(target="label").test_step(batch([-1]), 0)


@pytest.mark.slow
def test_a_run_leaves_maps_sheets_and_numbers(train: Callable[..., Path], tmp_path: Path) -> None:
    photos = tmp_path / "my photos"
    photos.mkdir()
    Image.new("RGB", (90, 70), (200, 30, 30)).save(photos / "red, one.png")
    Image.effect_noise((70, 90), 80).save(photos / "noise=1.JPG")
    outputs = train(
        "experiment=saliency_squeezenet", f"datamodule.images=['{photos}',coffee]", "module.target=tabby", *TINY
    )
    (run_dir,) = (outputs / "saliency_squeezenet").iterdir()
    facts = json.loads((run_dir / "metrics.json").read_text())
    assert facts["labels"] == ["ImageNet weights"]
    assert facts["counts"] == {"test": 3}
    with (run_dir / "maps.tsv").open(newline="") as lines:
        rows = list(csv.DictReader(lines, delimiter="\t"))
    assert [row["image"] for row in rows] == ["noise-1", "red-one", "coffee"]
    assert {row["target"] for row in rows} == {"tabby"}
    for name in ("sheet.png", "coffee.png", "maps/red-one.png", "overlays/noise-1.png", "inputs/coffee.png"):
        with Image.open(run_dir / "images" / name) as image:
            assert min(image.size) >= 64
    spearman = [float(row["spearman"]) for row in rows]
    assert facts["metrics"]["test/spearman"] == pytest.approx(sum(spearman) / 3, abs=1e-5)


@pytest.mark.slow
def test_a_run_of_ours_is_looked_into_at_its_own_test_images(train: Callable[..., Path], undrawn: None) -> None:
    outputs = train("experiment=digits_upstream", "debug=batches", "logger=none", "data=embedded")
    (run_dir,) = (outputs / "digits_upstream").iterdir()
    train("experiment=guided_backprop", f"run={run_dir}", "module.target=label", "datamodule.count=2", *TINY[:4])
    (looked,) = (outputs / "guided_backprop").iterdir()
    facts = json.loads((looked / "metrics.json").read_text())
    assert "embedded data" in facts["labels"]
    assert "ImageNet weights" not in facts["labels"]
    assert facts["counts"] == {"test": 2}
    with (looked / "maps.tsv").open(newline="") as lines:
        assert all(row["label"] == row["target"] for row in csv.DictReader(lines, delimiter="\t"))
    recipe = (looked / ".hydra" / "recipe.yaml").read_text()
    assert str(run_dir) not in recipe  # known by its weights, wherever it lies

"""A look at the layers of a hand-made net: what is written down equals what the layers compute."""

from __future__ import annotations

import copy
import csv
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from labs import LabsError
from labs.callbacks.layer_maps import LayerMaps
from labs.datamodules.photos import Photos
from labs.functional.normalization import IMAGENET, Normalizer
from labs.modules.layer_activations import LayerActivations
from labs.runs.trained_net import TrainedNet

PHOTOGRAPHS = ["chelsea", "coffee", "china", "rocket", "flower"]


def net_of(*layers: nn.Module, seed: int = 0) -> TrainedNet:
    torch.manual_seed(seed)
    for layer in layers:
        if hasattr(layer, "weight") and layer.weight is not None:
            nn.init.normal_(layer.weight, std=0.3)
    net = nn.Sequential(*layers).eval().requires_grad_(False)
    return TrainedNet("tiny", net, ["a", "b"], Normalizer(IMAGENET), 32, None, ["random weights"], None)


def tiny() -> TrainedNet:
    head = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 2))
    return net_of(nn.Conv2d(3, 4, 5, stride=2), nn.ReLU(inplace=True), nn.Conv2d(4, 6, 3), nn.ReLU(inplace=True), *head)


def looked(net: TrainedNet, folder: Path, batch_size: int = 2, **options: Any) -> tuple[LayerActivations, Photos, Any]:
    """Run a test as train.py does; return the method, the data and the metrics."""
    method = LayerActivations(net=net, **options)
    data = Photos(images=None, photographs=PHOTOGRAPHS, split="test", count=9, batch_size=batch_size, embedded=True,
                  folder="")  # fmt: skip
    callbacks = [LayerMaps(channels=3)]
    quiet: dict[str, Any] = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = pl.Trainer(accelerator="cpu", callbacks=callbacks, default_root_dir=folder, **quiet)
    (metrics,) = trainer.test(method, data, verbose=False)
    return method, data, metrics


def table(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as lines:
        return list(csv.DictReader(lines, delimiter="\t"))


@torch.no_grad()
def computed(net: TrainedNet, pixels: Tensor, upto: int) -> Tensor:
    maps = net.normalizer(pixels)
    for layer in list(net.net)[: upto + 1]:  # type: ignore[arg-type]
        maps = torch.relu(maps) if isinstance(layer, nn.ReLU) else layer(maps)
    return maps


@pytest.mark.parametrize("batch_size", [2, 5])
def test_tables_and_metrics_are_what_the_layers_compute(tmp_path: Path, batch_size: int) -> None:
    net = tiny()
    before = copy.deepcopy(net.net.state_dict())
    method, data, metrics = looked(net, tmp_path, batch_size, units=[1, 3], top=3, maps=2)
    assert method.layers == ["0", "3"], "of a smaller size the last layer"
    layers = {"0": 0, "3": 3}
    for row, (layer, place) in zip(table(tmp_path / "layers.tsv"), layers.items(), strict=True):
        maps = computed(net, data.pixels, place)
        assert row["layer"] == layer
        assert float(row["active"]) == pytest.approx(float((maps > 0).float().mean()), abs=1e-6)
        assert int(row["dead"]) == int((maps.amax((0, 2, 3)) <= 0).sum())
        assert float(row["peak"]) == pytest.approx(float(maps.max()), rel=1e-4)
        assert metrics[f"test/active_{layer}"] == pytest.approx(float(row["active"]), abs=1e-6)
        assert metrics[f"test/dead_{layer}"] == pytest.approx(int(row["dead"]) / maps.shape[1])
        for unit in (1, 3):
            rows = [r for r in table(tmp_path / "units.tsv") if (r["layer"], r["unit"]) == (layer, str(unit))]
            peaks = maps[:, unit].flatten(1).amax(1)
            best = peaks.argsort(descending=True, stable=True)[:3].tolist()
            assert [r["image"] for r in rows] == [PHOTOGRAPHS[image] for image in best]
            for r, image in zip(rows, best, strict=True):
                assert float(r["peak"]) == pytest.approx(float(peaks[image]), rel=1e-5)
                assert maps[image, unit, int(r["row"]), int(r["column"])] == pytest.approx(float(peaks[image]))
                side = {"0": 5, "3": 9}[layer]  # pixels that a unit sees: 5, and 2 * (3 - 1) more
                assert int(r["right"]) - int(r["left"]) == int(r["bottom"]) - int(r["top"]) == side
                assert int(r["left"]) == 2 * int(r["column"])
    assert metrics["test/active"] == pytest.approx((metrics["test/active_0"] + metrics["test/active_3"]) / 2)
    pictures = {path.relative_to(tmp_path / "images").as_posix() for path in tmp_path.rglob("*.png")}
    maps_drawn = {f"maps/{name}-{layer}.png" for name in ("chelsea", "china") for layer in layers}
    assert pictures == {"filters.png", "overview.png", "units-0.png", "units-3.png", *maps_drawn}
    for path in tmp_path.rglob("*.png"):
        with Image.open(path) as picture:
            assert picture.width == 1408
    # the net is left as it was
    assert all(torch.equal(value, before[name]) for name, value in net.net.state_dict().items())
    modules = list(net.net.modules())
    assert not any(module._forward_hooks or module.training for module in modules)
    assert [module.inplace for module in modules if isinstance(module, nn.ReLU)] == [True, True]


def test_maps_are_of_the_layer_itself_and_not_of_the_relu_behind_it(tmp_path: Path) -> None:
    net = tiny()
    method, data, _ = looked(net, tmp_path, batch_size=5, layers=["0"], maps=5)
    maps = computed(net, data.pixels, 0)
    assert (maps < 0).any()
    for position in range(5):
        torch.testing.assert_close(method.maps[position]["0"], maps[position])


def test_vectors_have_units_and_no_maps(tmp_path: Path) -> None:
    looked(tiny(), tmp_path, layers=["6"], telling=2)
    assert {path.name for path in tmp_path.rglob("*.png")} == {"filters.png", "units-6.png"}
    rows = table(tmp_path / "units.tsv")
    assert {(row["left"], row["right"]) for row in rows} == {("0", "31")}, (
        "what the last row of windows leaves is unseen"
    )


def test_filters_that_are_no_colors_are_named_and_not_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gray = net_of(nn.AvgPool2d(2), nn.Flatten(), nn.Linear(768, 2))
    looked(gray, tmp_path, layers=["2"])
    assert "The filters of tiny are not drawn: it has no convolution." in capsys.readouterr().out


def test_a_dead_channel_is_counted(tmp_path: Path) -> None:
    net = tiny()
    net.net[2].weight.data[4], net.net[2].bias.data[4] = 0, -1  # type: ignore[index]
    _, _, metrics = looked(net, tmp_path, maps=0)
    assert metrics["test/dead_3"] >= 1 / 6
    assert "4" in table(tmp_path / "layers.tsv")[0]["channels"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"units": [0, 9]}, "module.units: 0 has no unit 9. It has the units 0 to 3."),
        ({"layers": ["7"]}, "module.layers: the net has no layer 7; type for example"),
        ({"top": 0}, "module.top=0: expected 1 or more."),
    ],
)
def test_what_cannot_be_is_refused_before_an_image_is_read(options: dict[str, Any], message: str) -> None:
    with pytest.raises(LabsError) as raised:
        LayerActivations(net=tiny(), **options)
    assert str(raised.value).startswith(message)

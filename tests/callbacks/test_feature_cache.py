import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from labs import LabsError
from labs.callbacks.feature_cache import FeatureCache, choose
from labs.callbacks.freeze import Freeze
from labs.callbacks.reseed import Reseed
from labs.datamodules.image_classification import ImageClassification
from labs.datamodules.sources import LabeledImages
from labs.inspection import fixed_front as cuts
from labs.inspection.fixed_front import CannotCutError, Cut
from labs.modules.classifier import Classifier
from labs.nets.torchvision_nets import build_net

pytestmark = pytest.mark.filterwarnings("ignore:.*LeafSpec", "ignore:.*does not have many workers", "ignore:.*in eval")
CLASSES = 4


class Pictures:
    """Pictures of random colours, each class brighter in another corner."""

    name = "pictures"

    def __init__(self, folder: Path, count: int = 48) -> None:
        self.cache, self.count = folder, count

    def load(self, size: int) -> LabeledImages:
        labels = np.arange(self.count) % CLASSES
        pixels = np.random.default_rng(0).integers(0, 120, (self.count, 3, size, size)).astype(np.uint8)
        half = size // 2
        for label in range(CLASSES):
            top, left = half * (label // 2), half * (label % 2)
            pixels[labels == label, :, top : top + half, left : left + half] += 100
        names, is_test = [str(row) for row in range(self.count)], np.arange(self.count) >= self.count - 16
        return LabeledImages(pixels, labels, names, list("abcd"), is_test)


class Count(pl.Callback):
    """Count how often images or features go through the net's first layer, and keep every epoch's numbers."""

    def __init__(self) -> None:
        self.images, self.rows = 0, []  # type: ignore[var-annotated]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        first = next(layer for layer in pl_module.net.modules() if isinstance(layer, nn.Conv2d))  # type: ignore[union-attr, operator]
        self.images = 0
        first.register_forward_hook(self._count)

    def _count(self, layer: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        self.images += len(inputs[0])

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.rows.append({n: v.item() for n, v in trainer.callback_metrics.items()})


class Result:
    def __init__(self, trainer: pl.Trainer, module: Classifier, cache: FeatureCache, count: Count) -> None:
        self.trainer, self.module, self.cache, self.count = trainer, module, cache, count
        self.test = {n: v.item() for n, v in trainer.callback_metrics.items() if n.startswith("test/")}
        self.state = module.state_dict()


def run(
    folder: Path,
    mode: Any,
    *,
    net: str = "resnet_small",
    size: int = 16,
    patterns: list[str] | None = None,
    epochs: int = 3,
    augment: Mapping[str, Any] | None = None,
    freeze: Mapping[str, Any] | None = None,
    data: Mapping[str, Any] | None = None,
    trainer: Mapping[str, Any] | None = None,
    cache: Mapping[str, Any] | None = None,
) -> Result:
    torch.manual_seed(0)
    arguments: dict[str, Any] = {
        "source": Pictures(folder), "num_classes": CLASSES, "image_size": size, "batch_size": 8, "embedded": True,
        "normalization": "half", "augment": dict(augment or {}), "validation_fraction": 0.25,
    }  # fmt: skip
    datamodule = ImageClassification(**(arguments | dict(data or {})))
    module = Classifier(
        net=build_net(name=net, num_classes=CLASSES),
        num_classes=CLASSES,
        optimizer=lambda groups: torch.optim.SGD(groups, lr=0.02, momentum=0.9),
    )
    feature_cache = FeatureCache(mode=mode, folder=str(folder / "features"), **(cache or {}))
    count = Count()
    frozen = Freeze(patterns=["backbone"] if patterns is None else patterns, **(freeze or {}))
    loop = pl.Trainer(
        max_epochs=epochs, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0, default_root_dir=folder,
        callbacks=[Reseed(0), frozen, feature_cache, count], **(trainer or {}),
    )  # fmt: skip
    loop.fit(module, datamodule)
    loop.test(module, datamodule, verbose=False)
    return Result(loop, module, feature_cache, count)


def stores(folder: Path) -> list[Path]:
    return sorted((folder / "features").glob("[!.]*.npy"))


CASES: dict[str, dict[str, Any]] = {
    "a linear probe": {},
    "a partial prefix": {"patterns": ["conv1", "bn1", "layer1"]},
    "two views": {"augment": {"crop_scale": [0.5, 1.0], "flip": True, "views": 2}, "epochs": 5},
    "selected on test": {"data": {"validation": "test"}},
    "stages that join later": {"freeze": {"unfreeze": {1: ["layer3"]}}},
    "AlexNet, whose last dropout is off": {"net": "alexnet", "size": 64, "epochs": 2},
    "SqueezeNet": {"net": "squeezenet1_1", "size": 32, "epochs": 2},
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_run_on_features_has_the_numbers_of_a_run_on_images(
    case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    without = run(tmp_path, "off", **CASES[case])
    assert "Feature cache" not in capsys.readouterr().out
    cached = run(tmp_path, "require", **CASES[case])
    assert "computed once" in capsys.readouterr().out
    again = run(tmp_path, "require", **CASES[case])
    assert "were read from an earlier run" in capsys.readouterr().out
    epochs = len(without.count.rows)
    assert without.count.images == epochs * (24 + 8) + 16 if "selected" not in case else epochs * (32 + 16) + 16
    for other in (cached, again):
        assert other.count.images == 0
        assert len(other.count.rows) == epochs
        for ours, theirs in zip(other.count.rows, without.count.rows, strict=True):
            assert ours == pytest.approx(theirs, abs=1e-5)
        assert other.test == pytest.approx(without.test, abs=1e-5)
        assert other.state.keys() == without.state.keys()
        for name, tensor in without.state.items():
            torch.testing.assert_close(other.state[name], tensor, rtol=0, atol=1e-5)


def test_afterwards_the_net_is_whole(tmp_path: Path) -> None:
    result = run(tmp_path, "require")
    assert "forward" not in vars(result.module.net)
    images = torch.rand(2, 3, 16, 16)
    with torch.no_grad():
        expected = type(result.module.net).forward(result.module.net, images)
        assert torch.equal(result.module(images), expected)


def test_validation_on_the_test_set_keeps_its_features_once(tmp_path: Path) -> None:
    result = run(tmp_path, "require", data={"validation": "test"})
    assert sorted(np.load(store).shape[0] for store in stores(tmp_path)) == [16, 32]
    seconds = [json.loads(store.with_suffix(".json").read_text())["seconds"] for store in stores(tmp_path)]
    assert result.cache.facts["feature_cache"]["computed_seconds"] == pytest.approx(sum(seconds))
    assert result.cache.facts["feature_cache"]["images"] == 48


def test_seeds_share_what_does_not_depend_on_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(tmp_path, "require")
    capsys.readouterr()
    run(tmp_path, "require", data={"seed": 1})
    assert "were read from an earlier run" in capsys.readouterr().out


def test_training_images_that_are_drawn_anew_go_through_the_net(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    drawn = {"crop_scale": [0.5, 1.0], "flip": True}
    cached, without = run(tmp_path, "auto", augment=drawn), run(tmp_path, "off", augment=drawn)
    assert "only validation and test images are cached" in capsys.readouterr().out
    assert cached.count.images == 3 * 24
    assert [row["val/loss"] for row in cached.count.rows] == pytest.approx(
        [row["val/loss"] for row in without.count.rows], abs=1e-5
    )
    with pytest.raises(LabsError, match=r"augment\.views=4"):
        run(tmp_path, "require", augment=drawn)


REASONS: dict[str, tuple[dict[str, Any], str]] = {
    "nothing is frozen": ({"patterns": ["layer1"]}, "conv1.weight is trainable"),
    "batch norm trains": ({"freeze": {"batch_norm": "affine"}}, "bn1.weight is trainable"),
    "batch norm runs": (
        {"freeze": {"batch_norm": "train"}},
        "batch norm is in train mode (bn1; freeze.batch_norm=eval",
    ),
    "a few batches": ({"trainer": {"limit_train_batches": 1}}, "uses only a few batches"),
    "too large": (
        {"patterns": ["conv1", "bn1", "layer1"], "cache": {"budget_gb": 1e-6}},
        "type feature_cache.budget_gb=",
    ),
}


@pytest.mark.parametrize("reason", REASONS)
def test_where_it_cannot_it_says_why(reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options, words = REASONS[reason]
    result = run(tmp_path, "auto", epochs=1, **options)
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("Feature cache")]
    assert line.startswith("Feature cache off: ")
    assert words in line
    assert result.count.images > 0
    assert stores(tmp_path) == []
    assert result.cache.facts == {}
    with pytest.raises(LabsError, match="feature_cache=require") as raised:
        run(tmp_path, "require", epochs=1, **options)
    assert words in str(raised.value)
    assert "type feature_cache" in str(raised.value).lower()


def test_a_full_disk_falls_back_to_computing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    without = run(tmp_path, "off")

    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    result = run(tmp_path, "auto")
    assert "No space left on device" in capsys.readouterr().out
    assert [file for file in (tmp_path / "features").iterdir() if file.suffix != ".lock"] == []
    assert result.count.rows == without.count.rows


def damage_a_value(store: Path) -> None:
    """Change a value so that size, time and digest are those of the notes: only the comparison can tell."""
    values, status = np.load(store, mmap_mode="r+"), store.stat()
    values[0] += 1
    values.flush()
    os.utime(store, ns=(status.st_atime_ns, status.st_mtime_ns))


DAMAGES: dict[str, Any] = {
    "wrong values": damage_a_value,
    "truncated": lambda store: os.truncate(store, store.stat().st_size // 2),
    "not an array": lambda store: store.write_bytes(b"something else"),
    "notes cut": lambda store: os.truncate(store.with_suffix(".json"), 10),
    "of other weights": lambda store: np.save(store, np.load(store) * 2),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_cache_is_computed_anew(damage: str, tmp_path: Path) -> None:
    first = run(tmp_path, "require")
    right = {store: np.load(store) for store in stores(tmp_path)}
    assert len(right) == 3
    for store in right:
        DAMAGES[damage](store)
    again = run(tmp_path, "require")
    assert again.count.rows == first.count.rows
    assert again.count.images == 0
    for store, values in right.items():
        assert np.array_equal(np.load(store), values)


def test_a_cut_that_computes_something_else_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    original = Cut.parts

    def wrong(self: Cut) -> Any:
        prefix, suffix = original(self)
        return prefix, nn.Sequential(nn.LeakyReLU(1.01), nn.Threshold(0.3, 0.0), suffix)

    monkeypatch.setattr(cuts.Cut, "parts", wrong)
    result = run(tmp_path, "auto")
    assert "cached and uncached outputs differ by" in capsys.readouterr().out
    assert result.count.images > 0


def test_what_was_saved_is_told(tmp_path: Path) -> None:
    facts = run(tmp_path, "require").cache.facts["feature_cache"]
    assert facts["passes"] == 3 * (24 + 8) + 16
    assert facts["images"] == 48
    assert facts["splits"] == ["train", "val", "test"]
    assert facts["cut"] == "avgpool"
    assert json.dumps(facts)


class TestChoose:
    def cut(self, name: str, floats: int, flops: int) -> Cut:
        return Cut(name, (floats,), torch.float32, flops, None, 0)  # type: ignore[arg-type]

    def test_of_cuts_that_save_nearly_all_the_smallest_wins(self) -> None:
        offered = [self.cut("a", 10, 900_000), self.cut("b", 10, 995_000), self.cut("c", 90, 1_000_000)]
        assert choose(offered, "", images=1, budget=10**9).name == "b"

    def test_where_the_deepest_does_not_fit_an_earlier_one_serves(self) -> None:
        offered = [self.cut("a", 10, 500_000), self.cut("b", 100, 1_000_000)]
        assert choose(offered, "", images=100, budget=10_000).name == "a"

    def test_a_prefix_that_is_as_fast_to_compute_as_to_read_is_computed(self) -> None:
        with pytest.raises(CannotCutError, match=r"bn1\.weight is trainable\. .* as long as computing"):
            choose([self.cut("conv1", 1000, 100_000)], "bn1.weight is trainable.", images=1, budget=10**9)

    def test_the_message_names_a_budget_that_would_do(self) -> None:
        with pytest.raises(CannotCutError, match=r"12\.0 GB.*budget is 8 GB.*budget_gb=12"):
            choose([self.cut("a", 1000, 10**9)], "", images=3_000_000, budget=8 * 10**9)

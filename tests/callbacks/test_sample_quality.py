"""`SampleQuality` on generators whose quality is known: held-out images themselves, copies, one image for all."""

import copy
import json
import random
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from PIL import Image
from tiny_gan import CLASSES, TEST, TRAIN, KnowsBrightness, TinyImages, data, gan, trainer
from torch import Tensor

import labs.callbacks.sample_quality
import labs.callbacks.samples
import labs.metrics.judge
from labs.callbacks.sample_quality import SampleQuality
from labs.callbacks.samples import Samples
from labs.datamodules.batches import Batch
from labs.functional.sample_metrics import frechet_distance
from labs.modules.gan import GAN
from labs.practicals import Sheet

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*num_workers"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec"),  # of Lightning, about itself
]


@pytest.fixture(autouse=True)
def judged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Judge by brightness; nobody has Inception's weights."""
    monkeypatch.setattr(labs.callbacks.sample_quality, "trained_judge", lambda images, folder: KnowsBrightness())
    monkeypatch.setattr(labs.callbacks.sample_quality, "inception_distance", lambda *_: None)


class Plays(GAN):
    """Give out stored images instead of generated ones."""

    images: Tensor  # (held-out images, 1, 32, 32) uint8

    def samples_like(self, batch: Batch, seed: int = 0, *, batch_statistics: bool = False) -> Tensor:
        return self.images[batch.positions] / 255


def stored(*, held_out: bool) -> tuple[Tensor, Tensor]:
    images = TinyImages().load(32)
    chosen = images.is_test if held_out else ~images.is_test
    return torch.from_numpy(images.pixels[chosen]), torch.from_numpy(images.labels[chosen])


def measured(folder: Path, images: Tensor | None = None, *, conditional: bool = True) -> dict[str, float]:
    module = gan(GAN if images is None else Plays, conditional=conditional)
    module.images = images
    running = trainer(folder, SampleQuality(folder=str(folder)))
    running.test(module, data(), verbose=False)
    return {name: float(value) for name, value in running.callback_metrics.items()}


def features(images: Tensor) -> Tensor:
    return KnowsBrightness()(images)


def test_the_held_out_images_themselves(tmp_path: Path) -> None:
    found = measured(tmp_path, stored(held_out=True)[0])
    assert found["test/fid"] == pytest.approx(0, abs=1e-6)
    assert found["test/fid_floor"] > 1e-4
    assert found["test/coverage"] == CLASSES
    assert found["test/histogram_distance"] == 0
    assert found["test/precision"] == found["test/recall"] == 1
    assert found["test/label_agreement"] == 1
    assert found["test/neighbour_ratio"] == pytest.approx(1)
    assert found["test/judge_accuracy"] == 0.75
    assert "test/inception_fid" not in found


def test_one_image_for_all(tmp_path: Path) -> None:
    (images, labels) = stored(held_out=True)
    found = measured(tmp_path, images[:1].repeat(TEST, 1, 1, 1))
    assert found["test/coverage"] == 1
    assert found["test/histogram_distance"] == pytest.approx(1 - 1 / CLASSES)
    assert found["test/label_agreement"] == pytest.approx((labels == labels[0]).float().mean())
    assert found["test/precision"] == 1
    assert found["test/recall"] == pytest.approx(1 / TEST)
    assert found["test/fid"] > 10 * found["test/fid_floor"]
    assert found["test/kid"] > 10 * abs(found["test/kid_floor"])


def test_images_with_the_wrong_labels(tmp_path: Path) -> None:
    images, _ = stored(held_out=True)
    found = measured(tmp_path, images.roll(1, 0))  # classes take turns: each image has its neighbour's label
    assert found["test/label_agreement"] == 0
    assert found["test/coverage"] == CLASSES


def test_copies_of_training_images_and_the_picture_that_shows_them(tmp_path: Path) -> None:
    images, _ = stored(held_out=False)
    found = measured(tmp_path, images[:TEST])
    assert found["test/neighbour_ratio"] == pytest.approx(0, abs=0.005)
    with Image.open(tmp_path / "images" / "neighbours.png") as picture:
        pixels = np.asarray(picture)
    assert pixels.shape == (2 + 2 * 66, 2 + 10 * 66, 3)
    assert (pixels[2:66] == pixels[68:132]).all(), "every image stands above itself"
    assert len(np.unique(pixels)) > 50


def test_the_nearest_training_images_are_those_that_are_shown(tmp_path: Path) -> None:
    """Ten images of each of two kinds: copies of training images, and noise that is far from all."""
    images, _ = stored(held_out=False)
    noise = torch.randint(0, 256, (TEST - 10, 1, 32, 32), generator=torch.Generator().manual_seed(0)).byte()
    found = measured(tmp_path, torch.cat([noise, images[:10]]))
    with Image.open(tmp_path / "images" / "neighbours.png") as picture:
        pixels = np.asarray(picture)
    assert (pixels[2:66] == pixels[68:132]).all()
    assert found["test/neighbour_ratio"] > 0.5


def test_floor_is_what_real_training_images_get(tmp_path: Path) -> None:
    images, _ = stored(held_out=False)
    chosen = torch.randperm(TRAIN, generator=torch.Generator().manual_seed(0))[:TEST]
    found = measured(tmp_path, images[chosen])
    assert found["test/fid"] == pytest.approx(found["test/fid_floor"], abs=1e-6)
    assert found["test/kid"] == pytest.approx(found["test/kid_floor"], abs=1e-6)
    assert found["test/fid"] > 1e-4


def test_an_unconditional_net_has_no_label_agreement(tmp_path: Path) -> None:
    found = measured(tmp_path, stored(held_out=True)[0], conditional=False)
    assert "test/label_agreement" not in found
    assert found["test/coverage"] == CLASSES


def test_quality_json_says_how_it_was_measured(tmp_path: Path) -> None:
    images, _ = stored(held_out=True)
    measured(tmp_path, images[:3].repeat(6, 1, 1, 1)[[0] * 9 + [1] * 9])
    assert json.loads((tmp_path / "quality.json").read_text()) == {
        "samples": TEST,
        "held_out": TEST,
        "compared_with_training_images": TEST,
        "seed": 0,
        "neighbours": 3,
        "judge": "0123456789ab",
        "judge_accuracy": 0.75,
        "classes": ["dark", "grey", "bright"],
        "generated_per_class": [9, 9, 0],
        "real_per_class": [6, 6, 6],
    }


class Rows(pl.Callback):
    """Keep the numbers of each epoch as `log.tsv` gets them."""

    def __init__(self) -> None:
        self.rows: list[dict[str, float]] = []

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.rows.append({name: float(value) for name, value in trainer.callback_metrics.items()})


def fid_of(module: Any, *, batch_statistics: bool = False) -> float:
    """Measure beside the callback."""
    source = data()
    source.setup("fit")
    samples = module.samples_like(source.stored("test"), 0, batch_statistics=batch_statistics)
    fake = (samples * 255).round().byte()
    return frechet_distance(features(fake), features(stored(held_out=True)[0]))


def test_every_epoch_has_its_row_and_the_end_its_own_numbers(tmp_path: Path) -> None:
    rows, quality, module = Rows(), SampleQuality(folder=str(tmp_path)), gan(conditional=True)
    at_start = fid_of(copy.deepcopy(module), batch_statistics=True)
    running = trainer(tmp_path, rows, quality, epochs=2)
    running.fit(module, data())
    assert len(rows.rows) == 2
    for row in rows.rows:
        assert {"val/fid", "val/coverage", "val/label_agreement", "train/discriminator_loss"} <= set(row)
    assert rows.rows[0]["val/fid"] != rows.rows[1]["val/fid"]
    now = fid_of(module)
    assert rows.rows[1]["val/fid"] == pytest.approx(now, rel=1e-5)
    running.test(module, data(), verbose=False)
    found = running.callback_metrics
    assert found["test/fid"] == pytest.approx(now, rel=1e-5)
    assert found["test/fid_start"] == pytest.approx(at_start, rel=1e-5)
    assert found["test/fid_batch_statistics"] == pytest.approx(fid_of(module, batch_statistics=True), rel=1e-5)
    assert len({round(float(found[f"test/fid{name}"]), 6) for name in ("", "_start", "_batch_statistics")}) == 3


def test_a_resumed_run_remembers_what_the_untrained_generator_got(tmp_path: Path) -> None:
    first = SampleQuality(folder=str(tmp_path))
    running = trainer(tmp_path, first)
    running.fit(gan(), data())
    running.save_checkpoint(tmp_path / "last.ckpt")
    second = SampleQuality(folder=str(tmp_path))
    trainer(tmp_path, second, epochs=2).fit(gan(), data(), ckpt_path=tmp_path / "last.ckpt", weights_only=True)
    assert second.fid_start == first.fid_start == pytest.approx(fid_of(gan(), batch_statistics=True), rel=1e-5)


@pytest.mark.parametrize("first", ["samples", "quality"])
def test_the_sheet_has_the_numbers_in_whatever_order_the_callbacks_come(
    first: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: dict[str, float] = {}
    sheet = Sheet("GANs", draw=lambda run_dir, metrics: shown.update(metrics))
    monkeypatch.setattr(labs.callbacks.samples, "sheet_of", lambda practical: sheet)
    both = [Samples(at=[], columns=2, steps=2), SampleQuality(folder=str(tmp_path))]
    running = trainer(tmp_path, *(both if first == "samples" else both[::-1]))
    module = gan()
    running.fit(module, data())
    running.test(module, data(), verbose=False)
    for name in ("fid", "fid_start", "kid", "coverage", "recall", "neighbour_ratio"):
        assert shown[f"test/{name}"] == pytest.approx(float(running.callback_metrics[f"test/{name}"]))


def randomness() -> list[Any]:
    return [torch.get_rng_state().tolist(), np.random.get_state()[1].tolist(), random.getstate()]  # noqa: NPY002


HOOKS = ("on_fit_start", "on_train_start", "on_train_batch_end", "on_test_epoch_start", "on_test_epoch_end")


class Around(pl.Callback):
    """Stand before and after a callback, and compare what must not change between."""

    def __init__(self) -> None:
        self.before: Any = None
        self.compared = 0
        for hook in HOOKS:
            setattr(self, hook, self.look)

    def look(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        tensors = {name: value.clone() for name, value in pl_module.state_dict().items()}
        modes = [module.training for module in pl_module.modules()]
        now = randomness(), tensors, modes
        if self.before is None:
            self.before = now
            return
        before, self.before = self.before, None
        assert before[0] == now[0]
        assert all(torch.equal(before[1][name], now[1][name]) for name in now[1])
        assert before[2] == now[2]
        self.compared += 1


@pytest.mark.parametrize("ema", [None, 0.9])
def test_measuring_changes_nothing(ema: float | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No global generator, weight, statistic of batch norm or mode, even where a real judge is trained."""
    monkeypatch.setattr(labs.metrics.judge, "STEPS", 3)
    monkeypatch.setattr(labs.callbacks.sample_quality, "trained_judge", labs.metrics.judge.trained_judge)
    around, quality = Around(), SampleQuality(folder=str(tmp_path / "judges"))

    after = pl.Callback()
    for hook in HOOKS:
        setattr(after, hook, around.look)
    running = trainer(tmp_path, around, quality, after)
    module = gan(ema=ema)
    running.fit(module, data())
    running.test(module, data(), verbose=False)
    assert around.before is None
    assert around.compared == 1 + 1 + 3 + 1 + 1
    assert len(list((tmp_path / "judges").glob("*.pt"))) == 1

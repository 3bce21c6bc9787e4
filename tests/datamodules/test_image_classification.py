from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from labs import LabsError
from labs.datamodules.batches import Batch
from labs.datamodules.image_classification import ImageClassification
from labs.datamodules.sources import LabeledImages
from labs.functional.augment import DRAWS, center_crop
from labs.functional.normalization import FIXED, channel_statistics

pytestmark = pytest.mark.filterwarnings("ignore:.*LeafSpec")  # of Lightning, about itself
NO_AUGMENT = {"crop_scale": None, "flip": False}
CROP_FLIP = {"crop_scale": [0.3, 1.0], "flip": True}


class RandomPictures:
    """Four classes of 20 random pictures each, the last five of each for testing; the last class is short of two."""

    name = "random pictures"

    def __init__(self, folder: Path) -> None:
        self.cache = folder / "cache"
        self.loads: list[int] = []

    def load(self, size: int) -> LabeledImages:
        self.loads.append(size)
        labels = np.repeat(np.arange(4), 20)[:78]
        pixels = np.random.default_rng(size).integers(0, 200, (78, 3, size, size)).astype(np.uint8)
        is_test = np.arange(78) % 20 >= 15
        names = [f"{label}/{row}.jpg" for row, label in enumerate(labels)]
        return LabeledImages(pixels, labels, names, list("abcd"), is_test)


class Look(pl.LightningModule):
    """Keep every image that comes to a step, by stage, epoch and position."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.seen: dict[tuple[str, int, int], Tensor] = {}

    def keep(self, stage: str, batch: Batch) -> None:
        for index, image in zip(batch.positions.tolist(), batch.images):
            assert (stage, self.current_epoch, index) not in self.seen
            self.seen[stage, self.current_epoch, index] = image.clone()

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        self.keep("train", batch)
        return self.weight.sum()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self.keep("val", batch)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        self.keep("test", batch)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def build(folder: Path, **options: Any) -> ImageClassification:
    arguments: dict[str, Any] = {
        "source": RandomPictures(folder),
        "num_classes": 4,
        "image_size": 8,
        "batch_size": 16,
        "normalization": "none",
        "augment": NO_AUGMENT,
        "embedded": True,
    }
    return ImageClassification(**(arguments | options))


def ready(folder: Path, **options: Any) -> ImageClassification:
    data = build(folder, **options)
    data.prepare_data()
    data.setup("fit")
    return data


def trained(folder: Path, epochs: int = 2, **options: Any) -> tuple[Look, ImageClassification]:
    data, look = build(folder, **options), Look()
    trainer = pl.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        default_root_dir=folder,
    )
    trainer.fit(look, data)
    trainer.test(look, data, verbose=False)
    return look, data


class TestSplits:
    def test_validation_is_cut_from_the_training_split(self, tmp_path: Path) -> None:
        data = ready(tmp_path, validation_fraction=0.2)
        train, val, test = (set(data.rows[split].tolist()) for split in ("train", "val", "test"))
        assert test == {row for row in range(78) if row % 20 >= 15}
        assert train | val | test == set(range(78))
        assert len(train) + len(val) + len(test) == 78
        assert np.bincount([row // 20 for row in val]).tolist() == [3, 3, 3, 3]  # a fifth of 15 each
        assert data.labels == ["embedded data"]

    def test_validation_on_the_test_set_is_labeled(self, tmp_path: Path) -> None:
        data = ready(tmp_path, validation="test", embedded=False)
        assert np.array_equal(data.rows["val"], data.rows["test"])
        assert len(data.rows["train"]) == 60
        assert data.labels == ["selected on test"]

    def test_the_cut_depends_on_its_own_seed_only(self, tmp_path: Path) -> None:
        hashes = {
            (split_seed, seed): ready(tmp_path, split_seed=split_seed, seed=seed).split_hash
            for split_seed in (0, 1)
            for seed in (0, 1)
        }
        assert hashes[0, 0] == hashes[0, 1] != hashes[1, 0] == hashes[1, 1]

    def test_preparing_and_setting_up_twice_load_once(self, tmp_path: Path) -> None:
        data = ready(tmp_path)
        data.setup("test")
        source = data.source
        assert isinstance(source, RandomPictures)
        assert source.loads == [8]


class TestWhatTheNetSees:
    def test_evaluation_takes_the_center_and_normalizes(self, tmp_path: Path) -> None:
        look, data = trained(tmp_path, epochs=1, resize=11, image_size=8, normalization="imagenet", augment=CROP_FLIP)
        stored = torch.from_numpy(data.source.load(11).pixels).float() / 255
        mean, std = (torch.tensor(values)[:, None, None] for values in FIXED["imagenet"][1:])
        for stage in ("val", "test"):
            for index, row in enumerate(data.rows[stage]):
                expected = (center_crop(stored[row], 8) - mean) / std
                (seen,) = (image for (s, _, i), image in look.seen.items() if (s, i) == (stage, index))
                torch.testing.assert_close(seen, expected, rtol=0, atol=1e-5)

    def test_every_training_image_comes_once_an_epoch(self, tmp_path: Path) -> None:
        look, data = trained(tmp_path, epochs=2)
        stored = torch.from_numpy(data.source.load(8).pixels).float() / 255
        keys = sorted(key for key in look.seen if key[0] == "train")
        assert keys == [("train", epoch, index) for epoch in range(2) for index in range(len(data.rows["train"]))]
        for stage, epoch, index in keys:
            assert torch.equal(look.seen[stage, epoch, index], stored[data.rows["train"][index]])

    def test_statistics_are_those_of_the_training_split_alone(self, tmp_path: Path) -> None:
        data = ready(tmp_path, normalization="dataset", validation_fraction=0.3)
        pixels = data.source.load(8).pixels
        rows = data.rows["train"]
        assert data.normalization == channel_statistics(pixels, rows)
        assert data.normalization != channel_statistics(pixels, np.arange(78))
        images = data.transforms.normalizer(torch.from_numpy(pixels[rows]).double() / 255)
        torch.testing.assert_close(images.mean(dim=(0, 2, 3)), torch.zeros(3).double(), rtol=0, atol=1e-6)
        torch.testing.assert_close(images.std(dim=(0, 2, 3), correction=0), torch.ones(3).double(), rtol=0, atol=1e-6)

    def test_statistics_follow_images_that_changed(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        ready(tmp_path, normalization="dataset")
        original = RandomPictures.load
        darker = lambda self, size: (images := original(self, size))._replace(pixels=images.pixels // 2)  # noqa: E731
        monkeypatch.setattr(RandomPictures, "load", darker)
        data = ready(tmp_path, normalization="dataset")
        assert data.normalization == channel_statistics(data.source.load(8).pixels, data.rows["train"])


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, int, int], Tensor]:
    return trained(tmp_path_factory.mktemp("reference"), augment=CROP_FLIP)[0].seen


class TestAugmentation:
    @pytest.mark.parametrize("options", [{"num_workers": 2}, {"batch_size": 5}, {"batch_size": 1000, "num_workers": 2}])
    def test_it_is_the_same_for_the_same_seed_epoch_and_image(
        self, reference: dict[tuple[str, int, int], Tensor], tmp_path: Path, options: dict[str, int]
    ) -> None:
        torch.manual_seed(7)  # the global generator has no part in it
        seen = trained(tmp_path, augment=CROP_FLIP, **options)[0].seen
        assert seen.keys() == reference.keys()
        for key, image in seen.items():
            torch.testing.assert_close(image, reference[key], rtol=0, atol=1e-6, msg=str(key))

    def test_it_is_another_in_another_epoch_and_for_another_seed(
        self, reference: dict[tuple[str, int, int], Tensor], tmp_path: Path
    ) -> None:
        other = trained(tmp_path, augment=CROP_FLIP, seed=1)[0].seen
        for (stage, epoch, index), image in reference.items():
            if stage == "train":
                assert not torch.allclose(image, reference["train", 1 - epoch, index], atol=1e-3)
                assert not torch.allclose(image, other["train", epoch, index], atol=1e-3)
            else:  # nothing is random in evaluation
                assert torch.equal(image, other[stage, epoch, index])

    def test_crops_differ_from_image_to_image(self, tmp_path: Path) -> None:
        data = ready(tmp_path, augment=CROP_FLIP)
        transforms = data.transforms
        draws = transforms._of_view(0, len(data.rows["train"]), torch.device("cpu"))[:, :DRAWS]
        assert len(draws.unique(dim=0)) == len(data.rows["train"])

    def test_a_resumed_epoch_is_augmented_as_if_nothing_had_happened(
        self, reference: dict[tuple[str, int, int], Tensor], tmp_path: Path
    ) -> None:
        data, look = build(tmp_path, augment=CROP_FLIP), Look()
        options: dict[str, Any] = {
            "accelerator": "cpu", "logger": False, "enable_progress_bar": False, "enable_model_summary": False,
            "enable_checkpointing": False, "num_sanity_val_steps": 0, "default_root_dir": tmp_path,
        }  # fmt: skip
        first = pl.Trainer(max_epochs=1, **options)
        first.fit(look, data)
        first.save_checkpoint(tmp_path / "one.ckpt")
        look.seen.clear()
        pl.Trainer(max_epochs=2, **options).fit(
            look, build(tmp_path, augment=CROP_FLIP), ckpt_path=tmp_path / "one.ckpt"
        )
        second = {key: image for key, image in look.seen.items() if key[0] == "train"}
        assert {key[1] for key in second} == {1}
        assert len(second) == len(data.rows["train"])
        for key, image in second.items():
            assert torch.equal(image, reference[key])


class TestState:
    def test_it_is_plain_and_survives_a_safe_load(self, tmp_path: Path) -> None:
        data = ready(tmp_path, normalization="dataset", augment=CROP_FLIP)
        torch.save(data.state_dict(), tmp_path / "state")
        state = torch.load(tmp_path / "state", weights_only=True)
        assert data.normalization is not None
        assert state["normalization"] == {
            "name": "dataset",
            "mean": list(data.normalization.mean),
            "std": list(data.normalization.std),
        }
        assert (state["classes"], state["image_size"], state["resize"]) == (list("abcd"), 8, 9)
        data.load_state_dict(state)

    def test_another_split_is_refused(self, tmp_path: Path) -> None:
        data, other = ready(tmp_path, split_seed=0), ready(tmp_path, split_seed=1)
        with pytest.raises(LabsError, match=r"other data .split_hash"):
            data.load_state_dict(other.state_dict())


@pytest.mark.parametrize(
    ("options", "resize"),
    [
        ({"image_size": 224, "augment": NO_AUGMENT}, 224),
        ({"image_size": 224, "augment": CROP_FLIP}, 256),  # the usual pair
        ({"image_size": 224, "augment": CROP_FLIP, "resize": 300}, 300),
        ({"image_size": 8, "augment": {"crop_scale": None, "flip": True}}, 8),
    ],
)
def test_the_stored_size(tmp_path: Path, options: dict[str, Any], resize: int) -> None:
    assert build(tmp_path, **options).resize == resize


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image_size": 0}, "datamodule.image_size=0: expected 1 or more"),
        ({"batch_size": 0}, "datamodule.batch_size=0: expected 1 or more"),
        ({"num_workers": -1}, "datamodule.num_workers=-1: expected 0 or more"),
        ({"resize": 7}, "type datamodule.resize=8 or more"),
        ({"augment": {"crop_scale": [0.9, 0.3], "flip": True}}, "crop_scale"),
        ({"augment": {"crop_scale": [0.0, 0.3], "flip": True}}, "crop_scale"),
        ({"augment": {"crop_scale": [0.5, 1.1], "flip": True}}, "crop_scale"),
        ({"augment": {"crop_scale": [0.5], "flip": True}}, "crop_scale"),
        ({"validation_fraction": 0.0}, "validation_fraction=0.0"),
        ({"validation_fraction": 1.0}, "validation_fraction=1.0"),
    ],
)
def test_mistakes_are_found_before_any_data_is_read(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(LabsError, match=message):
        build(tmp_path, **options)


def test_another_number_of_classes_names_what_to_type(tmp_path: Path) -> None:
    with pytest.raises(LabsError, match=r"type datamodule\.num_classes=4"):
        ready(tmp_path, num_classes=10)

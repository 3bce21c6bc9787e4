"""Two domains side by side: who sees which labels, how the splits are cut, and what is refused."""

from __future__ import annotations

import inspect
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from fake_domains import CLASSES, SGD, SIZE, Drawn, domains, small_net, small_trainer
from torch import Tensor

from labs import LabsError
from labs.datamodules import mnist_m
from labs.datamodules.batches import Batch, DomainBatch, Unlabeled
from labs.datamodules.domain_splits import cut_domain
from labs.datamodules.domains import DOMAINS, Domains
from labs.datamodules.embedded.mnist_digits import read_mnist_digits
from labs.datamodules.image_classification import ImageClassification
from labs.datamodules.mnist import MNIST
from labs.datamodules.mnist_m import MNISTM
from labs.modules.classifier import Classifier
from labs.modules.dann import DANN


def ready(folder: Path, **options: Any) -> Domains:
    data = domains(folder, **options)
    data.prepare_data()
    data.setup("fit")
    return data


def cut(data: Domains, images: dict[Any, Any]) -> dict[str, dict[str, np.ndarray]]:
    """Return the rows of each split of each domain."""
    return {domain: cut_domain(images[domain], data.validation_fraction, data.split_seed) for domain in DOMAINS}


def first_batch(data: Domains, training: bool = True) -> Any:
    """Return the first batch as the module gets it, in training or in validation."""
    data.trainer = cast(
        Any, SimpleNamespace(training=training, testing=False, global_rank=0, world_size=1, lightning_module=None)
    )
    loader: Any = data.train_dataloader() if training else data.val_dataloader()[1]
    return data.transfer_batch_to_device(next(iter(loader)), torch.device("cpu"), 0 if training else 1)


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Domains:
    """Digits of MNIST, and the same on photographs."""
    folder = str(tmp_path_factory.mktemp("embedded"))
    source = MNIST(embedded=True, folder=folder)
    target = MNISTM(embedded=True, folder=folder)
    options: dict[str, Any] = {"num_classes": 10, "image_size": 16, "batch_size": 64, "normalization": "dataset"}
    data = Domains(source=source, target=target, embedded=True, **options)
    data.setup("fit")
    return data


class TestEmbedded:
    def test_counts(self, embedded: Domains) -> None:
        for domain in DOMAINS:
            assert {split: embedded.count(split, domain) for split in ("train", "val", "test")} == {
                "train": 3600,
                "val": 400,
                "test": 1000,
            }
        facts = embedded.facts()
        assert facts["counts"]["test"] == facts["counts"]["test target"] == 1000
        assert facts["labels"] == ["embedded data"]
        assert len(facts["credits"]) == 6

    def test_validation_shows_the_same_digits_in_both(self, embedded: Domains) -> None:
        """Else a digit that trains in one domain would be validated on in the other."""
        rows = cut(embedded, embedded._load())
        for split in ("train", "val", "test"):
            assert np.array_equal(rows["source"][split], rows["target"][split])

    def test_other_photographs_lie_behind_test_digits(self, embedded: Domains, monkeypatch: pytest.MonkeyPatch) -> None:
        """A train piece cut from a test photograph, or the other way round, would change with that photograph."""
        before = embedded._load()["target"]
        monkeypatch.setitem(mnist_m.PHOTOGRAPHS_OF, "test", ("retina",))
        after = MNISTM(embedded=True, folder="unused").load(16)
        changed = (before.pixels != after.pixels).any(axis=(1, 2, 3))
        assert not changed[~before.is_test].any()
        assert changed[before.is_test].mean() > 0.99

    def test_labels_are_those_of_the_digits(self, embedded: Domains) -> None:
        _, labels, is_test = read_mnist_digits()
        expected = torch.from_numpy(labels[is_test])
        for domain in DOMAINS:
            assert torch.equal(embedded.batch("test", domain, torch.arange(len(expected))).labels, expected)


class TestLabels:
    def test_what_training_gets_of_the_target_has_no_field_for_labels(self, tmp_path: Path) -> None:
        batch = first_batch(ready(tmp_path))
        assert isinstance(batch, DomainBatch)
        assert type(batch.labeled) is Batch
        assert type(batch.unlabeled) is Unlabeled
        assert Unlabeled._fields == ("images", "positions")
        assert not [name for name in vars(type(batch.unlabeled)) if "label" in name.lower()]
        parameters = inspect.signature(Domains.unlabeled_images).return_annotation
        assert parameters is Unlabeled

    @pytest.mark.parametrize(("labeled", "other"), [("source", "target"), ("target", "source")])
    def test_its_labels_cannot_be_asked_for(self, labeled: Any, other: Any, tmp_path: Path) -> None:
        data = ready(tmp_path, labeled=labeled)
        assert (data.labeled, data.unlabeled) == (labeled, other)
        with pytest.raises(LabsError, match=f"the {other}'s training images have no labels"):
            data.batch("train", other, torch.arange(3))
        assert data._parts["train", other].labels is None
        count = data.count("train", labeled)
        assert len(data.batch("train", labeled, torch.arange(count)).labels) == count > 0
        for split in ("val", "test"):
            assert len(data.batch(split, other, torch.arange(5)).labels) == 5

    def test_labels_of_the_target_instead(self, tmp_path: Path) -> None:
        data = ready(tmp_path, labeled="target")
        assert data.labels == ["embedded data", "trained on target labels"]
        assert data.facts()["labels"] == data.labels
        assert ready(tmp_path).labels == ["embedded data"]
        batch, positions = first_batch(data), torch.arange(data.count("train", "target"))
        target, source = (torch.from_numpy(data._parts["train", domain].host) for domain in ("target", "source"))
        assert torch.equal(batch.labeled.images, data.normalizer(target[batch.labeled.positions] / 255))
        assert torch.equal(batch.unlabeled.images, data.normalizer(source[batch.unlabeled.positions] / 255))
        assert set(data.batch("train", "target", positions).labels.tolist()) == set(range(CLASSES))

    def test_images_labels_and_positions_belong_together(self, tmp_path: Path) -> None:
        data = ready(tmp_path)
        images = data._load()
        rows = cut(data, images)
        batch = first_batch(data)
        chosen = rows["source"]["train"][batch.labeled.positions]
        assert torch.equal(batch.labeled.labels, torch.from_numpy(images["source"].labels[chosen]))
        pixels = torch.from_numpy(images["source"].pixels[chosen])
        assert torch.equal(batch.labeled.images, data.normalizer(pixels / 255))
        chosen = rows["target"]["train"][batch.unlabeled.positions]
        assert torch.equal(
            batch.unlabeled.images, data.normalizer(torch.from_numpy(images["target"].pixels[chosen]) / 255)
        )
        evaluated = first_batch(data, training=False)
        chosen = rows["target"]["val"][evaluated.positions]
        assert torch.equal(evaluated.labels, torch.from_numpy(images["target"].labels[chosen]))

    def test_the_oracle_counts_right_predictions(self, tmp_path: Path) -> None:
        data = ready(tmp_path)
        images = data._load()["target"]
        truth = torch.from_numpy(images.labels[cut(data, data._load())["target"]["train"]])
        positions = torch.tensor([5, 0, 11, 3])
        preds = truth[positions].clone()
        assert data.accuracy_of(positions, preds) == 1
        preds[1] = (preds[1] + 1) % CLASSES
        assert data.accuracy_of(positions, preds) == 0.75
        assert np.isnan(data.accuracy_of(positions[:0], preds[:0]))


class TestNormalisation:
    def test_both_domains_count_half_of_the_mean(self, tmp_path: Path) -> None:
        data = ready(tmp_path)
        assert data.normalization is not None
        rows = cut(data, data._load())
        pixels = [
            data._load()[domain].pixels[rows[domain]["train"]].transpose(1, 0, 2, 3).reshape(3, -1) / 255
            for domain in DOMAINS
        ]
        assert pixels[0].shape != pixels[1].shape
        mean = np.mean([p.mean(axis=1) for p in pixels], axis=0)
        squares = np.mean([(p**2).mean(axis=1) for p in pixels], axis=0)
        np.testing.assert_allclose(data.normalization.mean, mean, rtol=1e-9)
        np.testing.assert_allclose(data.normalization.std, np.sqrt(squares - mean**2), rtol=1e-9)

    def test_it_is_the_same_function_for_both(self, tmp_path: Path) -> None:
        data = ready(tmp_path)
        mean, std = (torch.tensor(numbers)[:, None, None] for numbers in data.normalization[1:])  # type: ignore[index]
        for domain in DOMAINS:
            images = torch.from_numpy(data._parts["test", domain].host)
            batch = data.batch("test", domain, torch.arange(len(images)))
            assert torch.allclose(batch.images * std + mean, images.float() / 255, atol=1e-6)

    def test_a_source_of_one_channel_gets_three(self, tmp_path: Path) -> None:
        data = ready(tmp_path, source=Drawn("gray", tmp_path, channels=1))
        images = data.batch("test", "source", torch.arange(4)).images
        assert images.shape == (4, 3, SIZE, SIZE)
        pixels = data._parts["test", "source"].host
        assert np.array_equal(pixels[:, 0], pixels[:, 2])

    def test_a_fixed_one(self, tmp_path: Path) -> None:
        data = ready(tmp_path, normalization="half")
        assert data.state_dict()["normalization"] == {"name": "half", "mean": [0.5] * 3, "std": [1.0] * 3}


class TestSplits:
    def test_images_of_one_thing_stay_on_one_side(self, tmp_path: Path) -> None:
        """Also where the training images of a thing lie far apart."""
        target = Drawn("pieces", tmp_path, train=80, groups=20, bright=True)
        data = ready(tmp_path, target=target)
        images = data._load()
        assert images["target"].groups is not None
        rows = cut(data, images)["target"]
        train, val = (set(images["target"].groups[rows[split]].tolist()) for split in ("train", "val"))
        assert train
        assert val
        assert not train & val
        assert len(rows["train"]) + len(rows["val"]) == 80

    def test_validation_is_a_stratified_share_of_training_and_never_of_test(self, tmp_path: Path) -> None:
        data = ready(tmp_path)
        images = data._load()
        for domain, rows in cut(data, images).items():
            assert not images[domain].is_test[np.concatenate([rows["train"], rows["val"]])].any()
            assert images[domain].is_test[rows["test"]].all()
            assert np.array_equal(np.sort(np.concatenate(list(rows.values()))), np.arange(len(images[domain].labels)))
            counts = np.bincount(images[domain].labels[rows["val"]])
            assert (counts == len(rows["val"]) // CLASSES).all()
            assert len(rows["val"]) == 0.25 * (~images[domain].is_test).sum()

    def test_another_split_seed_holds_out_others(self, tmp_path: Path) -> None:
        hashes = {ready(tmp_path, split_seed=seed).split_hash for seed in (0, 1, 0)}
        assert len(hashes) == 2

    def test_evaluation_serves_every_image_of_both_once(self, tmp_path: Path) -> None:
        data = ready(tmp_path, batch_size=2)
        for loaders, split in ((data.val_dataloader(), "val"), (data.test_dataloader(), "test")):
            for domain, loader in zip(DOMAINS, loaders, strict=True):
                positions: list[Tensor] = list(loader)
                assert len(positions) > 1
                assert torch.equal(torch.cat(positions), torch.arange(data.count(split, domain)))

    def test_an_epoch_passes_over_the_larger_domain(self, tmp_path: Path) -> None:
        data = ready(tmp_path)  # 36 and 60 training images
        pairs = list(data.train_dataloader())
        assert len(pairs) == 60 // 8
        second = torch.cat([second for _, second in pairs])
        assert len(second.unique()) == len(second) == 56
        first = torch.cat([first for first, _ in pairs])
        assert len(first) == 56
        assert len(first.unique()) == 36


class TestRefused:
    @pytest.mark.parametrize(
        ("wrong", "said"),
        [
            ({"batch_size": 0}, r"datamodule\.batch_size=0: expected 1 or more"),
            ({"image_size": 0}, r"datamodule\.image_size=0: expected 1 or more"),
            ({"validation_fraction": 1.0}, r"datamodule\.validation_fraction=1\.0: expected a fraction in \(0, 1\)"),
            ({"num_classes": 10}, r"datamodule\.num_classes=10: found 4 classes in both.*num_classes=4"),
            ({"batch_size": 37}, r"batch_size=37: the source domain, dark, has 36 training images.*batch_size=36"),
        ],
    )
    def test_numbers_that_do_not_fit(self, wrong: dict[str, Any], said: str, tmp_path: Path) -> None:
        with pytest.raises(LabsError, match=said) as refused:
            ready(tmp_path, **wrong)
        assert "\n" not in str(refused.value)

    @pytest.mark.parametrize(
        ("domain", "options", "said"),
        [
            ("target", {"classes": 5}, r"need the same classes, but .*dark has corner 0, .*\(5 in all\)"),
            ("source", {"classes": 3}, r"wrong has corner 0, corner 1, corner 2 and bright has corner 0"),
            ("target", {"train": 0}, r"the target domain, wrong, has no training images; choose another"),
            ("source", {"train": 0}, r"the source domain, wrong, has no training images"),
            ("target", {"test": 0}, r"the target domain, wrong, has no test images"),
            ("source", {"train": 0, "test": 0}, r"the source domain, wrong, has no training images"),
            ("target", {"train": 8}, r"batch_size=8: the target domain, wrong, has 4 training images.*batch_size=4"),
        ],
    )
    def test_domains_that_do_not_fit(self, domain: str, options: dict[str, Any], said: str, tmp_path: Path) -> None:
        with pytest.raises(LabsError, match=said) as refused:
            ready(tmp_path, **{domain: Drawn("wrong", tmp_path, **options)})
        assert "\n" not in str(refused.value)

    def test_a_batch_larger_than_a_processs_share(self, tmp_path: Path) -> None:
        data = domains(tmp_path, batch_size=20)
        data.trainer = cast(Any, SimpleNamespace(world_size=2, lightning_module=None))
        with pytest.raises(LabsError, match=r"has 18 training images per process; type datamodule\.batch_size=18"):
            data.setup("fit")

    def test_a_classifier_on_two_domains(self, tmp_path: Path) -> None:
        module = Classifier(net=small_net(), num_classes=CLASSES, optimizer=SGD)
        with pytest.raises(LabsError, match="Domains does not work with Classifier: it needs a method that learns"):
            small_trainer(tmp_path).fit(module, domains(tmp_path))

    def test_domain_adaptation_on_one_dataset(self, tmp_path: Path) -> None:
        one = ImageClassification(
            source=Drawn("dark", tmp_path), num_classes=CLASSES, image_size=SIZE, batch_size=8, normalization="half",
            augment={"crop_scale": None, "flip": False}, embedded=True,
        )  # fmt: skip
        module = DANN(net=small_net(), num_classes=CLASSES, optimizer=SGD)
        with pytest.raises(LabsError, match=r"module=dann needs images of two domains. Type datamodule=domains"):
            small_trainer(tmp_path, limit_val_batches=0).fit(module, one)

    @pytest.mark.parametrize(
        ("other", "said"),
        [
            ({"split_seed": 1}, "other data .split_hash"),
            ({"labeled": "target"}, r"other data \(labeled source, here target\); start a new run"),
            ({"image_size": 20}, r"other data \(image_size 16, here 20\)"),
        ],
    )
    def test_a_checkpoint_of_other_data(self, other: dict[str, Any], said: str, tmp_path: Path) -> None:
        saved = ready(tmp_path).state_dict()
        ready(tmp_path).load_state_dict(saved)
        with pytest.raises(LabsError, match=said):
            ready(tmp_path, **other).load_state_dict(saved)

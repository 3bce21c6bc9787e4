"""What each criterion chose, counted again from its checkpoint."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Literal

import lightning.pytorch as pl
import pandas as pd
import pytest
import torch
from fake_domains import CLASSES, SGD, Drawn, domains, small_net, small_trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from labs import LabsError
from labs.callbacks.selections import Selections, target_accuracy
from labs.datamodules.domains import Domains
from labs.datamodules.image_classification import ImageClassification
from labs.functional.gradient_reversal import ReversalWeight
from labs.modules.classifier import Classifier
from labs.modules.dann import DANN

CHOICES: dict[str, tuple[str, Literal["min", "max"]]] = {
    "by_source_acc": ("val/source_acc", "max"),
    "by_target_entropy": ("val/target_entropy", "min"),
    "by_oracle": ("val/oracle_target_acc", "max"),
    "worst": ("val/oracle_target_acc", "min"),
}

METRIC = "test/target_acc"


def module() -> DANN:
    return DANN(
        net=small_net(batch_norm=True, dropout=0.3), num_classes=CLASSES, optimizer=SGD, batch_norm="separate",
        reversal=ReversalWeight(weight=0.1),
    )  # fmt: skip


def checkpoint(folder: Path, name: str, monitor: str | None = None, mode: Any = "min") -> ModelCheckpoint:
    return ModelCheckpoint(
        dirpath=folder, filename=name, monitor=monitor, mode=mode, save_on_train_epoch_end=True,
        enable_version_counter=False, save_weights_only=monitor is not None,
    )  # fmt: skip


def trainer_with(folder: Path) -> pl.Trainer:
    chosen = [checkpoint(folder, name, *choice) for name, choice in CHOICES.items()]
    callbacks = [
        Selections(metric=METRIC),
        checkpoint(folder, "last"),
        *chosen,
        checkpoint(folder, "never_there", "val/source_acc"),
    ]
    return small_trainer(folder, epochs=5, callbacks=callbacks, enable_checkpointing=True)


class Run:
    """One real training and test, and what it left."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.module, self.data = folder, module(), domains(folder)
        self.trainer = trainer_with(folder)
        self.trainer.fit(self.module, self.data)
        (folder / "never_there.ckpt").unlink()
        self.trainer.test(self.module, self.data, ckpt_path=folder / "last.ckpt", verbose=False)
        self.table = pd.read_csv(folder / "selections.tsv", sep="\t")
        self.metrics = {name: value.item() for name, value in self.trainer.callback_metrics.items()}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return Run(tmp_path_factory.mktemp("run"))


def counted(file: Path, data: Domains) -> tuple[int, float]:
    """Load a checkpoint into a net of its own, and count its right predictions of the target."""
    saved, other = torch.load(file, weights_only=True), module()
    other.load_state_dict(saved["state_dict"])
    other.eval()
    right = 0
    for position in range(data.count("test", "target")):
        batch = data.batch("test", "target", torch.tensor([position]))
        right += int(other(batch.images, "target").argmax()) == int(batch.labels)
    return saved["epoch"] + 1, right / data.count("test", "target")


def test_each_row_is_what_its_checkpoint_does(run: Run) -> None:
    files = ["last", *CHOICES]
    assert len(run.table) == len(files), "what is not there has no row"
    for file, (_, row) in zip(files, run.table.iterrows(), strict=True):
        epoch, accuracy = counted(run.folder / f"{file}.ckpt", run.data)
        assert row["epoch"] == epoch
        assert row["target_acc"] == pytest.approx(accuracy, abs=1e-9)
    assert run.table["target_acc"].nunique() > 1, "a test in which all are alike shows nothing"


def test_criteria_say_whether_they_see_target_labels(run: Run) -> None:
    expected = ["last epoch", *(f"{mode} {monitor}" for monitor, mode in CHOICES.values())]
    assert run.table["criterion"].tolist() == expected
    assert run.table["sees_target_labels"].tolist() == ["no", "no", "no", "yes", "yes"]


def test_they_are_logged_beside_the_last_epochs_accuracy(run: Run) -> None:
    logged = {name: value for name, value in run.metrics.items() if name.startswith("test/target_acc")}
    assert set(logged) == {"test/target_acc", *(f"test/target_acc_{name}" for name in CHOICES)}
    for name, value in zip(CHOICES, run.table["target_acc"][1:], strict=True):
        assert logged[f"test/target_acc_{name}"] == pytest.approx(value, abs=1e-6)
    assert logged["test/target_acc"] == pytest.approx(run.table["target_acc"][0], abs=1e-6)


def test_the_weights_afterwards_are_those_of_the_last_epoch(run: Run) -> None:
    saved = torch.load(run.folder / "last.ckpt", weights_only=True)["state_dict"]
    worst = torch.load(run.folder / "worst.ckpt", weights_only=True)["state_dict"]
    assert all(torch.equal(tensor, saved[name]) for name, tensor in run.module.state_dict().items())
    assert not all(torch.equal(tensor, worst[name]) for name, tensor in run.module.state_dict().items())


def test_more_images_than_are_predicted_at_once(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    run.module.eval()
    whole = target_accuracy(run.module, run.data, run.data.count("test", "target"))
    monkeypatch.setattr("labs.callbacks.selections.AT_ONCE", 5)
    assert target_accuracy(run.module, run.data, run.data.count("test", "target")) == whole


def test_where_target_labels_train_every_choice_has_seen_them(tmp_path: Path) -> None:
    data, adapted = domains(tmp_path, labeled="target"), module()
    chosen = [checkpoint(tmp_path, "by_source_acc", "val/source_acc", "max"), checkpoint(tmp_path, "last")]
    trainer = small_trainer(tmp_path, callbacks=[Selections(metric=METRIC), *chosen], enable_checkpointing=True)
    trainer.fit(adapted, data)
    trainer.test(adapted, data, verbose=False)
    assert pd.read_csv(tmp_path / "selections.tsv", sep="\t")["sees_target_labels"].tolist() == ["yes", "yes"]


def test_a_file_that_this_run_did_not_write_is_no_choice_of_it(run: Run, tmp_path: Path) -> None:
    shutil.copy(run.folder / "worst.ckpt", tmp_path / "by_source_acc.ckpt")
    stale = checkpoint(tmp_path, "by_source_acc", "val/source_acc", "max")
    trainer = small_trainer(tmp_path, callbacks=[Selections(metric=METRIC), stale], enable_checkpointing=True)
    trainer.test(run.module, run.data, verbose=False)
    assert not (tmp_path / "selections.tsv").read_text().strip()


def test_nothing_half_written_is_left(run: Run) -> None:
    assert [path.name for path in run.folder.glob(".selections*")] == []


def test_a_practical_of_one_domain_is_refused(tmp_path: Path) -> None:
    data = ImageClassification(
        source=Drawn("dark", tmp_path), num_classes=CLASSES, image_size=16, batch_size=8, normalization="half",
        augment={"crop_scale": None, "flip": False}, embedded=True,
    )  # fmt: skip
    classifier = Classifier(net=small_net(), num_classes=CLASSES, optimizer=SGD)
    with pytest.raises(LabsError, match="Selections does not work with ImageClassification: it needs images"):
        small_trainer(tmp_path, callbacks=[Selections(metric=METRIC)]).fit(classifier, data)


def test_a_try_out_counts_the_images_that_it_tests(tmp_path: Path) -> None:
    """The accuracies of what was chosen, as that of the last epoch beside them, are of the first batch alone."""
    data, last = domains(tmp_path, batch_size=4), checkpoint(tmp_path, "last")
    callbacks = [Selections(metric=METRIC), checkpoint(tmp_path, "by_source_acc", "val/source_acc", "max"), last]
    trainer = small_trainer(tmp_path, epochs=1, callbacks=callbacks, enable_checkpointing=True, limit_test_batches=1)
    one = module()
    trainer.fit(one, data)
    trainer.test(one, data, ckpt_path=tmp_path / "last.ckpt", verbose=False)
    count = len(next(iter(data.test_dataloader()[1].sampler)))
    assert count < data.count("test", "target")
    one.eval()
    table = pd.read_csv(tmp_path / "selections.tsv", sep="\t")
    assert table["target_acc"].tolist() == pytest.approx([target_accuracy(one, data, count)] * 2)
    assert trainer.callback_metrics[METRIC].item() == pytest.approx(table["target_acc"][0])

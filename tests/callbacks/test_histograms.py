"""Histograms and step curves: what TensorBoard reads of them, and that they change nothing of a run."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from lightning.pytorch.loggers import TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor

from labs import LabsError
from labs.callbacks.freeze import Freeze
from labs.callbacks.histograms import BINS, Histograms
from labs.callbacks.reseed import Reseed
from labs.callbacks.step_curves import StepCurves
from labs.datamodules.digits import Digits
from labs.datamodules.image_classification import ImageClassification
from labs.modules.classifier import Classifier
from labs.nets.simple_cnn import SimpleCNN
from labs.nets.torchvision_nets import build_net


class Keep(pl.Callback):
    """Keep gradients and weights as each step finds them, and what each epoch measured."""

    def __init__(self) -> None:
        self.gradients: list[Tensor] = []
        self.weights: list[Tensor] = []
        self.rows: list[dict[str, float]] = []

    def on_before_optimizer_step(self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Any) -> None:
        head = pl_module.get_parameter("net.fc.weight")
        assert head.grad is not None
        self.gradients.append(head.grad.clone())
        self.weights.append(head.detach().clone())

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.rows.append({name: value.item() for name, value in trainer.callback_metrics.items()})


def run(folder: Path, *watching: pl.Callback) -> tuple[Classifier, Keep]:
    torch.manual_seed(0)
    source = Digits(digits=[0, 1, 2], train_per_class=12, embedded=True, folder=str(folder.parent))
    data = ImageClassification(
        source=source, num_classes=3, image_size=16, batch_size=6, embedded=True, normalization="half",
        augment={"flip": True}, validation_fraction=0.5,
    )  # fmt: skip
    module = Classifier(
        net=build_net(name="resnet_small", num_classes=3), num_classes=3,
        optimizer=lambda groups: torch.optim.SGD(groups, lr=0.05),
    )  # fmt: skip
    keep = Keep()
    trainer = pl.Trainer(
        max_epochs=2, accelerator="cpu", enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, default_root_dir=folder,
        log_every_n_steps=1, logger=TensorBoardLogger(folder, name="", version="tensorboard"),
        callbacks=[Reseed(0), Freeze(patterns=["backbone"]), *watching, keep],
    )  # fmt: skip
    trainer.fit(module, data)
    return module, keep


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Classifier, Keep, EventAccumulator]:
    folder = tmp_path_factory.mktemp("watched") / "run"
    module, keep = run(folder, Histograms(every=3), StepCurves(every=3))
    events = EventAccumulator(str(folder / "tensorboard"), size_guidance={"histograms": 0, "tensors": 0})
    events.Reload()
    return folder, module, keep, events


Watched = tuple[Path, Classifier, Keep, EventAccumulator]


def test_tensorboard_reads_histograms_of_what_trains_alone(watched: Watched) -> None:
    _, _, keep, events = watched
    names = ["fc.bias", "fc.weight"]
    assert sorted(events.Tags()["histograms"]) == sorted(f"{k}/{n}" for k in ("gradients", "weights") for n in names)
    for tag, values in (("gradients/fc.weight", keep.gradients), ("weights/fc.weight", keep.weights)):
        found = events.Histograms(tag)
        assert [event.step for event in found] == list(range(0, len(values), 3))
        for event in found:
            true = values[event.step].numpy().ravel()
            shown = event.histogram_value
            assert (shown.num, sum(shown.bucket)) == (true.size, true.size)
            assert (shown.min, shown.max) == pytest.approx((true.min(), true.max()))
            assert (shown.sum, shown.sum_squares) == pytest.approx((true.sum(), (true**2).sum()), rel=1e-4, abs=1e-6)
            counts, _ = np.histogram(true, BINS, (true.min(), true.max()))
            assert np.abs(np.cumsum(shown.bucket)[-BINS:] - np.cumsum(counts)).max() <= 2  # rounding at the edges


def test_steps_are_those_of_the_net_without_dropout(watched: Watched) -> None:
    folder, _, keep, events = watched
    table = pd.read_csv(folder / "steps.tsv", sep="\t")
    assert table["step"].tolist() == list(range(1, len(keep.gradients) + 1, 3))
    assert (folder / "images" / "steps.png").is_file()
    shown = events.Scalars("steps/loss")
    assert [event.step for event in shown] == table["step"].tolist()
    assert [event.value for event in shown] == pytest.approx(table["loss"].tolist(), rel=1e-4)
    assert table["acc"].between(0, 1).all()


class Apart(pl.Callback):
    """Compute the loss of each batch by a copy of the net in eval mode, once the step is done."""

    def __init__(self) -> None:
        self.losses: list[float] = []

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        with torch.no_grad():
            logits = copy.deepcopy(pl_module).eval()(batch.images)
        self.losses.append(F.cross_entropy(logits, batch.labels).item())


def dropping(folder: Path, *watching: pl.Callback) -> tuple[Classifier, Apart]:
    """Train a net with much dropout and batch norm, of which nothing is frozen."""
    folder.mkdir()
    torch.manual_seed(0)
    source = Digits(digits=[0, 1, 2], train_per_class=12, embedded=True, folder=str(folder.parent))
    data = ImageClassification(
        source=source, num_classes=3, image_size=16, batch_size=6, embedded=True, normalization="half",
        augment={},
    )  # fmt: skip
    net = SimpleCNN(num_classes=3, image_size=16, channels=[8], filter_sizes=[3], dropout=0.8, batch_norm=True)
    module = Classifier(net=net, num_classes=3, optimizer=lambda groups: torch.optim.SGD(groups, lr=0.05))
    apart = Apart()
    trainer = pl.Trainer(
        max_epochs=1, accelerator="cpu", enable_checkpointing=False, enable_progress_bar=False, logger=False,
        enable_model_summary=False, default_root_dir=folder, callbacks=[Reseed(0), *watching, apart],
    )  # fmt: skip
    trainer.fit(module, data)
    return module, apart


def test_a_step_is_measured_without_dropout_and_leaves_the_net_as_it_was(tmp_path: Path) -> None:
    module, apart = dropping(tmp_path / "run", StepCurves(every=1))
    table = pd.read_csv(tmp_path / "run" / "steps.tsv", sep="\t")
    assert table["loss"].tolist() == pytest.approx(apart.losses, rel=1e-4)
    alone, _ = dropping(tmp_path / "alone")
    assert all(torch.equal(a, b) for a, b in zip(alone.state_dict().values(), module.state_dict().values()))


def test_no_number_changes(watched: Watched, tmp_path: Path) -> None:
    _, module, keep, _ = watched
    alone, kept = run(tmp_path / "run")
    assert kept.rows == keep.rows
    assert all(torch.equal(a, b) for a, b in zip(alone.state_dict().values(), module.state_dict().values()))


def test_values_of_no_width_and_no_numbers(tmp_path: Path) -> None:
    from labs.callbacks.histograms import _write

    trainer = pl.Trainer(logger=TensorBoardLogger(tmp_path, name="", version=""), accelerator="cpu", max_steps=1)
    _write(trainer, "zeros", torch.zeros(5))
    _write(trainer, "astray", torch.tensor([0.0, float("nan")]))
    trainer.loggers[0].experiment.flush()
    events = EventAccumulator(str(tmp_path)).Reload()
    assert events.Tags()["histograms"] == ["zeros"]
    assert sum(events.Histograms("zeros")[0].histogram_value.bucket) == 5


@pytest.mark.parametrize("kind", [Histograms, StepCurves])
def test_every_so_many_steps(kind: type[Any]) -> None:
    with pytest.raises(LabsError, match="every=0: expected 1 or more"):
        kind(every=0)


def test_a_run_that_goes_on_keeps_its_rows() -> None:
    steps = StepCurves(every=1)
    steps.rows = [[1, 0.5, 0.25]]
    again = StepCurves(every=1)
    again.load_state_dict(steps.state_dict())
    assert again.rows == [[1, 0.5, 0.25]]

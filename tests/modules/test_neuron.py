"""The neuron: what it learns, its gradient in closed form, and how it goes on."""

from functools import partial
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

from labs.datamodules.bits import BitBatch, Bits
from labs.modules.neuron import Neuron

pytestmark = pytest.mark.filterwarnings("ignore:The dirpath has changed")


def fit(folder: Path, activation: str, **options: Any) -> Any:
    epochs, seed, resumed = options.get("epochs", 25), options.get("seed", 0), options.get("resumed")
    torch.manual_seed(seed)
    one: Any = Neuron(optimizer=partial(torch.optim.SGD, lr=0.2), activation=activation)  # type: ignore[arg-type]
    data = Bits(count=400, test_fraction=0.2, batch_size=8, seed=seed, embedded=True)
    trainer = pl.Trainer(
        max_epochs=epochs, accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False,
        num_sanity_val_steps=0, default_root_dir=folder,
        callbacks=[ModelCheckpoint(folder, "last", save_on_train_epoch_end=True, enable_version_counter=False)],
    )  # fmt: skip
    trainer.fit(one, data, ckpt_path=resumed, weights_only=True)
    one.measured = trainer.test(one, data, verbose=False)[0]
    return one


def test_the_sigmoid_neuron_learns_not_in_a_thousand_steps(tmp_path: Path) -> None:
    one = fit(tmp_path, "sigmoid")
    assert len(one.path) == 1001
    assert one.measured["test/acc"] == 1
    assert one.measured["test/loss"] < 0.05
    weight, bias = one.measured["test/weight"], one.measured["test/bias"]
    assert weight < 0 < bias < -weight
    assert (one(torch.tensor([[0.0], [1.0]])) > 0.5).flatten().tolist() == [True, False]


def test_the_linear_neuron_finds_the_exact_solution(tmp_path: Path) -> None:
    one = fit(tmp_path, "linear", epochs=5)
    assert one.measured["test/acc"] == 1
    assert one.measured["test/loss"] < 1e-4
    assert (one.measured["test/weight"], one.measured["test/bias"]) == pytest.approx((-1, 1), abs=1e-3)


@pytest.mark.parametrize("activation", ["sigmoid", "linear"])
def test_its_gradient_is_that_of_the_closed_form(activation: str) -> None:
    """Mean over the batch of (a - y) x and (a - y): of the cross-entropy as it is, of the squared error twice."""
    one = Neuron(optimizer=torch.optim.SGD, activation=activation)  # type: ignore[arg-type]
    inputs = torch.tensor([[0.0], [1.0], [1.0], [0.0], [1.0]])
    batch = BitBatch(inputs, 1 - inputs, torch.arange(5))
    one.loss(batch).backward()
    error = (one(inputs) - batch.labels).detach() * (2 if activation == "linear" else 1)
    torch.testing.assert_close(one.neuron.weight.grad, (error * inputs).mean().reshape(1, 1))
    torch.testing.assert_close(one.neuron.bias.grad, error.mean().reshape(1))


def test_every_step_is_noted_with_the_losses_around_it(tmp_path: Path) -> None:
    one = fit(tmp_path, "sigmoid", epochs=2)
    noted = one.noted
    assert all(len(column) == 81 for column in noted.values())
    assert noted["train_loss"][0].isnan()
    assert noted["train_loss"][1:].isfinite().all()
    assert noted["weight"][-1].item() == pytest.approx(one.measured["test/weight"])
    assert noted["test_loss"][-1].item() == pytest.approx(one.measured["test/loss"])
    first = int(one.measured["test/right_from"])
    assert (noted["test_acc"][first:] == 1).all()
    assert first == 0 or noted["test_acc"][first - 1] < 1


def test_a_run_that_goes_on_ends_as_one_that_was_not_stopped(tmp_path: Path) -> None:
    whole = fit(tmp_path / "whole", "sigmoid", epochs=3)
    fit(tmp_path / "stopped", "sigmoid", epochs=1)
    again = fit(tmp_path / "on", "sigmoid", epochs=3, resumed=tmp_path / "stopped" / "last.ckpt")
    torch.testing.assert_close(torch.tensor(again.path), torch.tensor(whole.path), rtol=0, atol=0, equal_nan=True)


def test_an_output_beyond_one_is_an_answer_too(tmp_path: Path) -> None:
    """torchmetrics would take outputs outside [0, 1] for logits, and 0.4 for a yes."""
    one = Neuron(optimizer=torch.optim.SGD, activation="linear")
    one.neuron.weight.data.fill_(-1.2)
    one.neuron.bias.data.fill_(1.6)
    assert one._answers(torch.tensor([[0.0], [1.0]])).flatten().tolist() == [1, 0]

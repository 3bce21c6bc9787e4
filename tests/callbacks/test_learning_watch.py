"""`LearningWatch`: a training that fails is said as soon as it is known, once; a healthy one is left alone."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn

from labs.callbacks.learning_watch import LearningWatch
from labs.callbacks.notes import warnings_while_training
from labs.datamodules.batches import Batch

FIVE = torch.arange(5).repeat(80)  # labels of 400 images
LN5 = math.log(5)


class Training:
    """Show a watch the numbers of one epoch after the other."""

    def __init__(self, capsys: pytest.CaptureFixture[str], epochs: int = 6, labels: Tensor = FIVE) -> None:
        self.watch, self.capsys, self.labels = LearningWatch(), capsys, labels
        self.trainer: Any = SimpleNamespace(
            current_epoch=0, max_epochs=epochs, global_step=0, world_size=1, precision="32-true",
            limit_train_batches=1.0, callbacks=[self.watch], callback_metrics={},
            optimizers=[torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.5)],
        )  # fmt: skip
        self.module: Any = nn.Sequential(nn.BatchNorm2d(3))
        self.watch.on_train_start(self.trainer, self.module)

    def epoch(self, *, preds: list[int] | None = None, **metrics: float) -> str:
        """Return what the terminal says after an epoch; `train_acc` is `train/acc`."""
        found = {name.replace("_", "/", 1): torch.tensor(value) for name, value in metrics.items()}
        self.trainer.callback_metrics = found
        batch = Batch(torch.zeros(len(self.labels), 3, 2, 2), self.labels, torch.arange(len(self.labels)))
        self.watch.on_train_batch_start(self.trainer, self.module, batch, 0)
        self.trainer.global_step += 60
        outputs = {"preds": torch.tensor(preds if preds is not None else [0, 1, 2])}
        self.watch.on_validation_batch_end(self.trainer, self.module, outputs, batch, 0)
        self.watch.on_train_epoch_end(self.trainer, self.module)
        self.trainer.current_epoch += 1
        said = self.capsys.readouterr()
        assert said.out == ""
        return said.err

    def end(self) -> str:
        """Return what the terminal says at the end of training."""
        self.watch.on_train_end(self.trainer, self.module)
        return self.capsys.readouterr().err

    @property
    def warnings(self) -> list[str]:
        return warnings_while_training(self.trainer)


def test_chance_is_said_after_a_third_of_the_epochs_and_once(capsys: pytest.CaptureFixture[str]) -> None:
    run = Training(capsys)
    assert run.epoch(train_acc=0.22, train_loss=LN5) == ""
    said = run.epoch(train_acc=0.19, train_loss=LN5)
    assert "warning epoch 2: after a third of the epochs the net names 19% of its training images correctly" in said
    assert "Try lr=0.05 (this run began at 0.5) or lr=5, more epochs, or weights=pretrained." in said
    assert [run.epoch(train_acc=0.2, train_loss=LN5) for _ in range(4)] == [""] * 4
    assert run.end() == ""
    assert run.warnings == [said.strip().removeprefix("warning ")]


def test_a_net_that_has_learned_since_is_not_blamed(capsys: pytest.CaptureFixture[str]) -> None:
    run = Training(capsys)
    for accuracy in (0.2, 0.2, 0.3, 0.4, 0.5, 0.6):
        run.epoch(train_acc=accuracy, train_loss=LN5 * (1.2 - accuracy))
    assert run.end() == ""
    assert run.warnings == []


def test_a_net_that_breaks_down_later_is_told_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    run = Training(capsys)
    assert [run.epoch(train_acc=a, train_loss=LN5 if a == 0.2 else 1.0) for a in (0.3, 0.5, 0.6, 0.5, 0.2, 0.2)] == [
        ""
    ] * 6
    assert "warning at the end of training the net names 20% of its training images correctly" in run.end()


@pytest.mark.parametrize(
    ("labels", "accuracy", "loss", "limit"),
    [
        (FIVE[:20], 0.2, LN5, 1.0),  # too few images
        (FIVE, 0.31, LN5, 1.0),  # better than guessing
        (FIVE, 0.22, 0.9 * LN5, 1.0),  # the loss falls already
        (FIVE, 0.2, LN5, 2),  # a try-out
        (torch.zeros(400, dtype=torch.int64), 1.0, 0.0, 1.0),  # a single class
        (torch.tensor([0] * 360 + [1] * 40), 0.97, 0.1, 1.0),
    ],
)
def test_healthy_runs_are_left_alone(
    labels: Tensor, accuracy: float, loss: float, limit: float, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Training(capsys, labels=labels)
    run.trainer.limit_train_batches = limit
    assert [run.epoch(train_acc=accuracy, train_loss=loss, val_loss=5.0) for _ in range(6)] == [""] * 6
    assert (run.end(), run.warnings) == ("", [])


def test_always_the_most_frequent_class_is_guessing(capsys: pytest.CaptureFixture[str]) -> None:
    run = Training(capsys, epochs=2, labels=torch.tensor([0] * 360 + [1] * 40))
    assert "no better than guessing" in run.epoch(train_acc=0.9, train_loss=0.33)


def test_small_epochs_are_judged_together(capsys: pytest.CaptureFixture[str]) -> None:
    run = Training(capsys, epochs=18, labels=FIVE[:50])
    said = [run.epoch(train_acc=0.2, train_loss=LN5) for _ in range(6)]
    assert said[:5] == [""] * 5
    assert "after a third of the epochs" in said[5]


def test_the_same_answer_for_all_images_is_named_as_the_cause(capsys: pytest.CaptureFixture[str]) -> None:
    run = Training(capsys, epochs=3)
    said = run.epoch(train_acc=0.2, train_loss=LN5, preds=[3, 3, 3, 3])
    assert "gives every validation image the same answer: its units may be dead" in said


def test_a_loss_that_is_not_a_number(capsys: pytest.CaptureFixture[str]) -> None:
    """Of any method: this one has no accuracy."""
    run = Training(capsys)
    run.trainer.precision = "16-mixed"
    said = run.epoch(train_generator_loss=math.nan, train_other=math.inf)
    assert "warning epoch 1: train/generator_loss is not a finite number: training diverged." in said
    assert "Try a smaller learning rate: lr=0.05 (this run began at 0.5), or precision=fp32." in said
    assert run.epoch(train_generator_loss=math.inf) == ""


def test_a_loss_that_explodes(capsys: pytest.CaptureFixture[str]) -> None:
    run = Training(capsys)
    said = run.epoch(train_acc=0.5, train_loss=2276.0, val_loss=3.0)
    assert "train/loss is 2,276" in said
    assert "where guessing gives 1.61: training diverged. Try a smaller learning rate: lr=0.05" in said
    assert run.epoch(train_acc=0.2, train_loss=math.nan) == "", "the same cause is said once"


def test_a_loss_that_is_high_on_other_images_alone(capsys: pytest.CaptureFixture[str]) -> None:
    """Early, running averages of batch norm lag behind in healthy runs, too."""
    run = Training(capsys)
    assert run.epoch(train_acc=0.9, train_loss=0.2, val_loss=99.0) == ""
    assert "val/loss is 99, where guessing gives 1.61: the net works only on its training batches" in run.end()


@pytest.mark.parametrize("training", [True, False])
def test_batch_norm_with_single_images(training: bool, capsys: pytest.CaptureFixture[str]) -> None:
    run = Training(capsys, labels=FIVE[:1])
    run.module.train(training)
    assert ("Try batch_size=16, or freeze.batch_norm=eval." in run.epoch(train_acc=0.5)) is training


def test_what_was_found_survives_a_checkpoint(capsys: pytest.CaptureFixture[str]) -> None:
    run = Training(capsys)
    run.epoch(train_acc=0.2, train_loss=LN5)
    saved = run.watch.state_dict()
    assert "after a third" in run.epoch(train_acc=0.2, train_loss=LN5)
    run.watch = LearningWatch()
    run.watch.load_state_dict(saved)
    run.trainer.callbacks, run.trainer.current_epoch = [run.watch], 1
    assert "after a third" in run.epoch(train_acc=0.2, train_loss=LN5)
    again = LearningWatch()
    again.load_state_dict(run.watch.state_dict())
    run.watch, run.trainer.callbacks = again, [again]
    assert run.end() == ""
    assert len(run.warnings) == 1
    assert warnings_while_training(run.trainer, "printed_warnings") == [], "this process has printed nothing"
    assert cast(Any, again).rate == 0.5

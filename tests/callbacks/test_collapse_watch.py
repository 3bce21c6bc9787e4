"""`CollapseWatch`: one warning per failure, none for a bad epoch."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch

from labs.callbacks.collapse_watch import CollapseWatch

NAMES = {"coverage": "val/coverage", "discriminator_loss": "train/discriminator_loss"}


class Epochs:
    """Show a watch the numbers of one epoch after the other."""

    def __init__(self, watch: CollapseWatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.watch, self.capsys, self.epoch = watch, capsys, 0

    def __call__(self, coverage: float | None = 10, loss: float | None = 1.0) -> str:
        """Return what the terminal says after an epoch."""
        found = {"val/coverage": coverage, "train/discriminator_loss": loss}
        metrics = {name: torch.tensor(float(value)) for name, value in found.items() if value is not None}
        trainer = SimpleNamespace(callback_metrics=metrics, current_epoch=self.epoch)
        self.watch.on_train_epoch_end(cast(Any, trainer), cast(Any, None))
        self.epoch += 1
        return self.said()

    def end(self, limit_train_batches: float = 1.0) -> str:
        """Return what the terminal says when training has ended."""
        trainer = SimpleNamespace(current_epoch=self.epoch, limit_train_batches=limit_train_batches)
        self.watch.on_train_end(cast(Any, trainer), cast(Any, None))
        return self.said()

    def said(self) -> str:
        said = self.capsys.readouterr()
        assert said.out == ""
        return said.err


@pytest.fixture
def epochs(capsys: pytest.CaptureFixture[str]) -> Epochs:
    return Epochs(CollapseWatch(**NAMES, lost=2, loss=0.02, patience=2), capsys)


def test_warns_once_when_classes_stay_lost(epochs: Epochs) -> None:
    assert [epochs(3), epochs(10), epochs(9), epochs(8)] == [""] * 4
    said = epochs(7)
    assert "warning epoch 5: mode collapse? Samples cover 7 classes, 10 before" in said
    assert "optimizer.lr" in said, "it says what to type"
    assert "gan_loss=non_saturating" in said
    assert [epochs(7), epochs(1)] == ["", ""]


def test_warns_once_when_the_discriminator_has_won(epochs: Epochs) -> None:
    assert [epochs(loss=0.5), epochs(loss=0.019)] == ["", ""]
    said = epochs(loss=0.004)
    assert "warning epoch 3: the discriminator has won: its loss is 0.004" in said
    for typed in ("a higher optimizer.lr", "module.discriminator_lr", "net.ndf", "module.generator_steps=2"):
        assert typed in said
    assert epochs(loss=0.0) == ""


def test_one_bad_epoch_is_none(epochs: Epochs) -> None:
    assert epochs() == ""
    for _ in range(4):
        assert epochs(coverage=2, loss=0.001) == ""
        assert epochs() == ""


def test_classes_that_were_never_covered_are_not_lost(epochs: Epochs) -> None:
    assert [epochs(1), epochs(1), epochs(2), epochs(1), epochs(1)] == [""] * 5


def test_both_failures_at_once_are_both_named(epochs: Epochs) -> None:
    epochs()
    epochs(coverage=1, loss=0)
    said = epochs(coverage=1, loss=0)
    assert "mode collapse?" in said
    assert "has won" in said


def test_runs_without_these_numbers(epochs: Epochs) -> None:
    assert [epochs(coverage=None, loss=None) for _ in range(4)] == [""] * 4


@pytest.mark.parametrize(
    ("covered", "limit", "warns"),
    [([1, 1, 1], 1.0, True), ([1, 2, 1], 1.0, False), ([1, 1, 1], 2, False), ([], 1.0, False)],
)
def test_a_generator_that_has_not_begun_is_named_at_the_end(
    epochs: Epochs, covered: list[int], limit: float, warns: bool
) -> None:
    assert [epochs(classes) for classes in covered] == [""] * len(covered)
    said = epochs.end(limit)
    assert ("warning epoch 3: the samples have shown one class until the end" in said) == warns == bool(said)
    assert ("net.init=default" in said) == warns


def test_the_end_says_nothing_that_was_said(epochs: Epochs) -> None:
    assert "has won" in [epochs(1, loss=0), epochs(1, loss=0)][1]
    assert epochs.end() == ""


def test_counts_survive_a_checkpoint(epochs: Epochs) -> None:
    epochs(10)
    assert epochs(coverage=5, loss=0.001) == ""
    saved = epochs.watch.state_dict()
    epochs(10)  # what comes after the checkpoint does not reach into it
    epochs.watch = CollapseWatch(**NAMES, lost=2, loss=0.02, patience=2)
    epochs.watch.load_state_dict(saved)
    said = epochs(coverage=5, loss=0.001)
    assert "cover 5 classes, 10 before" in said
    assert "has won" in said

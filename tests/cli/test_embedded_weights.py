"""Weights that are made here, once: nothing else is wrong by then, they can be stopped, and say how long they take."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig

from labs.cli import embedded_weights as room
from labs.modules.classifier import Classifier

DIGITS = ("data=embedded", "weights=embedded", "trainer.max_epochs=1", "logger=none")


@pytest.fixture
def pretrained(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Note which pretraining begins instead of training."""
    begun: list[str] = []

    def instead(cfg: DictConfig, net: str, train: object) -> Path:
        room.rehearse(cfg)
        begun.append(net)
        raise KeyboardInterrupt

    monkeypatch.setattr(room, "embedded_weights", instead)
    return begun


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("freeze.patterns=[layer9]", "'layer9' matches no parameter"),
        ("freeze.patterns=['*']", "every parameter is frozen"),
        ("freeze.unfreeze={2: [layer9]}", "layer9"),
        ("module.lr_scale={layer9: 2}", "'layer9' matches no parameter"),
        ("optimizer.lr=-1", "learning rate"),
        ("scheduler.warmup_epochs=-1", "warmup_epochs"),
        ("datamodule.source.digits=[5,12]", "from 0 to 9"),
        ("callbacks.best.mode=most", "mode"),
        ("trainer.strategy=magic", "strategy"),
        ("trainer.gradient_clip_algorithm=hard", "gradient"),
        ("augment.crop_scale=[2]", "crop_scale"),
    ],
)
def test_what_is_wrong_is_found_before_the_weights_are_made(
    typed: str,
    said: str,
    pretrained: list[str],
    train: Callable[..., Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    more = ("scheduler=warmup_cosine",) if "warmup" in typed else ()
    with pytest.raises(SystemExit) as exit_:
        train(*DIGITS, *more, typed)
    assert exit_.value.code == 2
    assert said in capsys.readouterr().err.partition("error:")[2]
    assert not pretrained
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    "more",
    [("trainer.enable_progress_bar=false",), ("experiment=cub_tuned",), ("experiment=cub_full", "trainer.devices=2")],
)
def test_a_rehearsal_of_what_is_right_leaves_nothing(
    more: tuple[str, ...], pretrained: list[str], train: Callable[..., Path], tmp_path: Path
) -> None:
    with pytest.raises(SystemExit):
        train(*DIGITS, *more)
    assert pretrained == ["resnet18" if "experiment=" in more[0] else "resnet_small"]
    kept = {path.name for path in tmp_path.rglob("*") if path.is_file()} - {"metrics.json"}
    assert kept <= {"config.yaml", "overrides.yaml", "recipe.yaml", "written.txt", "run.lock"}, (
        "of a run that has begun"
    )


def test_interrupted_pretraining_goes_on_and_says_how_long_it_takes(
    train: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    upstream = 'upstream.overrides=["debug=batches", "trainer.max_epochs=4", "seed=7"]'
    typed = (*DIGITS, "debug=batches", "trainer.max_epochs=1", upstream)
    step = Classifier.training_step

    def stops(self: Classifier, batch: Any, batch_idx: int) -> Any:
        if self.current_epoch == 2:
            raise KeyboardInterrupt
        return step(self, batch, batch_idx)

    monkeypatch.setattr(Classifier, "training_step", stops)
    with pytest.raises(SystemExit) as exit_:
        train(*typed)
    assert exit_.value.code == 130
    first = capsys.readouterr().out
    monkeypatch.setattr(Classifier, "training_step", step)
    train(*typed)
    second = capsys.readouterr().out

    assert "4 epochs, made once" in first
    own = "handwritten digits 5,6,7,8,9"
    assert (first.count(own), second.count(own)) == (0, 1), "the rehearsal says nothing that the run says itself"
    lines = [line for line in first.splitlines() if line.startswith("epoch ")]
    assert [line.partition("  ")[0] for line in lines] == ["epoch 1/4", "epoch 2/4"]
    assert all(re.search(r"about \d+ s left$", line) for line in lines)
    lines = [line for line in second.splitlines() if line.startswith("epoch ")]
    assert [line.partition("  ")[0] for line in lines] == ["epoch 3/4", "epoch 4/4", "epoch 1/1"]
    assert not lines[-1].endswith("left")

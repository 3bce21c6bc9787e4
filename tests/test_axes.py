"""Every axis does what it says when it is typed, seen in what the run records."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

pytestmark = pytest.mark.usefixtures("undrawn")
QUICK = ("trainer.max_epochs=2", "logger=none", "callbacks.pictures=null", "trainer=cpu")
Train = Callable[..., Path]


def run(train: Train, *arguments: str) -> tuple[dict[str, Any], dict[str, Any], str]:
    """Return metrics.json, best.ckpt and freeze.txt of the newest run."""
    folder = max((train(*QUICK, *arguments) / "digits_layer1_frozen").iterdir())
    saved = torch.load(folder / "checkpoints" / "best.ckpt", weights_only=True)
    return json.loads((folder / "metrics.json").read_text()), saved, (folder / "freeze.txt").read_text()


def test_freeze_and_its_settings(train: Train) -> None:
    _, _, table = run(train, "weights=random", "freeze=backbone")
    assert "325" in table  # 64 x 5 + 5: the head alone
    _, saved, table = run(train, "weights=random", "freeze.batch_norm=train")
    assert saved["state_dict"]["net.layer1.0.bn1.num_batches_tracked"] > 0
    _, saved, table = run(train, "weights=random", "freeze.batch_norm=affine")
    assert saved["state_dict"]["net.layer1.0.bn1.num_batches_tracked"] == 0
    assert not torch.equal(saved["state_dict"]["net.layer1.0.bn1.weight"], torch.ones(16))
    _, _, table = run(train, "weights=random", "freeze=backbone", "freeze.unfreeze={1: [layer3, layer2]}")
    assert table.count("│ 1 ") == 2  # both parts wait for the second epoch; epochs count from 0 here


def test_weights_of_a_run_are_where_the_next_one_starts(train: Train) -> None:
    outputs = train(*QUICK, "weights=random", "seed=5")
    (first,) = (outputs / "digits_layer1_frozen").iterdir()
    start = torch.load(first / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"]
    _, saved, _ = run(train, f"weights={first}")
    assert torch.equal(saved["state_dict"]["net.layer1.0.conv1.weight"], start["net.layer1.0.conv1.weight"])
    assert not torch.equal(saved["state_dict"]["net.fc.weight"], start["net.fc.weight"])


@pytest.mark.parametrize("name", ["imagenet", "dataset", "half", "none"])
def test_normalization(name: str, train: Train) -> None:
    facts, saved, _ = run(train, "weights=random", f"normalization={name}")
    assert facts["normalization"]["name"] == name
    assert saved["ImageClassification"]["normalization"] == facts["normalization"]


def test_selecting_on_the_test_set_is_written_on_the_run(train: Train) -> None:
    facts, _, _ = run(train, "weights=random", "datamodule.validation=test")
    assert facts["labels"] == ["embedded data", "selected on test"]
    assert facts["counts"]["val"] == facts["counts"]["test"] == 836


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_precision(precision: str, train: Train) -> None:
    facts, _, _ = run(train, "weights=random", f"precision={precision}")
    assert facts["choices"]["precision"] == precision
    assert facts["status"] == "finished"


@pytest.mark.parametrize("more", [(), ("augment=crop_flip_color", "augment.views=2")])
def test_the_feature_cache_changes_no_number(more: tuple[str, ...], train: Train) -> None:
    probe = ("weights=random", "freeze=backbone", *more)
    cached, saved, _ = run(train, *probe, "feature_cache=require")
    plain, whole, _ = run(train, *probe, "feature_cache=off")
    assert cached["feature_cache"]["splits"] == ["train", "val", "test"]
    assert "feature_cache" not in plain
    assert cached["metrics"] == pytest.approx(plain["metrics"], abs=1e-5)
    assert cached["key"] == plain["key"], "it is the same recipe"
    assert saved["state_dict"].keys() == whole["state_dict"].keys()


def test_channels_last_is_the_same_arithmetic(train: Train) -> None:
    ours, _, _ = run(train, "weights=random", "trainer.max_epochs=1")
    plain, _, _ = run(train, "weights=random", "trainer.max_epochs=1", "channels_last=false")
    assert ours["metrics"]["train/loss"] == pytest.approx(plain["metrics"]["train/loss"], abs=1e-4)


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
@pytest.mark.parametrize("scheduler", ["step", "cosine", "plateau"])
def test_optimizers_and_schedulers(optimizer: str, scheduler: str, train: Train) -> None:
    facts, _, _ = run(train, "weights=random", f"optimizer={optimizer}", f"scheduler={scheduler}", "optimizer.lr=0.001")
    assert facts["status"] == "finished"


@pytest.mark.parametrize("net", ["squeezenet", "alexnet"])
def test_other_nets(net: str, train: Train) -> None:
    words = ("datamodule.image_size=64", "freeze=backbone", "module.lr_scale=null", "trainer.max_epochs=1")
    facts, _, _ = run(train, "weights=random", f"net={net}", *words)
    assert facts["choices"]["net"] == net


@pytest.mark.slow
def test_the_recipe_of_an_experiment_can_be_outranked_by_a_word(train: Train) -> None:
    """The trap: values that an experiment pins outrank a group on the command line, so experiments pin none of them."""
    from test_experiments import EXPERIMENTS, composed

    for experiment in EXPERIMENTS:
        cfg = composed(f"experiment={experiment}", "data=embedded", "optimizer=adamw", "scheduler=none", "freeze=none")
        assert dict(cfg.module.optimizer) == dict(composed("optimizer=adamw").module.optimizer), experiment
        assert cfg.module.scheduler is None, experiment
        assert cfg.callbacks.freeze.patterns == [], experiment


def test_one_batch_can_be_learnt_by_heart(train: Train) -> None:
    outputs = train("weights=random", "debug=overfit", "logger=none", "callbacks.pictures=null")
    (folder,) = (outputs / "digits_layer1_frozen").iterdir()
    last = pd.read_csv(folder / "log.tsv", sep="\t").iloc[-1]
    assert last["train/acc"] == 1
    assert last["train/loss"] < 0.05


def test_stopping_early_and_short_checks(train: Train) -> None:
    facts, _, _ = run(train, "weights=random", "debug=batches", "trainer.max_epochs=1")
    assert facts["epochs"] == 1
    assert (train("weights=random", "trainer.fast_dev_run=true") / "digits_layer1_frozen").is_dir()


def test_no_progress_is_shown_where_none_is_wanted(train: Train, capsys: pytest.CaptureFixture[str]) -> None:
    run(train, "weights=random", "trainer.enable_progress_bar=false")
    assert "epoch 1/2" not in capsys.readouterr().out

"""A run that is killed and resumed ends with the numbers of one that was not."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pandas as pd
import pytest
import torch
import yaml
from bad_checkpoints import bad_checkpoints
from lightning.pytorch.callbacks import ModelCheckpoint
from project import ROOT

pytestmark = pytest.mark.usefixtures("undrawn")
RECIPE = [
    "trainer=cpu",
    "trainer.max_epochs=12",
    "scheduler=warmup_cosine",
    "freeze.unfreeze={3: [layer1]}",
    "augment=crop_flip",
    "callbacks.pictures=null",
    "weights=random",
    "logger=none",
]


def results(run_dir: Path) -> tuple[pd.DataFrame, dict[str, float], pd.DataFrame]:
    log = pd.read_csv(run_dir / "log.tsv", sep="\t").drop(columns="seconds")
    metrics = json.loads((run_dir / "metrics.json").read_text())["metrics"]
    return log, metrics, pd.read_csv(run_dir / "predictions.csv")


def last_epoch(run_dir: Path) -> int:
    log = run_dir / "log.tsv"
    return len(pd.read_csv(log, sep="\t")) if log.is_file() else 0


@pytest.mark.slow
def test_killed_and_resumed_equals_uninterrupted(train: Callable[..., Path], data_folder: Path, tmp_path: Path) -> None:
    (whole,) = (train(*RECIPE) / "digits_layer1_frozen").iterdir()

    # the same, in a process of its own that is killed without warning after a few epochs
    killed = tmp_path / "killed"
    command = [sys.executable, str(ROOT / "train.py"), *RECIPE, f"paths.data={data_folder}", f"hydra.run.dir={killed}"]
    environment = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}
    process = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while last_epoch(killed) < 5 and time.monotonic() < deadline:
        assert process.poll() is None, "the run ended before it could be killed"
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert json.loads((killed / "metrics.json").read_text())["status"] == "running"
    assert not (killed / "predictions.csv").exists()

    train(f"resume={killed}")
    facts = json.loads((killed / "metrics.json").read_text())
    assert facts["status"] == "finished"
    for resumed, uninterrupted in zip(results(killed), results(whole), strict=True):
        if isinstance(resumed, dict):
            assert resumed == uninterrupted
        else:
            pd.testing.assert_frame_equal(resumed, uninterrupted, check_exact=True)
    tensors = [torch.load(d / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"] for d in (killed, whole)]
    assert all(torch.equal(tensors[0][name], tensors[1][name]) for name in tensors[0])


def test_a_run_stopped_in_its_test_is_tested_again(train: Callable[..., Path], tmp_path: Path) -> None:
    quick = [*RECIPE, "trainer.max_epochs=2", "trainer.limit_train_batches=1", "trainer.limit_val_batches=1"]
    train(*quick, "hydra.run.dir=whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pl.Trainer, "test", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(SystemExit):
            train(*quick, "hydra.run.dir=stopped")
    train(*quick, "hydra.run.dir=stopped")  # the same command goes on by itself
    facts = [json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("whole", "stopped")]
    assert [f["status"] for f in facts] == ["finished", "finished"]
    assert facts[0]["metrics"] == facts[1]["metrics"]
    assert facts[0]["epochs"] == facts[1]["epochs"] == 2
    assert facts[0]["counts"] == facts[1]["counts"]


def test_a_method_of_steps_keeps_a_typed_number_of_epochs(train: Callable[..., Path], tmp_path: Path) -> None:
    """A try-out that was killed in its test took all steps of the experiment when it went on."""
    words = ["experiment=descent_quartic", "trainer.max_epochs=2", "logger=none", "hydra.run.dir=run"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pl.Trainer, "test", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(SystemExit):
            train(*words)
    train(*words)
    assert last_epoch(tmp_path / "run") == 2


def test_nobody_goes_on_from_the_checkpoint_of_another_recipe(train: Callable[..., Path], tmp_path: Path) -> None:
    """A run with other settings in the same directory is stopped after its first epoch, before it has saved."""
    quick = [*RECIPE, "trainer.max_epochs=2"]
    changed = [*quick, "optimizer.lr=0.3"]
    train(*changed, "hydra.run.dir=whole")
    train(*quick, "hydra.run.dir=reused")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ModelCheckpoint, "on_train_epoch_end", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(SystemExit):
            train(*changed, "hydra.run.dir=reused")
    signal.signal(signal.SIGINT, signal.default_int_handler)
    train(*changed, "hydra.run.dir=reused")
    whole, reused = (json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("whole", "reused"))
    assert reused["metrics"] == whole["metrics"]


def test_a_last_checkpoint_that_cannot_be_gone_on_with_is_one_line(
    train: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(*RECIPE, "trainer.max_epochs=1", "hydra.run.dir=run")
    file = tmp_path / "run" / "checkpoints" / "last.ckpt"
    whole, made = file.read_bytes(), tmp_path / "made"
    saved = torch.load(file, weights_only=True)
    renamed = {f"other.{name}": tensor for name, tensor in saved["state_dict"].items()}
    odd = {key: {**state, "recipe": 5} if "recipe" in state else state for key, state in saved["callbacks"].items()}
    logs = {key: {**state, "log": [{"epoch": "x"}]} if "log" in state else state for key, state in odd.items()}
    changes = {
        "net": {"state_dict": renamed}, "optimizer": {"optimizer_states": None}, "epoch": {},
        "states": {"optimizer_states": "x"}, "log": {"callbacks": logs},
    }  # fmt: skip
    for name, change in changes.items():
        torch.save({n: v for n, v in (saved | change).items() if v is not None and n != name}, tmp_path / f"{name}.pt")
    bad = {**bad_checkpoints(whole, made), **{file.stem: file.read_bytes() for file in tmp_path.glob("*.pt")}}
    assert len(bad) == 13
    for name, content in bad.items():
        file.write_bytes(content)
        with pytest.raises(SystemExit) as exit_:
            train("resume=run", "trainer.max_epochs=2")
        message = capsys.readouterr().err.partition("error: ")[2].strip()
        assert exit_.value.code == 2, name
        assert "run/checkpoints/last.ckpt" in message, name
        assert "rerun=true" in message, name
        assert "\n" not in message, name
        assert not made.exists()
    assert json.loads((tmp_path / "run" / "metrics.json").read_text(encoding="utf-8"))["status"] == "finished"
    file.write_bytes(whole)
    train("resume=run", "trainer.max_epochs=2")
    assert last_epoch(tmp_path / "run") == 2


def test_a_best_checkpoint_that_holds_code_is_not_tested(
    train: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(*RECIPE, "trainer.max_epochs=1", "hydra.run.dir=run")
    file = tmp_path / "run" / "checkpoints" / "best.ckpt"
    file.write_bytes(bad_checkpoints(file.read_bytes(), tmp_path / "made")["code"])
    (tmp_path / "run" / "metrics.json").unlink()
    with pytest.raises(SystemExit) as exit_:
        train("resume=run")
    assert exit_.value.code == 2
    assert "best.ckpt cannot be read as a checkpoint: it refers to posix.mkdir" in capsys.readouterr().err
    assert not (tmp_path / "made").exists()


def test_what_is_left_after_the_last_checkpoint_is_gone_is_kept(
    train: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It was trained again from the first epoch, over its results, without a word."""
    train(*RECIPE, "trainer.max_epochs=1", "hydra.run.dir=run")
    (tmp_path / "run" / "checkpoints" / "last.ckpt").unlink()
    before = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    with pytest.raises(SystemExit):
        train("resume=run", "trainer.max_epochs=2")
    assert "nothing is left to go on from. Type retry=run rerun=true" in capsys.readouterr().err
    assert before == {path: path.read_bytes() for path in before}


@pytest.mark.parametrize("key", ["resume", "retry"])
@pytest.mark.parametrize("where", ["callbacks", "logger"])
def test_a_handed_over_run_that_goes_on_runs_no_code(
    where: str, key: str, train: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "run" / ".hydra" / "overrides.yaml"
    recipe.parent.mkdir(parents=True)
    words = ["weights=random", f"++{where}.e._target_=os.mkdir"]
    words += [f"++{where}.e.path={tmp_path / 'made'}"] if where == "callbacks" else []  # else refused for that alone
    recipe.write_text(yaml.safe_dump(words), encoding="utf-8")
    recipe.with_name("recipe.yaml").touch()
    with pytest.raises(SystemExit):
        train(f"{key}=run")
    assert f"its recipe would call os.mkdir ({where}.e._target_)" in capsys.readouterr().err
    assert not (tmp_path / "made").exists()


def test_the_record_of_a_run_can_be_written_again(train: Callable[..., Path], tmp_path: Path) -> None:
    train(*RECIPE, "trainer.max_epochs=1", "hydra.run.dir=run")
    file = tmp_path / "run" / "metrics.json"
    before = json.loads(file.read_text(encoding="utf-8"))
    file.write_text('{"format": 2, "stat', encoding="utf-8")
    train("resume=run")
    after = json.loads(file.read_text(encoding="utf-8"))
    for name in ("status", "labels", "metrics", "epochs", "key"):
        assert after[name] == before[name]


def test_same_command_same_numbers_and_another_seed_others(train: Callable[..., Path]) -> None:
    quick = [*RECIPE, "trainer.max_epochs=2"]
    train(*quick)
    train(*quick)
    outputs = train(*quick, "seed=1")
    runs = sorted((outputs / "digits_layer1_frozen").iterdir())
    first, second, other = (results(run) for run in runs)
    pd.testing.assert_frame_equal(first[0], second[0], check_exact=True)
    assert first[1] == second[1]
    assert first[1] != other[1]


def test_resume_refuses_other_data(train: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    (run,) = (train(*RECIPE, "trainer.max_epochs=1") / "digits_layer1_frozen").iterdir()
    before = (run / "log.tsv").read_text()
    with pytest.raises(SystemExit) as exit_:
        train(f"resume={run}", "datamodule.split_seed=7", "trainer.max_epochs=2")
    assert exit_.value.code == 2
    assert "other data (split_hash" in capsys.readouterr().err
    assert (run / "log.tsv").read_text() == before


@pytest.mark.parametrize("scheduler", ["plateau", "step", "cosine"])
def test_a_longer_run_goes_on_with_the_schedule(scheduler: str, train: Callable[..., Path], tmp_path: Path) -> None:
    recipe = [
        *("weights=random", "trainer=cpu", "logger=none", "callbacks.pictures=null", f"scheduler={scheduler}"),
        *("optimizer.lr=0.3", "trainer.max_epochs=6"),
        *(["scheduler.patience=0", "scheduler.factor=0.5"] if scheduler == "plateau" else []),
        *(["scheduler.step_size=2"] if scheduler == "step" else []),
    ]
    train(*recipe, "hydra.run.dir=whole")
    with pytest.MonkeyPatch.context() as patch:
        _interrupt_in_epoch(patch, 3)
        with pytest.raises(SystemExit):
            train(*recipe, "hydra.run.dir=stopped")
    signal.signal(signal.SIGINT, signal.default_int_handler)  # Lightning stops listening to Ctrl-C at the first one
    assert json.loads((tmp_path / "stopped" / "metrics.json").read_text())["status"] == "interrupted"
    train("resume=stopped")
    whole, stopped = results(tmp_path / "whole"), results(tmp_path / "stopped")
    pd.testing.assert_frame_equal(stopped[0], whole[0], check_exact=True)
    assert whole[0]["lr"].nunique() > 1
    assert whole[0]["lr"][0] == pytest.approx(0.3), "the rate of the epoch, not of the next one"


EARLY = "+callbacks.early_stopping={_target_:lightning.pytorch.callbacks.EarlyStopping,monitor:'val/loss',patience:3}"


def test_early_stopping_keeps_the_best_weights_and_its_patience(train: Callable[..., Path], tmp_path: Path) -> None:
    """Starter codes keep a second name for the last weights. A run that is stopped in between waits no longer."""
    recipe = ["weights=random", "trainer=cpu", "logger=none", "callbacks.pictures=null", "optimizer.lr=0.3", EARLY]
    train(*recipe, "trainer.max_epochs=30", "hydra.run.dir=whole")
    facts = json.loads((tmp_path / "whole" / "metrics.json").read_text())
    assert facts["epochs"] == facts["best_epoch"] + 3 < 30
    assert "stopped early" not in facts["labels"], "by a rule of the recipe"
    saved = {
        name: torch.load(tmp_path / f"whole/checkpoints/{name}.ckpt", weights_only=True) for name in ("best", "last")
    }
    assert (saved["best"]["epoch"] + 1, saved["last"]["epoch"] + 1) == (facts["best_epoch"], facts["epochs"])
    weights = [saved[name]["state_dict"]["net.fc.weight"] for name in ("best", "last")]
    assert not torch.equal(*weights)
    with pytest.MonkeyPatch.context() as patch:
        _interrupt_in_epoch(patch, facts["best_epoch"] + 1)  # with a part of its patience left
        with pytest.raises(SystemExit):
            train(*recipe, "trainer.max_epochs=30", "hydra.run.dir=stopped")
    signal.signal(signal.SIGINT, signal.default_int_handler)
    train("resume=stopped")
    whole, stopped = results(tmp_path / "whole"), results(tmp_path / "stopped")
    pd.testing.assert_frame_equal(stopped[0], whole[0], check_exact=True)
    assert stopped[1] == whole[1]


SMALL = ["weights=random", "trainer=cpu", "logger=none", "callbacks.pictures=null", "optimizer.lr=0.1"]


@pytest.mark.parametrize("scheduler", ["cosine", "warmup_cosine", "inverse_decay", "none"])
def test_a_run_made_longer_has_the_rates_of_one_that_long(
    scheduler: str, train: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = [*SMALL, f"scheduler={scheduler}"]
    train(*recipe, "trainer.max_epochs=6", "hydra.run.dir=whole")
    train(*recipe, "trainer.max_epochs=3", "hydra.run.dir=longer")
    capsys.readouterr()
    train("resume=longer", "trainer.max_epochs=6")
    whole, longer = (results(tmp_path / name)[0]["lr"].tolist() for name in ("whole", "longer"))
    assert longer[3:] == whole[3:]
    said = "settings changed after epoch 3"
    assert f"{said.capitalize()}: " in capsys.readouterr().out
    facts = json.loads((tmp_path / "longer" / "metrics.json").read_text())
    assert facts["labels"] == ["embedded data", said], "no row of a run that was this long from the start"
    assert facts["settings"]["trainer.max_epochs"] == 6


def test_a_setting_typed_for_a_resumed_run_is_in_force(train: Callable[..., Path], tmp_path: Path) -> None:
    train(*SMALL, "trainer.max_epochs=1", "hydra.run.dir=run")
    for epochs, lr in ((2, 0.02), (3, 0.01)):
        train("resume=run", f"trainer.max_epochs={epochs}", f"optimizer.lr={lr}", "optimizer.weight_decay=0.5")
    assert results(tmp_path / "run")[0]["lr"].tolist() == [0.1, 0.02, 0.01]
    saved = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)
    assert {group["weight_decay"] for group in saved["optimizer_states"][0]["param_groups"]} == {0.5}
    facts = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert facts["labels"] == ["embedded data", "settings changed after epoch 1, 2"]


def test_a_plateau_goes_on_from_what_it_has_seen(train: Callable[..., Path], tmp_path: Path) -> None:
    plateau = ["scheduler=plateau", "scheduler.patience=0", "scheduler.factor=0.5", "+scheduler.threshold=99"]
    train(*SMALL, *plateau, "trainer.max_epochs=3", "hydra.run.dir=run")
    before = results(tmp_path / "run")[0]["lr"].tolist()
    train("resume=run", "trainer.max_epochs=5", "scheduler.factor=0.1")
    rates = results(tmp_path / "run")[0]["lr"].tolist()
    assert rates == pytest.approx([*before, before[-1] / 2, before[-1] / 20])


@pytest.mark.parametrize("typed", ["optimizer=adam", "freeze=none", "module.lr_scale=null"])
def test_what_cannot_go_on_is_said(
    typed: str, train: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(*SMALL, "trainer.max_epochs=1", "hydra.run.dir=run")
    before = (tmp_path / "run" / "metrics.json").read_text()
    with pytest.raises(SystemExit):
        train("resume=run", "trainer.max_epochs=2", typed)
    assert "another optimizer, or trained other parameters" in capsys.readouterr().err
    assert (tmp_path / "run" / "metrics.json").read_text() == before


def test_a_run_is_not_made_shorter_than_it_is(
    train: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its numbers, of two epochs, stood as those of one."""
    train(*SMALL, "trainer.max_epochs=2", "hydra.run.dir=run")
    before = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    with pytest.raises(SystemExit):
        train("resume=run", "trainer.max_epochs=1")
    assert "the run has already trained 2 epochs" in capsys.readouterr().err
    assert before == {path: path.read_bytes() for path in before}


def test_a_moved_run_keeps_its_best_epoch(train: Callable[..., Path], tmp_path: Path) -> None:
    """Lightning forgets the best score where the folder is another, and keeps the path of the old one."""
    recipe = [*SMALL, "trainer.max_epochs=6"]
    train(*recipe, "hydra.run.dir=whole")
    with pytest.MonkeyPatch.context() as patch:
        _interrupt_in_epoch(patch, 5)
        with pytest.raises(SystemExit):
            train(*recipe, "hydra.run.dir=first")
    signal.signal(signal.SIGINT, signal.default_int_handler)
    shutil.copytree(tmp_path / "first", tmp_path / "copied")
    (tmp_path / "first").rename(tmp_path / "moved")
    for name in ("moved", "copied"):
        train(f"resume={name}")
        facts = [json.loads((tmp_path / run / "metrics.json").read_text()) for run in ("whole", name)]
        assert facts[0]["best_epoch"] == facts[1]["best_epoch"]
        assert facts[0]["metrics"] == facts[1]["metrics"]
        saved = torch.load(tmp_path / name / "checkpoints" / "best.ckpt", weights_only=True)
        assert saved["epoch"] + 1 == facts[1]["best_epoch"]


def test_a_moved_run_is_tested_with_its_own_weights(
    train: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where it was first, there is another run now."""
    recipe = [*SMALL, "trainer.max_epochs=2"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pl.Trainer, "test", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(SystemExit):
            train(*recipe, "hydra.run.dir=here")
    (tmp_path / "here").rename(tmp_path / "away")
    train(*recipe, "seed=1", "hydra.run.dir=here")
    train("resume=away")
    train(*recipe, "hydra.run.dir=whole")
    whole, away = (results(tmp_path / name) for name in ("whole", "away"))
    assert away[1] == whole[1]
    pd.testing.assert_frame_equal(away[2], whole[2], check_exact=True)
    (tmp_path / "away" / "checkpoints" / "best.ckpt").unlink()
    with pytest.raises(SystemExit):
        train("resume=away", "trainer.check_val_every_n_epoch=2")
    assert "best.ckpt is missing, but the test needs it" in capsys.readouterr().err


def test_a_try_out_does_not_replace_a_whole_run(
    train: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(*SMALL, "trainer.max_epochs=1", "hydra.run.dir=run")
    before = results(tmp_path / "run")
    for command in (["resume=run"], [*SMALL, "hydra.run.dir=run"]):
        with pytest.raises(SystemExit):
            train(*command, "debug=batches")
        assert "trainer.limit_test_batches=2 would replace its results" in capsys.readouterr().err
    assert results(tmp_path / "run")[1] == before[1]


def _interrupt_in_epoch(patch: pytest.MonkeyPatch, epoch: int) -> None:
    """Stop the run at the start of an epoch (from 0), as Ctrl-C does."""
    from labs.callbacks.reseed import Reseed

    original = Reseed.on_train_epoch_start

    def start(self: Reseed, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        if trainer.current_epoch == epoch:
            raise KeyboardInterrupt
        original(self, trainer, module)

    patch.setattr(Reseed, "on_train_epoch_start", start)


def test_a_repeated_run_that_fails_leaves_the_earlier_results(train: Callable[..., Path], tmp_path: Path) -> None:
    quick = [*RECIPE, "trainer.max_epochs=1", "hydra.run.dir=again"]
    train(*quick)
    before = {name: (tmp_path / "again" / name).read_bytes() for name in ("metrics.json", "log.tsv", "predictions.csv")}
    with pytest.raises(SystemExit):
        train(*quick, "datamodule.batch_size=1", "net=resnet18", "freeze.unfreeze=null", "module.lr_scale=null")
    for name, content in before.items():
        assert (tmp_path / "again" / name).read_bytes() == content


def test_a_mistake_never_touches_files_that_are_not_the_runs(train: Callable[..., Path], tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / "thesis.tex").write_text("years of work")
    with pytest.raises(SystemExit):
        train("weights=random", f"hydra.run.dir={own}", "trainer.max_epochs=abc")
    assert [path.name for path in own.iterdir()] == ["thesis.tex"]


GAN = [
    "experiment=dcgan_mnist",
    "data=embedded",
    "net.ngf=4",
    "net.ndf=4",
    "module.ema=0.9",
    "datamodule.passes=1",
    "scheduler=step",
    "scheduler.step_size=2",
    "logger=none",
]


@pytest.mark.slow
def test_a_gan_resumes_exactly(train: Callable[..., Path], tmp_path: Path) -> None:
    """Both nets, both optimizers and schedules, the average, the counters, the latents and what was written."""
    train(*GAN, "scheduler.step_size=1", "trainer.max_epochs=2", "hydra.run.dir=whole")
    train(*GAN, "scheduler.step_size=1", "trainer.max_epochs=1", "hydra.run.dir=stopped")
    train("resume=stopped", "trainer.max_epochs=2")
    whole, stopped = (
        torch.load(tmp_path / name / "checkpoints" / "last.ckpt", weights_only=True) for name in ("whole", "stopped")
    )
    for name in ("state_dict", "optimizer_states", "lr_schedulers", "gan"):
        assert_same(whole[name], stopped[name])
    logs = [pd.read_csv(tmp_path / name / "log.tsv", sep="\t") for name in ("whole", "stopped")]
    pd.testing.assert_frame_equal(*(log.drop(columns="seconds") for log in logs), check_exact=True)
    for file in ("losses.tsv", "quality.json", "images/samples/000134.png", "images/interpolation_linear.png"):
        assert (tmp_path / "whole" / file).read_bytes() == (tmp_path / "stopped" / file).read_bytes(), file
    metrics = [json.loads((tmp_path / name / "metrics.json").read_text())["metrics"] for name in ("whole", "stopped")]
    assert metrics[0] == metrics[1]
    assert metrics[0]["test/fid_start"] > 0


DOMAINS = [
    *("data=embedded", "logger=none", "trainer=cpu", "trainer.max_epochs=4", "datamodule.image_size=16"),
    *("datamodule.batch_size=128", "net.batch_norm=true", "net.dropout=0.2"),
    *("module.batch_norm=separate", "optimizer.lr=0.05", "callbacks.pictures=null", "callbacks.features=null"),
]
ADAPTING = {
    "dann": ["experiment=dann_mnistm"],
    "pseudo_label": [
        *("experiment=pseudo_label_mnistm", "reversal=schedule", "module.rounds=1", "module.threshold=0.12"),
        "module.restart=true",
    ],
}


@pytest.mark.parametrize(("method", "epochs"), [("dann", 1), ("pseudo_label", 3)])
def test_domain_adaptation_resumes_exactly(
    method: str, epochs: int, train: Callable[..., Path], tmp_path: Path
) -> None:
    """Weights, statistics of both domains, optimizer, lambda, rate, labels of the round, and what was chosen.

    The pseudo-labels are given at the start of the third epoch, and are kept in the checkpoint of the fourth.
    """
    train(*ADAPTING[method], *DOMAINS, "hydra.run.dir=whole")
    with pytest.MonkeyPatch.context() as patch:
        _interrupt_in_epoch(patch, epochs)
        with pytest.raises(SystemExit):
            train(*ADAPTING[method], *DOMAINS, "hydra.run.dir=stopped")
    signal.signal(signal.SIGINT, signal.default_int_handler)
    assert last_epoch(tmp_path / "stopped") == epochs
    train("resume=stopped")
    runs = (tmp_path / "whole", tmp_path / "stopped")
    for name in ("last", "by_source_acc", "by_target_entropy", "by_target_density", "by_oracle"):
        one, other = (torch.load(run / "checkpoints" / f"{name}.ckpt", weights_only=True) for run in runs)
        keys = [key for key in ("state_dict", "optimizer_states", "lr_schedulers", "pseudo_labels") if key in one]
        assert ("pseudo_labels" in keys) == (method == "pseudo_label")
        for key in ("epoch", "global_step", *keys):
            assert_same(one[key], other[key])
    (log, metrics, predictions), resumed = (results(run) for run in runs)
    pd.testing.assert_frame_equal(resumed[0], log, check_exact=True)
    assert resumed[1] == metrics
    pd.testing.assert_frame_equal(resumed[2], predictions, check_exact=True)
    assert (runs[0] / "selections.tsv").read_bytes() == (runs[1] / "selections.tsv").read_bytes()
    if method == "pseudo_label":
        assert log["train/pseudo_share"].notna().tolist() == [False, False, True, True]
        assert log["train/pseudo_share"].iloc[-1] > 0


@pytest.mark.slow
def test_a_refused_resume_leaves_the_recipe(train: Callable[..., Path], tmp_path: Path) -> None:
    train(*GAN, "trainer.max_epochs=1", "hydra.run.dir=run")
    before = {file.name: file.read_bytes() for file in (tmp_path / "run" / ".hydra").glob("*.yaml")}
    with pytest.raises(SystemExit):
        train("resume=run", "net.ngf=6", "trainer.max_epochs=2")
    assert {file.name: file.read_bytes() for file in (tmp_path / "run" / ".hydra").glob("*.yaml")} == before
    train("resume=run", "trainer.max_epochs=2")
    assert last_epoch(tmp_path / "run") == 2


def assert_same(one: Any, other: Any) -> None:
    """Compare nested containers of tensors and numbers exactly."""
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other)
    elif isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_same(one[key], other[key])
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(other)
        for pair in zip(one, other, strict=True):
            assert_same(*pair)
    else:
        assert one == other

"""What a run directory may decide: it runs no code and chooses no places."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest
from project import ROOT
from test_experiments import composed

from labs import LabsError
from labs.cli.check import check_recipe
from labs.runs.trusted import check_targets, is_allowed, links_out_of, named_in_conf, needed_again

TARGETS = {
    target
    for path in (ROOT / "conf").rglob("*.yaml")
    for target in re.findall(r"_target_: *([\w.]+)", path.read_text(encoding="utf-8"))
}
HARMFUL = [
    "os.system", "builtins.eval", "subprocess.Popen", "pandas.read_pickle", "torch.load", "torch.hub.load",
    "functools.partial", "hydra.utils.get_method", "hydra.utils.instantiate", "importlib.import_module",
    # through the imports of modules that are used, and functions of ours that nobody should call
    "labs.storage.files.os.system", "labs.storage.files.write_text", "labs.runs.load.load_run",
    "torch.optim.sgd.torch.hub.load", "torch.optim.torch.hub.load", "lightning.pytorch.callbacks.os.system",
    # what is there, but no class of the kind
    "torch.optim.lr_scheduler.Any", "torch.optim.lr_scheduler.partial", "torch.optim.Optimizer.__init__",
    "lightning.pytorch.callbacks.model_checkpoint.os.system", "lightning.pytorch.loggers.CometLogger",
    "torch.optim.", ".", "", None, 5, ["torch.optim.SGD"],
]  # fmt: skip


@pytest.mark.parametrize("target", sorted(TARGETS - {"data"}))
def test_what_conf_names_is_built(target: str) -> None:
    assert is_allowed(target) == ("." in target)


@pytest.mark.parametrize(
    "target",
    [
        "torch.optim.RMSprop",
        "torch.optim.lr_scheduler.ExponentialLR",
        "lightning.pytorch.callbacks.StochasticWeightAveraging",
    ],
)
def test_optimizers_schedules_and_callbacks_of_the_libraries_are_built(target: str) -> None:
    assert target not in named_in_conf()
    assert is_allowed(target)


@pytest.mark.parametrize("target", HARMFUL, ids=str)
def test_nothing_else_is(target: Any) -> None:
    assert not is_allowed(target)


@pytest.mark.parametrize(
    ("node", "place"),
    [
        ({"_target_": "os.system"}, "module._target_"),
        ({"optimizer": {"_target_": "os.system", "_partial_": True}}, "module.optimizer._target_"),
        ({"_target_": "torch.optim.SGD", "params": [{"_target_": "os.system"}]}, "module.params[0]._target_"),
        ({"a": [[{"b": {"_target_": "os.system"}}]]}, "module.a[0][0].b._target_"),
    ],
)
def test_a_target_is_found_wherever_it_hides(node: dict[str, Any], place: str) -> None:
    with pytest.raises(LabsError, match=re.escape(f"retry=run: its recipe would call os.system ({place})")):
        check_targets(node, "module", "retry=run")


@pytest.mark.parametrize(
    "word",
    [
        "+callbacks.e._target_=made_by_test_trusted.Callback",
        "+logger.e._target_=made_by_test_trusted.Logger",
        "++module.optimizer={_target_: made_by_test_trusted.load}",
        "++trainer.strategy={_target_: made_by_test_trusted.Plugin}",
        "+datamodule.x={_target_: '${oc.env:OF_TEST_TRUSTED}'}",
    ],
)
def test_nothing_that_a_directory_names_is_imported(word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "made_by_test_trusted.py").write_text("raise SystemExit('it ran')", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("OF_TEST_TRUSTED", "made_by_test_trusted.Data")
    with pytest.raises(LabsError, match=r"would call made_by_test_trusted\.\w+ .*add trust=true\.$"):
        check_recipe(composed("experiment=digits_layer1_frozen", "weights=random", "trust=false", word))
    assert "made_by_test_trusted" not in sys.modules


def test_arguments_without_names_are_refused() -> None:
    """The first one of this callback is where it writes."""
    node = {"e": {"_target_": "lightning.pytorch.callbacks.OnExceptionCheckpoint", "_args_": ["/elsewhere"]}}
    with pytest.raises(LabsError, match=r"its recipe has callbacks\.e\._args_; settings have names"):
        check_targets(node, "callbacks", "resume=run")


def test_links_out_of_a_directory_are_found(tmp_path: Path) -> None:
    run, elsewhere = tmp_path / "run", tmp_path / "elsewhere"
    run.mkdir()
    elsewhere.mkdir()
    (run / "inside").symlink_to("metrics.json")
    assert links_out_of(run) == []
    (run / "checkpoints").symlink_to(elsewhere)
    assert links_out_of(run) == [run / "checkpoints"]


@pytest.mark.parametrize(
    ("command", "again"),
    [
        ("python train.py experiment=cub_full seed=1", ""),
        ("python train.py seed=1 paths.data=/scratch/data", " paths.data=/scratch/data"),
        ("python train.py 'paths.data=/my data' seed=1", " 'paths.data=/my data'"),
        ("python train.py 'optimizer.lr=${oc.env:LR}'", " 'optimizer.lr=${oc.env:LR}'"),
        ("python train.py +callbacks.e._target_=mine.Callback", " trust=true"),
    ],
)
def test_what_a_run_needs_again_is_said(command: str, again: str) -> None:
    assert needed_again(command) == again

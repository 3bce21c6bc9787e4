"""What is typed reaches the recipe as it was typed."""

from __future__ import annotations

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf
from project import ROOT

from labs.cli.overrides import expand
from labs.cli.resolvers import register_resolvers

HOME = str(Path.home())


@pytest.mark.parametrize(
    ("typed", "key", "value"),
    [
        ("paths.outputs=2026_11", "paths.outputs", "2026_11"),  # 202611 to Hydra
        ("paths.outputs='2026_11'", "paths.outputs", "2026_11"),
        ("paths.outputs=1e5", "paths.outputs", "1e5"),
        ("paths.outputs=010", "paths.outputs", "010"),
        ("paths.outputs=null", "paths.outputs", "null"),
        ("paths.data=a=b, c", "paths.data", "a=b, c"),
        ("paths.data=it's", "paths.data", "it's"),
        ("paths.data=~/data", "paths.data", f"{HOME}/data"),
        ("paths.data='~/data'", "paths.data", f"{HOME}/data"),
        ("paths.data=~", "paths.data", HOME),
        ("module.net.weights=~/a.ckpt", "module.net.weights", f"{HOME}/a.ckpt"),
        ("weights=~/runs/first", "module.net.weights", f"{HOME}/runs/first"),
        ("datamodule.source.path=a=b, c", "datamodule.source.path", "a=b, c"),
        ("datamodule.source.path='a, b'", "datamodule.source.path", "a, b"),
        ("datamodule.source.path=it's\\", "datamodule.source.path", "it's\\"),
        ("datamodule.source.path=2026_11", "datamodule.source.path", "2026_11"),
        ("datamodule.source.path=~/photos", "datamodule.source.path", f"{HOME}/photos"),
        ("seed=1_1_1", "seed", "1_1_1"),
        ("seed=11", "seed", 11),
        ("module.num_classes=1_000", "module.num_classes", "1_000"),
        ("datamodule.source.digits=[1_0, 2]", "datamodule.source.digits", ["1_0", 2]),
        ("callbacks.freeze.patterns=['a_1','b, 1_0']", "callbacks.freeze.patterns", ["a_1", "b, 1_0"]),
        ("optimizer.lr=1e-3", "module.optimizer.lr", 1e-3),
        ("optimizer.weight_decay=-1_0.5e1", "module.optimizer.weight_decay", "-1_0.5e1"),
    ],
)
def test_what_is_typed_is_what_is_set(typed: str, key: str, value: object) -> None:
    GlobalHydra.instance().clear()
    register_resolvers()
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        choices = ["datamodule=folder"] if key.startswith("datamodule.source.path") else []
        found = OmegaConf.select(compose("train", [*choices, *expand([typed])]), key)
    assert (OmegaConf.to_container(found) if OmegaConf.is_config(found) else found) == value


@pytest.mark.parametrize("typed", ["hydra.run.dir=2026_12", "hydra.sweep.dir=2026_12"])
def test_a_directory_keeps_its_name(typed: str) -> None:
    key = typed.partition("=")[0]
    assert expand([typed]) == [f"{key}='2026_12'"]


def test_what_a_folder_refers_to_still_counts() -> None:
    assert expand(["hydra.run.dir=out/${now:%Y}_1"]) == ["hydra.run.dir=out/${now:%Y}_1"]


def test_several_folders_are_a_sweep_and_one_with_a_comma_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a, b").mkdir()
    key = "datamodule.source.path"
    for word in ("weights", "run"):
        for typed in ("a, b", "'a, b'"):
            assert expand([f"{word}={typed}"]) == ["module.net.weights='a, b'"]
    assert expand(["-m", f"{key}=a=1,c"])[1] == f"{key}='a=1','c'"
    assert expand(["-m", f"{key}=a, b"])[1] == f"{key}='a, b'"
    assert expand([f"{key}=a,c"]) == [f"{key}='a,c'"]


@pytest.mark.parametrize("key", ["run", "weights", "datamodule.images", "module.judge.weights"])
@pytest.mark.parametrize("quotes", ["", "'", '"'])
def test_what_is_there_may_have_any_name_with_and_without_quotes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str, quotes: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my run, a=1").mkdir()
    expanded = {"run": "module.net.weights", "weights": "module.net.weights"}.get(key, key)
    for name in ("my run, a=1", f"{tmp_path}/my run, a=1"):
        assert expand([f"{key}={quotes}{name}{quotes}"]) == [f"{expanded}='{name}'"]


def test_images_with_commas_that_are_not_there_are_values_like_others() -> None:
    assert expand(["datamodule.images=[a.png,b.png]"]) == ["datamodule.images=[a.png,b.png]"]
    assert expand(["-m", "datamodule.images=coffee,chelsea"])[1] == "datamodule.images=coffee,chelsea"

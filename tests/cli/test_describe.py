"""What a run is: the same key, the same numbers; and what changes no number changes no key."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import recipes
from project import ROOT

from labs.nets.package_weights import PACKAGE_FILES
from labs.runs.recipe import Recipe, flat, of_every_seed


def described(*overrides: str, conf: Path = ROOT / "conf") -> Recipe:
    return recipes.described("experiment=cub_full", "data=embedded", *overrides, conf=conf)


@pytest.fixture(scope="module")
def key() -> str:
    return described().key


@pytest.mark.parametrize(
    "override",
    [
        *("paths.data=/scratch", "paths.outputs=/elsewhere", "resume=true", "rerun=true", "sweep.on_error=stop"),
        *("feature_cache=off", "feature_cache.budget_gb=1", "logger=none", "logger=csv", "draw_architecture=true"),
        *("callbacks.pictures=null", "callbacks.pictures.num_images=4", "trainer=cpu", "net.weights_folder=/elsewhere"),
        *("datamodule.num_workers=2", "datamodule.source.folder=/elsewhere", "callbacks=explain"),
        *("seed=0", "freeze=none", "module.optimizer.lr=0.10"),  # the default, said aloud
    ],
)
def test_what_changes_no_number_changes_no_key(override: str, key: str) -> None:
    assert described(override).key == key


@pytest.mark.parametrize(
    "override",
    [
        *("seed=1", "module.optimizer.lr=0.01", "freeze=layer1", "normalization=dataset", "trainer.max_epochs=5"),
        *("weights=random", "debug=batches", "callbacks.best.monitor=val/loss", "trainer.devices=2", "precision=bf16"),
        "experiment=cub_conv_frozen",
    ],
)
def test_what_changes_the_numbers_changes_the_key(override: str, key: str) -> None:
    assert described(override).key != key


def test_recipes_of_two_seeds_make_one_row() -> None:
    texts = [described(f"seed={seed}").text for seed in (0, 1)]
    assert texts[0] != texts[1]
    assert of_every_seed(texts[0]) == of_every_seed(texts[1])


def test_the_recipe_of_embedded_weights_is_part_of_it(tmp_path: Path, key: str) -> None:
    """An edited upstream experiment makes new weights, and so new runs."""
    shutil.copytree(ROOT / "conf", tmp_path / "conf")
    assert described(conf=tmp_path / "conf").key == key, "another checkout"
    upstream = tmp_path / "conf" / "experiment" / "cub_upstream.yaml"
    upstream.write_text(upstream.read_text().replace("max_epochs: 11", "max_epochs: 12"))
    assert described(conf=tmp_path / "conf").key != key
    random = [described("weights=random", conf=conf).key for conf in (ROOT / "conf", tmp_path / "conf")]
    assert random[0] == random[1], "which start from nothing of it"


def test_weights_count_by_what_they_are_not_by_where_they_lie(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, content in (("a", b"weights"), ("b", b"weights"), ("c", b"others")):
        (tmp_path / name / "checkpoints").mkdir(parents=True)
        (tmp_path / name / "checkpoints" / "best.ckpt").write_bytes(content)
        (tmp_path / name / "metrics.json").write_text(json.dumps({"experiment": "cub_tuned", "labels": []}))
    monkeypatch.chdir(tmp_path)
    recipes = [described(f"weights={path}") for path in ("./a", f"{tmp_path}/b", "./c")]
    assert recipes[0].key == recipes[1].key != recipes[2].key
    assert len({of_every_seed(recipe.text) for recipe in recipes}) == 1, "starts of several seeds make one row"
    assert recipes[0].facts["settings"]["module.net.weights"] == "a run of cub_tuned"
    (tmp_path / "alone.pth").write_bytes(b"weights")
    assert of_every_seed(described("weights=./alone.pth").text) != of_every_seed(recipes[0].text)


@pytest.mark.parametrize("net", ["squeezenet", "efficientnet_lite0"])
def test_weights_of_a_package_are_what_pretrained_means_offline_and_count_by_their_content(net: str) -> None:
    recipe = described(f"net={net}")
    settings = flat(recipe.text)
    assert recipe.key == described(f"net={net}", "weights=imagenet").key
    assert settings["module.net.weights"] == f"imagenet, sha256 {PACKAGE_FILES[settings['module.net.name']].sha256}"
    assert recipe.facts["start_labels"] == ["ImageNet weights"]
    assert "start_labels" not in described(f"net={net}", "weights=random").facts
    assert flat(described().text)["module.net.weights"].startswith("embedded: ")


def test_embedded_weights_are_those_of_the_net_that_was_named() -> None:
    first, second = (flat(described(*more).text)["module.net.weights"] for more in ((), ("module.net.name=resnet34",)))
    assert first.startswith("embedded: ")
    assert second.startswith("embedded: ")
    assert first != second


def test_a_net_lowers_the_rates_of_sgd_and_what_is_typed_is_in_force() -> None:
    def rate(*words: str) -> str:
        return flat(described(*words).text)["module.optimizer.lr"]

    assert rate() == "0.1"
    assert rate("net=squeezenet") == "0.003"
    assert rate("net=squeezenet", "experiment=cub_tuned") == "0.0003"
    assert rate("net=squeezenet", "module.optimizer.lr=0.1") == "0.1"
    assert rate("net=squeezenet", "optimizer=adam") == rate("optimizer=adam")

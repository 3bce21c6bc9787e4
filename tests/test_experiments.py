"""Every experiment, grid and option there is: found in conf/, composed, checked, and run on embedded data."""

from __future__ import annotations

import copy
import functools
import itertools
import json
import math
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf
from project import ROOT
from still_runs import small_words

from labs.cli.check import check_recipe
from labs.cli.help import overview
from labs.cli.options import header
from labs.cli.overrides import expand
from labs.cli.resolvers import register_resolvers
from labs.practicals import sheet_of

CONF = ROOT / "conf"
EXPERIMENTS = sorted(path.stem for path in (CONF / "experiment").glob("*.yaml"))
GRIDS = sorted(path.stem for path in (CONF / "grid").glob("*.yaml"))


def composed(*overrides: str) -> DictConfig:
    return copy.deepcopy(_composed(*overrides))


@functools.cache  # a composition takes a quarter of a second, and many tests ask for the same
def _composed(*overrides: str) -> DictConfig:
    register_resolvers()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("train", [*overrides, "paths.run_dir=/nowhere"])


@pytest.mark.parametrize("experiment", EXPERIMENTS)
@pytest.mark.parametrize("data", ["online", "embedded"])
def test_every_experiment_composes_to_a_recipe_that_fits_its_constructors(experiment: str, data: str) -> None:
    check_recipe(composed(f"experiment={experiment}", f"data={data}"))


@pytest.mark.parametrize("grid", GRIDS)
def test_every_cell_of_every_grid_composes(grid: str) -> None:
    params = OmegaConf.load(CONF / "grid" / f"{grid}.yaml").hydra.sweeper.params
    axes = [[f"{axis}={value}" for value in str(values).split(",")] for axis, values in params.items()]
    cells = list(itertools.product(*axes))
    assert len(cells) > 1
    for cell in cells:
        check_recipe(composed(*cell, "data=embedded"))


@pytest.mark.parametrize(
    "option",
    [
        f"{path.parent.name}={path.stem}"
        for path in sorted(CONF.glob("*/*.yaml"))
        if path.parent.name not in ("experiment", "grid", "hydra", "paths")
    ],
)
def test_every_option_composes(option: str) -> None:
    """With the experiment of the command in its header: an option belongs to some practicals, and fits those."""
    text = (CONF / f"{option.replace('=', '/')}.yaml").read_text()
    named = re.search(r"python train\.py.* experiment=(\w+)", text)
    check_recipe(composed(f"experiment={named[1] if named else 'cub_full'}", *expand([option])))


@pytest.mark.slow
@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_experiment_runs_on_embedded_data(
    experiment: str, train: Callable[..., Path], shared: Path, request: pytest.FixtureRequest
) -> None:
    recipe = composed(f"experiment={experiment}", "data=embedded")
    drawn = shared / f"curves of {recipe.module._target_}"
    if drawn.exists():  # they take as long as all the rest, and are those of the method
        request.getfixturevalue("undrawn")
    drawn.touch()
    outputs = train(*small_words(experiment, recipe.practical), "logger=none")
    (run_dir,) = (outputs / experiment).iterdir()
    facts = json.loads((run_dir / "metrics.json").read_text())
    assert facts["status"] == "finished"
    assert "embedded data" in facts["labels"]
    results = {name: value for name, value in facts["metrics"].items() if name.startswith("test/")}
    assert results
    assert all(math.isfinite(value) for value in results.values())
    assert 0 <= results.get("test/acc", 0) <= 1
    trained = (run_dir / "log.tsv").is_file()  # some methods train nothing
    answers = sheet_of(recipe.practical).answers is not None
    assert bool(list((run_dir / "checkpoints").glob("*.ckpt"))) is (trained or answers)
    if recipe.module.get("net") is not None:  # some methods have none
        assert "parameters" in (run_dir / "net.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_experiment_says_its_command_and_its_numbers(experiment: str) -> None:
    text = (CONF / "experiment" / f"{experiment}.yaml").read_text()
    assert f"experiment={experiment}" in text or "python train.py\n" in text
    assert "Measured:" in text
    assert "TODO" not in text


@pytest.mark.parametrize("path", sorted(CONF.glob("*/*.yaml")), ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_option_says_what_it_does(path: Path) -> None:
    assert len(header(path)) > 20


def test_help_lists_every_experiment_grid_and_axis(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", [str(ROOT / "train.py")])
    text = overview()
    for name in (*EXPERIMENTS, *GRIDS, "freeze", "normalization", "precision", "layer1", "sgd"):
        assert name in text
    for page in re.findall(r"\((docs/\w+\.md)\)", text):
        assert (ROOT / page).is_file()


def test_every_method_has_one_name() -> None:
    """Law 2: a module file, its option and its tests are called alike."""
    for path in (CONF / "module").glob("*.yaml"):
        assert (ROOT / "src" / "labs" / "modules" / f"{path.stem}.py").is_file()
        assert (ROOT / "tests" / "modules" / f"test_{path.stem}.py").is_file()


@pytest.mark.parametrize(
    ("words", "net", "weights"),
    [
        ("", "vgg19", "imagenet"),
        ("data=embedded", "squeezenet1_1", "imagenet"),
        ("data=embedded weights=random", "squeezenet1_1", "random"),
        ("data=embedded net=vgg19_features", "vgg19", "random"),
        ("net=vgg16_features", "vgg16", "imagenet"),
        ("data=embedded net=features net.name=resnet18 weights=random", "resnet18", "random"),
    ],
)
def test_which_net_looks_at_the_pictures(words: str, net: str, weights: str) -> None:
    for experiment in ("nst_a", "nst_tuned", "nst_tutorial"):
        found = composed(f"experiment={experiment}", *expand(words.split())).module.net
        assert (found.name, found.weights) == (net, weights)

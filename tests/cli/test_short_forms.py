"""Short forms mean the same in every experiment, and leave no trace in the recipe."""

from __future__ import annotations

import sys

import pytest
from omegaconf import OmegaConf
from project import ROOT
from recipes import described

from labs import LabsError
from labs.cli.options import file_of, options_of, practical_of
from labs.cli.overrides import expand
from labs.cli.short_forms import named_layers, recipe_of, short_forms_of, with_long_names


@pytest.fixture(autouse=True)
def _train(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", [str(ROOT / "train.py")])


def one_of_each_practical() -> list[str]:
    folder = ROOT / "conf" / "experiment"
    return list({practical_of(path): path.stem for path in sorted(folder.glob("*.yaml"))}.values())


@pytest.mark.parametrize("experiment", one_of_each_practical())
def test_every_practical_has_them_or_says_what_it_has(experiment: str) -> None:
    """`epochs=3` is three epochs of Lightning, or a line that names the experiment's own settings."""
    choice = f"experiment={experiment}"
    recipe = recipe_of((choice,))
    assert recipe is not None
    for name, value in (("epochs", 3), ("lr", 0.5), ("batch_size", 2)):
        if name in short_forms_of(recipe):
            (word,) = with_long_names([choice, f"{name}={value}"])[1:]
            changed = OmegaConf.create(OmegaConf.to_container(recipe, resolve=False))
            OmegaConf.update(changed, *word.split("="))
            setting = "trainer.max_epochs" if name == "epochs" else word.partition("=")[0]
            assert float(OmegaConf.select(changed, setting)) == value
        else:
            with pytest.raises(LabsError, match=f"^{name}={value}: experiment={experiment} has no ") as error:
                with_long_names([choice, f"{name}={value}"])
            assert f"python train.py --help {experiment}" in str(error.value)


def test_a_short_form_is_the_same_recipe() -> None:
    short = with_long_names(["experiment=cub_full", "lr=0.01", "epochs=3", "freeze=layer1,layer2"])
    long = expand(["experiment=cub_full", "optimizer.lr=0.01", "trainer.max_epochs=3"])
    long += expand(["freeze=layers", "freeze.patterns=[layer1,layer2]"])
    assert short == long
    assert described(*short).key == described(*long).key


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("freeze=layer2", ["freeze=layers", "callbacks.freeze.patterns=[layer2]"]),
        ("freeze=layer?.0", ["freeze=layers", "callbacks.freeze.patterns=['layer?.0']"]),
        ("freeze=features.3,fc7", ["freeze=layers", "callbacks.freeze.patterns=[features.3,fc7]"]),
        ("freeze=conv1,bn1", ["freeze=layers", "callbacks.freeze.patterns=[conv1,bn1]"]),
        ("freeze=layer1", ["freeze=layer1"]),
        ("freeze=layr1", ["freeze=layr1"]),
        ("freeze=through_layer1,layer1", ["freeze=through_layer1,layer1"]),
        ("freeze=all", ["freeze=all"]),
    ],
)
def test_layers_by_name(typed: str, words: list[str]) -> None:
    assert named_layers(typed) == words


def test_layers_with_commas_are_cells_where_values_are_swept() -> None:
    assert named_layers("freeze=layer1,layer2", is_swept=True) == ["freeze=layer1,layer2"]
    assert named_layers("freeze=[layer1,layer2]", is_swept=True)[0] == "freeze=layers"


def test_every_experiment_stands_under_a_practical() -> None:
    assert "other" not in {practical_of(file_of("experiment", name)) for name in options_of("experiment")}

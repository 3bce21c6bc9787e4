"""Sixty things that a newcomer types: each does what was meant, or is answered by a line with the right command."""

from __future__ import annotations

import runpy
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hydra._internal.hydra import Hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from project import ROOT

# (what is typed, the words that make the recipe)
RUNS: list[tuple[str, str]] = [
    ("", ""),
    ("cub_full", "experiment=cub_full"),
    ("experiment=cub_full", "experiment=cub_full"),
    ("cub_full data=embedded epochs=3", "experiment=cub_full data=embedded trainer.max_epochs=3"),
    ("epochs=3", "trainer.max_epochs=3"),
    ("lr=0.01", "module.optimizer.lr=0.01"),
    ("batch_size=32", "datamodule.batch_size=32"),
    ("weight_decay=1e-4 momentum=0.8", "module.optimizer.weight_decay=1e-4 module.optimizer.momentum=0.8"),
    ("experiment=dcgan_mnist epochs=1 lr=1e-3", "experiment=dcgan_mnist epochs=1 module.optimizer.lr=1e-3"),
    ("experiment=dann_mnistm epochs=2", "experiment=dann_mnistm epochs=2"),
    ("experiment=nst_a steps=20", "experiment=nst_a steps=20"),
    ("experiment=fooling_squeezenet lr=0.5 steps=9", "experiment=fooling_squeezenet module.lr=0.5 module.steps=9"),
    ("optimizer=adamw lr=1e-3", "optimizer=adamw module.optimizer.lr=1e-3"),
    ("freeze=layer2", "freeze=layers callbacks.freeze.patterns=[layer2]"),
    ("freeze=layer1,layer2", "freeze=layers callbacks.freeze.patterns=[layer1,layer2]"),
    ("freeze=[layer1,fc]", "freeze=layers callbacks.freeze.patterns=[layer1,fc]"),
    ("freeze=layer1", "freeze=layer1"),
    ("normalization=none", "normalization=none"),
    ("weights=imagenet net=resnet18 data=embedded", "weights=imagenet net=resnet18 data=embedded"),
    ("net=timm net.name=vit_tiny_patch16_224", "net=timm module.net.name=vit_tiny_patch16_224"),
]

# (what is typed, the cells)
GRIDS: list[tuple[str, list[str]]] = [
    ("-m seed=0,1", ["seed=0", "seed=1"]),
    ("--multirun lr=0.1,0.2", ["module.optimizer.lr=0.1", "module.optimizer.lr=0.2"]),
    ("-m freeze=layer1,layer2", ["freeze=layer1", "freeze=layers, callbacks.freeze.patterns=[layer2]"]),
    (
        "-m experiment=digits_layer1_frozen,dcgan_mnist data=embedded epochs=1",
        ["digits_layer1_frozen, trainer.max_epochs=1", "dcgan_mnist, epochs=1"],
    ),
    ("quartic_momentum", ["module.optimizer.lr=0.01, module.optimizer.momentum=0.5"]),
]

# (what is typed, what the page must say)
PAGES: list[tuple[str, list[str]]] = [
    ("--help", ["Experiments", "cub_full", "Grids", "epochs=3", "freeze ", "--list"]),
    ("-h", ["Experiments"]),
    ("help", ["Experiments"]),
    ("--list", ["cub_full", "CUB-200, pretrained ResNet-18", "cub_table4", "artists_tuned"]),
    ("list", ["cub_full"]),
    ("--version", ["labs", "torch", "Python"]),
    (
        "--help cub_full",
        ["Hand-out 000", "Measured:", "docs/cub.md", "epochs=31", "lr=0.1", "batch_size=68", "net.name"],
    ),
    ("--help experiment=nst_a", ["experiment=nst_a", "steps=300", "docs/style_transfer.md"]),
    ("experiment=cub_full lr=0.01 -h", ["experiment=cub_full", "Measured:"]),
    ("--help cub_table4", ["python train.py -m grid=cub_table4", "normalization=dataset,imagenet"]),
    ("--help freeze", ["backbone", "a linear probe", "gradual"]),
    ("--help freeze=gradual", ["{5: [layer4], 10: [layer3]}"]),
    ("--help resnet18", ["net=resnet18"]),
]

# (what is typed, what the answer must say)
ANSWERS: list[tuple[str, str]] = [
    ("seed=0,1", "python train.py -m seed=0,1"),
    ("experiment=cub_full lr=0.1,0.01", "python train.py -m experiment=cub_full lr=0.1,0.01"),
    ("'freeze=layer1,backbone'", "python train.py -m freeze=layer1,backbone"),
    ("freeze=layr1", "Did you mean freeze=layer1?"),
    ("freeze=fc", "type freeze=[fc]"),
    ("data=/my/folder", "python train.py experiment=folder_finetune datamodule.source.path=/my/folder"),
    ("datamodule.source.path=my_photos", "python train.py experiment=folder_finetune datamodule.source.path=my_photos"),
    ("cub_full,cub_scratch seed=1", "python train.py -m experiment=cub_full,cub_scratch seed=1"),
    ("net=vit", "net=timm net.name="),
    ("--experiment cub_full", "python train.py experiment=cub_full"),
    ("--experiment=cub_full", "python train.py experiment=cub_full"),
    ("--epochs 3", "python train.py epochs=3"),
    ("--epochs=3 --batch-size 8 --data embedded", "python train.py epochs=3 batch_size=8 data=embedded"),
    ("--model resnet18 --learning-rate 0.1", "python train.py net=resnet18 lr=0.1"),
    ("--mult", "Did you mean --multirun?"),
    ("--cfg", "--cfg"),
    ("experiment=cub-full", "Did you mean experiment=cub_full?"),
    ("experiment=CUB_full", "Did you mean experiment=cub_full?"),
    ("experiment=cub", "cub_full"),
    ("experiment=", "python train.py --list"),
    ("experiment = cub_full", "python train.py experiment=cub_full"),
    ("experiment= cub_full", "python train.py experiment=cub_full"),
    ("experiment:cub_full", "python train.py experiment=cub_full"),
    ("cub-full data=embedded", "python train.py data=embedded cub_full"),
    ("train", "python train.py --list"),
    ("layer1", "python train.py freeze=layer1"),
    ("seed", "such as seed=0"),
    ("photo.png", "python predict.py run=<run directory> image=photo.png"),
    ("--help cub-full", "python train.py --help cub_full"),
    ("gpu=1", "Options of trainer: cpu, ddp, default, gpu"),
    ("device=cpu", "Type trainer=cpu."),
    ("model=resnet50", "Type net=resnet50."),
    ("learning_rate=0.1", "Type lr=0.1."),
    ("optimizer.learning_rate=0.1", "Did you mean module.optimizer.lr?"),
    ("epoch=3", "Type epochs=3."),
    ("experiment=saliency_squeezenet lr=0.1", "experiment=saliency_squeezenet has no learning rate."),
    ("experiment=nst_a epochs=3", "It counts steps. Short forms that it has: steps=300"),
    ("experiment=scenes_relu7_svm data=embedded epochs=3", "It trains nothing."),
    ("-m experiment=cub_full,saliency_squeezenet lr=0.1", "experiment=saliency_squeezenet has no learning rate."),
    ("trainer.max_epochs=three", "expected a whole number"),
    ("seed=abc", "such as seed=1"),
    ("pretrained=false", "type weights=random"),
    ("resume=latest", "resume=outputs/<experiment>/<time>"),
    ("datamodule=cifar10", "for example experiment=dcgan_cifar10."),
    ("experiment=cub_full net=dcgan", "for example experiment=dcgan_mnist."),
    ("freeze=layers", "such as freeze=layer2"),
    ("'freeze.patterns=[layer1'", "Lists are typed as 'freeze.patterns=[a,b]'"),
    ('''"experiment='cub_full"''', "a quote is not closed"),
]


class Stop(Exception):  # noqa: N818
    """The command would train now."""


@pytest.fixture
def typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], list[str]]:
    """Type `python train.py ...` up to the first step; return the words of its recipe, or the names of its cells."""
    import labs.cli.check
    import labs.cli.grid.launch

    found: list[str] = []
    check = labs.cli.check.check_recipe

    def check_recipe(cfg: DictConfig) -> None:
        check(cfg)
        found[:] = HydraConfig.get().overrides.task
        raise Stop

    def check_cells(cells: list, run: object) -> None:
        found[:] = [cell.name for cell in cells]
        raise Stop

    def type_(line: str) -> list[str]:
        words = shlex.split(line)
        GlobalHydra.instance().clear()
        monkeypatch.setattr(sys, "argv", [str(ROOT / "train.py"), *words])
        monkeypatch.chdir(tmp_path)
        try:
            runpy.run_path(str(ROOT / "train.py"), run_name="__main__")
        except Stop:
            return found
        return []

    monkeypatch.setattr("labs.cli.check.check_recipe", check_recipe)
    monkeypatch.setattr("labs.cli.grid.launch.check_cells", check_cells)
    return type_


@pytest.fixture
def no_grid(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare the composition in which Hydra looks for `hydra.mode`."""
    monkeypatch.setattr(Hydra, "get_mode", lambda *_, **__: None)


def test_there_are_sixty() -> None:
    lines = [line for table in (RUNS, GRIDS, PAGES, ANSWERS) for line, _ in table]
    assert len(set(lines)) == len(lines) >= 60


@pytest.mark.usefixtures("no_grid")
@pytest.mark.parametrize(("line", "words"), RUNS, ids=[line for line, _ in RUNS])
def test_what_was_meant_runs(line: str, words: str, typed: Callable[[str], list[str]]) -> None:
    assert typed(line) == words.split()


@pytest.mark.parametrize(("line", "cells"), GRIDS, ids=[line for line, _ in GRIDS])
def test_several_values_are_cells(line: str, cells: list[str], typed: Callable[[str], list[str]]) -> None:
    found = typed(line)
    assert found
    assert set(cells) <= set(found)


@pytest.mark.parametrize(("line", "parts"), PAGES, ids=[line for line, _ in PAGES])
def test_pages(
    line: str, parts: list[str], typed: Callable[[str], list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert typed(line) == []
    page = capsys.readouterr().out
    for part in parts:
        assert part in page


@pytest.mark.usefixtures("no_grid")
@pytest.mark.parametrize(("line", "part"), ANSWERS, ids=[line for line, _ in ANSWERS])
def test_the_answer_has_the_right_command(
    line: str, part: str, typed: Callable[[str], list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_:
        typed(line)
    message = capsys.readouterr().err
    assert exit_.value.code == 2
    assert part in message, message
    for foreign in (
        "Traceback",
        "Ambiguous",
        "usage:",
        "Error executing job",
        "Config search path",
        "module.optimizer.lr=",
    ):
        assert foreign not in message

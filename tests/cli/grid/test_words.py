"""The words of a grid's command are checked against its cells, not against the quick start's recipe."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from labs import LabsError
from labs.cli.grid import launch, words


@pytest.mark.parametrize(
    ("arguments", "left"),
    [
        ("-m grid=nst_table5 data=embedded steps=2 ~callbacks.pictures", "-m grid=nst_table5 data=embedded"),
        ("net=resnet18,vgg16 -m module.x=1 ++module.y=2", "-m net=resnet18,vgg16"),
        ("-m grid=a paths.data=b rerun=true sweep.on_error=stop seed=0,1 hydra/launcher=joblib hydra.job.name=c",
         "-m grid=a paths.data=b rerun=true sweep.on_error=stop hydra/launcher=joblib hydra.job.name=c"),
        ("grid=nst_table5 steps=2", "grid=nst_table5"),
        ("experiment=nst_a steps=2", "experiment=nst_a steps=2"),
        ("grid=nst_table5 seed=2 --cfg job", "--cfg job grid=nst_table5 seed=2"),
        ("-m seed", "-m seed"),
    ],
)  # fmt: skip
def test_the_grid_gets_what_says_how_it_runs(arguments: str, left: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", [str(Path(__file__).parents[3] / "train.py")])

    assert words.of_the_grid(arguments.split()) == left.split()

    typed = [word for word in arguments.split() if word not in ("-m", "--cfg", "job")]
    if left != arguments and "--cfg" not in arguments:
        assert words.of_the_cells([]) == typed
        assert set(sys.argv[1:]) == set(arguments.split())


@pytest.mark.parametrize("shown", ["--cfg job", "--info defaults", "-c job"])
def test_no_recipe_is_shown_of_several_cells(shown: str) -> None:
    with pytest.raises(LabsError, match="every cell of a grid has a recipe of its own; type the words of one cell"):
        words.of_the_grid(["-m", "seed=1,2", *shown.split()])


@pytest.mark.parametrize(
    ("typed", "cells", "in_each"),
    [
        ("grid=nst_table5 data=embedded datamodule.content=coffee", 7, "content: coffee"),
        ("grid=nst_table5 data=embedded steps=2 every=2", 7, "steps: 2"),
        ("grid=dcgan_variations epochs=1 data=embedded", 13, "practical"),
        ("experiment=cub_full,cub_tuned datamodule.source.split=official", 2, "split: official"),
        ("grid=dcgan_variations data=embedded ~callbacks.quality", 13, "practical"),
        ("experiment=nst_a data=embedded datamodule.content=ph/1.png,ph_1.png", 2, "content: ph"),
    ],
)
def test_a_word_that_fits_every_cell_is_taken(
    typed: str, cells: int, in_each: str, train: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch, "run_all", lambda *_, **__: None)
    monkeypatch.setattr(launch, "sum_up", lambda *_, **__: None)

    with pytest.raises(SystemExit):  # no cell has a result: none was run
        train("-m", *typed.split(), "hydra.sweep.dir=grid")

    plan = json.loads(Path("grid/cells.json").read_text())
    assert len(plan["cells"]) == cells
    assert all(in_each in cell["recipe"] or in_each in cell for cell in plan["cells"])
    for word in typed.split():
        assert word in plan["command"], "the command is told as it was typed"
    assert {path.name for path in Path("grid").iterdir()} == {"cells.json"}


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("grid=nst_table5 stepz=2", "there is no setting 'stepz'. Did you mean steps?"),
        ("grid=nst_table5 datamodule.contents=coffee", "Did you mean datamodule.content?"),
        ("grid=dcgan_variations ~callbacks.nothing", "there is no setting 'callbacks.nothing'. Settings of callbacks"),
        (
            "experiment=cub_full,nst_a,nst_b steps=2",
            "steps=2: experiment=cub_full has no number of steps. Short forms that it has",
        ),
        ("experiment=cub_full,nst_a datamodule.source.split=official", "1 of 2 cells have no setting"),
        ("grid=nst_table5 net=vgg20", "net=vgg20 is not an option."),
        ("experiment=nst_a,nst_z", "experiment=nst_z is not an option."),
    ],
)
def test_a_word_that_does_not_fit_is_refused(
    typed: str, said: str, train: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_:
        train(*typed.split(), "-m")
    assert exit_.value.code == 2
    assert said in capsys.readouterr().err
    assert not list(tmp_path.iterdir()), "nothing is left behind"

"""Words that take something away or add it: each that cannot be gets one line."""

from __future__ import annotations

import sys

import pytest
from project import ROOT

from labs import LabsError
from labs.cli.prefixes import check_prefixes


@pytest.fixture(autouse=True)
def _train(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", [str(ROOT / "train.py")])


@pytest.mark.parametrize(
    ("word", "said"),
    [
        (
            "~experiment",
            "every recipe needs 'experiment'; type experiment=<another value>. Options of experiment: activ",
        ),
        ("~experiment=cub_full", "every recipe needs 'experiment'"),
        ("~freeze", "Options of freeze: backbone, batch_norms, convs"),
        ("~callbacks", "every recipe needs 'callbacks'"),
        ("~seed", "every recipe needs 'seed'; type seed=<another value>."),
        ("~pretrained", "every recipe needs 'pretrained'"),
        ("~paths.data", "every recipe needs 'paths.data'"),
        ("~hydra.run.dir", "every recipe needs 'hydra.run.dir'"),
        ("~datamodule.source.digits.0", "type the whole list, such as datamodule.source.digits=[1,2]."),
        ("+freeze=layer1", "'freeze' is in every recipe; type freeze=layer1."),
        ("++net=resnet34", "'net' is in every recipe; type net=resnet34."),
        ("+lr=0.1", "+lr=0.1: nothing reads a setting that is added at the top level"),
        ("net@foo=resnet18", "type net=resnet18."),
        ("~", "'~' names no setting; write key=value"),
        ("=3", "'=3' names no setting; write key=value"),
    ],
)
def test_what_cannot_be_is_refused(word: str, said: str) -> None:
    with pytest.raises(LabsError) as error:
        check_prefixes(["-m", "seed=1", word, "net=resnet18"])
    assert said in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "word",
    ["~callbacks.best", "+module.x=1", "++callbacks.freeze.unfreeze={5: [a]}", "seed=1", "--cfg", "job", "weights=a@b"],
)
def test_what_can_be_is_left_to_the_recipe(word: str) -> None:
    check_prefixes([word])


def test_a_setting_that_another_word_reads_may_be_added() -> None:
    check_prefixes(["+width=64", "module.net.ngf=${width}", "module.net.ndf=${width}"])

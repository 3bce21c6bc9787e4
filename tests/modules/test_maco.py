"""`Maco` in Lightning's trainer, on a tiny net and embedded photographs."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from class_pictures import SIZE, fit, module

from labs import LabsError
from labs.modules.maco import Maco

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*LeafSpec"),  # of Lightning, about itself
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*exists and is not empty"),
    pytest.mark.filterwarnings("ignore:The dirpath has changed"),
]


def maco(folder: Path, **options: Any) -> Maco:
    arguments: dict[str, Any] = {
        "optimizer": partial(torch.optim.NAdam, lr=0.5),
        "size": None,
        "crops": 3,
        "crop_sides": [0.4, 0.6],
        "noise": 0.1,
        "photographs": ["chelsea", "coffee"],
        "folder": str(folder),
        "normalized": False,
    }
    found: Maco = module(Maco, **(arguments | options))
    return found


def test_only_phases_change(tmp_path: Path) -> None:
    one = fit(maco(tmp_path), tmp_path)
    pixels = torch.logit(one.pictures(), eps=1e-6) / 4 + 0.5  # before they are squashed
    plain = torch.einsum("ij,bjhw->bihw", torch.linalg.inv(one.colors), pixels - one.mean[:, None, None])
    found = torch.fft.rfft2(plain, norm="ortho").abs()
    torch.testing.assert_close(found, one.magnitude.expand_as(found), atol=2e-2, rtol=2e-2)
    assert one.measured == "2 photographs"
    assert one.pictures().shape == (2, 3, 2 * SIZE, 2 * SIZE)


def test_the_score_rises(tmp_path: Path) -> None:
    before = fit(maco(tmp_path, steps=1, optimizer=partial(torch.optim.NAdam, lr=1e-9)), tmp_path)
    after = fit(maco(tmp_path, steps=40, every=40), tmp_path)
    assert (after.results["prob"] > before.results["prob"]).all()
    assert after.results["prob"].min() > 0.7


def test_a_run_that_goes_on_ends_as_one_that_was_not_stopped(tmp_path: Path) -> None:
    whole = fit(maco(tmp_path), tmp_path / "whole")
    fit(maco(tmp_path), tmp_path / "stopped", epochs=1)
    again = fit(maco(tmp_path), tmp_path / "on", resumed=tmp_path / "stopped" / "last.ckpt")
    assert again.evaluations == whole.evaluations == 6
    assert torch.equal(again.canvas, whole.canvas)
    assert torch.equal(again.opacity(), whole.opacity())


def test_a_picture_does_not_depend_on_the_other_classes(tmp_path: Path) -> None:
    alone = fit(maco(tmp_path, classes=["dog"]), tmp_path)
    beside = fit(maco(tmp_path, at_once=1), tmp_path)
    torch.testing.assert_close(alone.pictures()[0], beside.pictures()[1], atol=1e-3, rtol=1e-3)


def test_what_no_crop_ever_showed_is_transparent(tmp_path: Path) -> None:
    one = fit(maco(tmp_path, size=64, crop_sides=[0.25, 0.25], crops=1, steps=2), tmp_path)
    opacity = one.opacity()
    assert opacity.shape == (2, 1, 64, 64)
    assert opacity.min() == 0
    assert opacity.max() == 1
    assert (opacity > 0).float().mean() < 0.3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": SIZE - 1}, "module.size=15: expected 16 to"),
        ({"crops": 0}, "module.crops=0: expected 1"),
        ({"crop_sides": [0.6, 0.4]}, "module.crop_sides=.*: expected two fractions of the canvas"),
        ({"crop_sides": [0.5]}, "module.crop_sides=.*: expected two fractions of the canvas"),
        ({"crop_sides": [0.2, 1.5]}, "module.crop_sides=.*: expected two fractions of the canvas"),
        ({"noise": -1.0}, "module.noise=-1.0: expected 0 to 1"),
    ],
)
def test_mistakes_are_answered_in_one_line(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(LabsError, match=message):
        maco(tmp_path, **options)


@pytest.mark.parametrize(
    ("options", "images", "message"),
    [
        ({"photographs": []}, None, r"module.photographs=\[\]: expected embedded photographs"),
        ({"photographs": ["chelsae"]}, None, "module.photographs=chelsae: no such file"),
        ({}, ["gravel"], "starts from random phases. Type datamodule.images=null"),
    ],
)
def test_mistakes_in_images_are_too(tmp_path: Path, options: dict[str, Any], images: Any, message: str) -> None:
    with pytest.raises(LabsError, match=message):
        fit(maco(tmp_path, **options), tmp_path, images=images)

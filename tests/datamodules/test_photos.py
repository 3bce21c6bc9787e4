"""Images to look at: files, folders and photographs at the size of the net, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from labs import LabsError
from labs.datamodules.photos import UNKNOWN, Photos
from labs.functional.normalization import IMAGENET, Normalizer
from labs.runs.trained_net import TrainedNet


def photos(**settings: object) -> Photos:
    usual = {"images": None, "photographs": ["coffee"], "split": "test", "count": 4, "batch_size": 2, "embedded": False,
             "folder": "data"}  # fmt: skip
    data = Photos(**{**usual, **settings})  # type: ignore[arg-type]
    net = TrainedNet("any", nn.Identity(), ["a", "b"], Normalizer(IMAGENET), 32, None, [], None)
    data.trainer = type("T", (), {"lightning_module": type("M", (), {"looked_into": net})(), "world_size": 1})()
    return data


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "my, photos=1"
    (place / "dogs").mkdir(parents=True)
    for number in range(6):
        Image.new("RGB", (40, 60), (40 * number, 0, 0)).save(place / f"cat {number}.PNG")
    Image.new("L", (9, 80), 255).save(place / "dogs" / "Cat 0.jpg")
    (place / "notes.txt").write_text("nothing to see")
    return place


def test_photographs_are_what_there_is_without_images(capsys: pytest.CaptureFixture[str]) -> None:
    data = photos(embedded=True)
    data.setup("test")
    assert data.pixels.shape == (1, 3, 32, 32)
    assert 0 <= data.pixels.min() < data.pixels.max() <= 1
    assert data.names == ["coffee"]
    assert "Rachel Michetti" in data.credits[0]
    assert data.classes.tolist() == [UNKNOWN]
    assert "embedded data" in capsys.readouterr().out


def test_a_folder_is_read_with_its_subfolders_evenly_spread(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = photos(images=[str(folder), "chelsea"], count=3)
    data.setup("test")
    assert data.names == ["cat-0", "cat-2", "cat-4", "chelsea"]
    out = capsys.readouterr().out
    assert "skipped 1 .txt" in out
    whole = photos(images=str(folder), count=100)
    whole.setup("test")
    assert len(whole.names) == 7
    assert whole.names[-1] == "Cat-0_2"  # a disk may know no capitals
    assert "1 gray" in capsys.readouterr().out
    batches = list(whole.test_dataloader())
    assert torch.cat([batch.positions for batch in batches]).tolist() == list(range(7))
    torch.testing.assert_close(torch.cat([batch.images for batch in batches]), whole.pixels)


def test_no_image_takes_the_name_of_the_sheet_of_all(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.new("RGB", (40, 60)).save(tmp_path / "Sheet.png")
    data = photos(images=str(tmp_path))
    data.setup("test")
    assert data.names == ["Sheet_2"]
    assert "1 image of 32 pixels" in capsys.readouterr().out


def test_an_image_keeps_its_aspect_ratio_and_its_center(tmp_path: Path) -> None:
    pixels = np.zeros((64, 128, 3), dtype=np.uint8)
    pixels[:, 32:96] = 255
    Image.fromarray(pixels).save(tmp_path / "wide.png")
    data = photos(images=str(tmp_path / "wide.png"))
    data.setup("test")
    assert data.pixels[:, :, :, 1:-1].min() > 0.95


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"images": "cofee"}, r"did you mean coffee\?"),
        ({"images": []}, "expected files, folders or embedded photographs"),
        ({"count": 0}, "datamodule.count=0: expected 1 or more"),
    ],
)
def test_what_cannot_be_read_is_said(settings: dict, words: str) -> None:
    with pytest.raises(LabsError, match=words):
        photos(**settings).setup("test")


def test_several_processes_would_look_at_the_same_images() -> None:
    data = photos()
    data.trainer.world_size = 2  # type: ignore[union-attr, misc]
    with pytest.raises(LabsError, match=r"trainer\.devices=1"):
        data.setup("test")


@pytest.mark.parametrize("resize", [None, 32])
def test_what_cannot_be_read_in_a_folder_is_passed_over_and_counted(
    folder: Path, resize: int | None, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("RGB", (300, 1)).save(folder / "thin.png")
    (folder / "page.jpg").write_text("<html>")
    (folder / "empty.jpg").touch()
    data = photos(images=str(folder), count=100)
    data.trainer.lightning_module.looked_into.resize = resize  # type: ignore[union-attr]
    data.setup("test")
    assert len(data.names) == len(data.pixels) == 7
    out = " ".join(capsys.readouterr().out.split())
    for reason in ("1 smaller than 8 pixels", "1 an HTML page", "1 zero bytes", "1 .txt"):
        assert reason in out


def test_a_folder_in_which_nothing_can_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "page.jpg").write_text("<html>")
    for images in (str(tmp_path), ["chelsea", str(tmp_path)]):
        with pytest.raises(LabsError, match=r"no images in this folder \(1 an HTML page\)"):
            photos(images=images).setup("test")


def test_files_that_are_no_images_are_named(tmp_path: Path) -> None:
    with pytest.raises(LabsError, match="no images in this folder"):
        photos(images=str(tmp_path)).setup("test")
    (tmp_path / "page.jpg").write_text("<html>")
    Image.new("RGB", (3, 3)).save(tmp_path / "dot.png")
    for name, words in (
        ("page.jpg", "an HTML page"),
        ("dot.png", "smaller than 8 pixels"),
        ("gone.png", "no such file"),
    ):
        with pytest.raises(LabsError, match=words):
            photos(images=str(tmp_path / name)).setup("test")

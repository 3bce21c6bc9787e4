from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image

from labs import LabsError
from labs.datamodules.embedded.photographs import PHOTOGRAPHS
from labs.datamodules.read_picture import cover, file_name, read_picture, resize, to_tensor, unique_names

KEY = "datamodule.style"


def photograph(height: int = 48, width: int = 64) -> Image.Image:
    return Image.open(PHOTOGRAPHS["flower"].path).resize((width, height))


def pixels(source: str) -> np.ndarray:
    return np.asarray(read_picture(source, key=KEY)[0])


def test_a_file_that_is_called_like_an_embedded_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (9, 9), "red").save("coffee", format="PNG")
    assert pixels("./coffee").shape == (9, 9, 3)
    assert pixels("coffee").shape == (400, 600, 3)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("gravle", r"no such file, .* \(did you mean gravel\?\)\. Embedded pictures: astronaut, .*, rocket\.$"),
        ("Astronaut.png", r"no such file, .* \(did you mean astronaut\?\)"),
        ("holiday/xyz.jpg", r"no such file, and no embedded picture with this name\. Embedded pictures: astronaut"),
        ("", "no such file"),
        ("a\0b", "no such file"),
        ("https://example.org/a.jpg", "an address; download the picture"),
        ("~no_such_user_here/a.jpg", "cannot be opened"),
        ("folder", "this is a folder; type one picture, such as datamodule.style=folder/picture.jpg"),
        ("text.jpg", "not an image that Pillow can read; save it again as JPEG or PNG, or type another picture"),
        ("empty.png", "zero bytes; save"),
        ("half.jpg", r"truncated \(.*truncated.*\); save"),
        ("huge.png", "too many pixels .*; save it smaller, or type another picture"),
        ("thread.png", r"smaller than 8 pixels \(100x1, height x width\); save"),
    ],
)
def test_mistakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, message: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    Path("text.jpg").write_text("a shopping list")
    Path("empty.png").touch()
    whole = io.BytesIO()
    photograph().save(whole, format="JPEG")
    Path("half.jpg").write_bytes(whole.getvalue()[: len(whole.getvalue()) // 2])
    Image.new("RGB", (1, 100)).save("thread.png")
    if source == "huge.png":
        photograph().save("huge.png")
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(LabsError, match=message) as caught:
        read_picture(source, key=KEY)
    assert str(caught.value).startswith(f"datamodule.style={source}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("height", "width"), [(48, 64), (427, 640), (640, 427), (33, 33), (300, 451)])
def test_resize_is_that_of_torchvision(height: int, width: int) -> None:
    resized = resize(Image.new("RGB", (width, height)), 128)
    assert resized.size == torchvision.transforms.Resize(128)(Image.new("RGB", (width, height))).size
    assert abs(max(resized.size) - 128 * max(height, width) / min(height, width)) < 1


@pytest.mark.parametrize(("height", "width"), [(20, 90), (90, 20), (40, 40), (400, 500)])
def test_cover_keeps_proportions_and_cuts_evenly(height: int, width: int) -> None:
    """A picture whose colors are its coordinates: the cut keeps the center, and both steps are of one scale."""
    row, column = np.mgrid[0:height, 0:width] + 0.5  # centers of pixels
    coordinates = np.stack([255 * row / height, 255 * column / width, 0 * row], axis=2).astype(np.uint8)
    covered = np.asarray(cover(Image.fromarray(coordinates), 40, 60)).astype(float)
    assert covered.shape == (40, 60, 3)
    assert covered[19:21, 29:31, :2].mean((0, 1)) == pytest.approx(127.5, abs=1)
    across = (covered[20, 45, 1] - covered[20, 15, 1]) * width / 30
    down = (covered[30, 30, 0] - covered[10, 30, 0]) * height / 20
    assert across == pytest.approx(down, rel=0.1)
    assert across / 255 == pytest.approx(1 / max(40 / height, 60 / width), rel=0.1)


def test_to_tensor_is_that_of_torchvision() -> None:
    image = photograph()
    assert torch.equal(to_tensor(image), torchvision.transforms.functional.to_tensor(image))


def test_names_of_files() -> None:
    assert [file_name(s) for s in ("hubble", "a/b/../Größe 1.tar.gz", "./.jpg", "$(rm).png", "???.png")] == [
        "hubble",
        "Größe-1.tar",
        "jpg",
        "rm",
        "picture",
    ]
    assert len(file_name("a" * 200 + ".png")) == 60
    (name,) = unique_names([("写" * 60 + ".png", "真" * 60)])
    assert len(f".{name}-content.png.1234567.part".encode()) <= 255, "file systems count bytes"
    names = unique_names([("a/x.png", "s"), ("b/X.png", "s"), ("x", "s"), ("x_s", "2")])
    assert names == ["x_s", "X_s_2", "x_s_3", "x_s_2_2"]
    assert len({name.casefold() for name in names}) == 4
    assert all(re.fullmatch(r"[\w.-]+", name) for name in names)

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image, ImageOps

from labs import LabsError
from labs.datamodules.embedded.photographs import PHOTOGRAPHS
from labs.datamodules.read_picture import cover, file_name, read_picture, resize, to_tensor, unique_names

RAMP = np.tile(np.arange(256, dtype=np.uint8), (16, 1))  # (16, 256): every grey level
KEY = "datamodule.style"


def photograph(height: int = 48, width: int = 64) -> Image.Image:
    return Image.open(PHOTOGRAPHS["flower"].path).resize((width, height))


def saved(image: Image.Image, path: Path, **options: object) -> str:
    image.save(path, **options)
    return str(path)


def pixels(source: str) -> np.ndarray:
    picture = read_picture(source, key=KEY)
    assert picture.mode == "RGB"
    return np.asarray(picture).astype(int)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_camera_that_was_turned(tmp_path: Path, orientation: int) -> None:
    """A JPEG stored in any of the eight orientations of EXIF reads like the upright picture."""
    upright = photograph()
    back = {2: [0], 3: [3], 4: [1], 5: [5], 6: [2], 7: [6], 8: [4]}  # Transpose that stores it so
    stored = upright
    for method in back.get(orientation, []):
        stored = stored.transpose(Image.Transpose(method))
    exif = Image.Exif()
    exif[0x0112] = orientation
    read = pixels(saved(stored, tmp_path / "a.jpg", exif=exif, quality=100, subsampling=0))
    assert read.shape == (48, 64, 3)
    assert np.abs(read - np.asarray(upright)).mean() < 2  # JPEG's blocks fall elsewhere


@pytest.mark.parametrize("file", ["a.png", "a.tiff", "a.pgm"])
def test_16_bit_grey_is_the_8_bit_picture(tmp_path: Path, file: str) -> None:
    deep = Image.fromarray(RAMP.astype(np.uint16) * 257)
    read = pixels(saved(deep, tmp_path / file))
    assert np.array_equal(read, np.repeat(RAMP[..., None], 3, axis=2))
    # levels between: rounded to the nearest
    between = Image.fromarray(np.tile(np.linspace(0, 65535, 999).astype(np.uint16), (16, 1)))
    exact = np.asarray(between).astype(float) / 257
    assert np.abs(pixels(saved(between, tmp_path / file))[..., 0] - exact).max() <= 0.5


def test_16_bit_grey_in_the_other_byte_order_and_32_bits(tmp_path: Path) -> None:
    grey = np.repeat(RAMP[..., None], 3, axis=2)
    big = Image.frombytes("I;16B", (256, 16), (RAMP.astype(">u2") * 257).astype(">u2").tobytes())
    assert np.array_equal(pixels(saved(big, tmp_path / "big.tiff")), grey)
    assert np.array_equal(pixels(saved(Image.fromarray(RAMP.astype(np.int32) * 257), tmp_path / "i.tiff")), grey)
    assert np.array_equal(pixels(saved(Image.fromarray(RAMP.astype(np.int32) * 1000), tmp_path / "j.tiff")), grey)


def test_floats_keep_their_brightness_in_0_to_1_and_are_stretched_beyond(tmp_path: Path) -> None:
    half = Image.fromarray(RAMP.astype(np.float32) / 255 * 0.5)
    assert np.abs(pixels(saved(half, tmp_path / "half.tiff"))[..., 1] - RAMP / 2).max() <= 0.5
    beyond = Image.fromarray(RAMP.astype(np.float32) * 3 - 100)
    assert np.array_equal(pixels(saved(beyond, tmp_path / "beyond.tiff"))[..., 2], RAMP)
    constant = Image.fromarray(np.full((9, 9), 7, dtype=np.float32))
    assert (pixels(saved(constant, tmp_path / "constant.tiff")) == 0).all()


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_what_is_transparent_lies_on_white(tmp_path: Path, mode: str) -> None:
    image = Image.merge(mode, [*Image.new(mode[:-1], (256, 16)).split(), Image.fromarray(RAMP)])  # black, ever denser
    read = pixels(saved(image, tmp_path / "a.png"))
    assert np.abs(read - (255 - RAMP[..., None])).max() <= 1


@pytest.mark.parametrize("file", ["a.png", "a.gif"])
def test_a_palette_with_a_transparent_colour(tmp_path: Path, file: str) -> None:
    image = Image.new("P", (16, 8), 1)
    image.putpalette([0, 0, 0, 200, 30, 60, 0, 90, 0])
    image.paste(0, (0, 0, 8, 8))
    read = pixels(saved(image, tmp_path / file, transparency=0))
    assert (read[:, :8] == 255).all()
    assert (read[:, 8:] == (200, 30, 60)).all()


def test_grey_black_and_white_and_inks(tmp_path: Path) -> None:
    upright = photograph()
    grey = pixels(saved(upright.convert("L"), tmp_path / "grey.png"))
    assert np.array_equal(grey, np.repeat(np.asarray(upright.convert("L"))[..., None], 3, axis=2))
    assert set(np.unique(pixels(saved(upright.convert("1"), tmp_path / "one.png")))) == {0, 255}
    inks = pixels(saved(upright.convert("CMYK"), tmp_path / "inks.tiff"))
    assert np.abs(inks - np.asarray(upright)).max() <= 1


def test_the_first_frame_of_an_animation(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "lime", "blue")]
    read = pixels(saved(frames[0], tmp_path / "a.gif", save_all=True, append_images=frames[1:]))
    assert (read == (255, 0, 0)).all()


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
        ("holiday/xyz.jpg", r"no such file, and no embedded picture of this name\. Embedded pictures: astronaut"),
        ("", "no such file"),
        ("a\0b", "no such file"),
        ("https://example.org/a.jpg", "an address; download the picture"),
        ("~no_such_user_here/a.jpg", "cannot be opened"),
        ("folder", "a folder; type the path of one picture, such as datamodule.style=folder/picture.jpg"),
        ("text.jpg", "not a picture that Pillow can read; save it as JPEG or PNG"),
        ("empty.png", "not a picture that Pillow can read"),
        ("half.jpg", r"cannot be decoded \(.*truncated.*\); is the file complete\?"),
        ("half.png", r"cannot be decoded \(.*\); is the file complete\?"),
        ("nan.tiff", "values that are not finite numbers"),
        ("huge.png", "more than [0-9]+ million pixels; type the path of a smaller copy"),
        ("thread.png", r"100x1 pixels \(height x width\); type a picture of at least 8x8"),
    ],
)
def test_mistakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, message: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    Path("text.jpg").write_text("a shopping list")
    Path("empty.png").touch()
    for file in ("half.jpg", "half.png"):
        whole = io.BytesIO()
        photograph().save(whole, format={".jpg": "JPEG", ".png": "PNG"}[Path(file).suffix])
        Path(file).write_bytes(whole.getvalue()[: len(whole.getvalue()) // 2])
    Image.fromarray(np.full((9, 9), np.nan, dtype=np.float32)).save("nan.tiff")
    Image.new("RGB", (1, 100)).save("thread.png")
    if source == "huge.png":
        photograph().save("huge.png")
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(LabsError, match=message) as caught:
        read_picture(source, key=KEY)
    assert str(caught.value).startswith(f"datamodule.style={source}: ")
    assert "\n" not in str(caught.value)


def test_between_one_and_two_times_the_limit_is_no_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    path = saved(photograph(), tmp_path / "large.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 48 * 64 - 1)
    assert pixels(path).shape == (48, 64, 3)
    assert not list(recwarn)


def test_a_picture_with_broken_exif_is_a_picture(tmp_path: Path) -> None:
    path = saved(photograph(), tmp_path / "a.jpg", exif=b"Exif\0\0no such thing")
    assert pixels(path).shape == (48, 64, 3)


@pytest.mark.parametrize(("height", "width"), [(48, 64), (427, 640), (640, 427), (33, 33), (300, 451)])
def test_resize_is_that_of_torchvision(height: int, width: int) -> None:
    resized = resize(Image.new("RGB", (width, height)), 128)
    assert resized.size == torchvision.transforms.Resize(128)(Image.new("RGB", (width, height))).size
    assert abs(max(resized.size) - 128 * max(height, width) / min(height, width)) < 1


@pytest.mark.parametrize(("height", "width"), [(20, 90), (90, 20), (40, 40), (400, 500)])
def test_cover_keeps_proportions_and_cuts_evenly(height: int, width: int) -> None:
    """A picture whose colours are its coordinates: the cut keeps the centre, and both steps are of one scale."""
    row, column = np.mgrid[0:height, 0:width] + 0.5  # centres of pixels
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


def test_pillow_itself_would_cut_off_16_bit_grey() -> None:
    """Why `read_picture` converts by itself; when this fails, Pillow has learned it."""
    deep = Image.fromarray(RAMP.astype(np.int32) * 257)
    assert (np.asarray(deep.convert("RGB"))[:, 1:] == 255).all()
    assert ImageOps.exif_transpose(deep).mode == "I"

"""The one reader of image files: pixels and words for every kind of file, and why one is refused."""

import os
import struct
import warnings
import zlib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from image_formats import KINDS, PICTURE, REFUSED, RGB, Kind, tiff, turned
from PIL import Image

from labs.datamodules import image_files as reader
from labs.datamodules.image_files import UnreadableImageError, image_files, read_rgb

ROOT = Path(__file__).parents[2]
RAMP = np.tile(np.arange(256, dtype=np.uint8), (16, 1))  # (16, 256): every gray level


def read(path: Path) -> np.ndarray:
    image, _ = read_rgb(path)
    assert image.mode == "RGB"
    return np.asarray(image).astype(int)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_kind_of_file(tmp_path: Path, kind: Kind) -> None:
    path = tmp_path / f"a{kind.suffix}"
    kind.write(path)
    image, words = read_rgb(path)
    assert image.mode == "RGB"
    assert ", ".join(words) == kind.found
    assert kind.pixels is not None
    expected = kind.pixels if kind.pixels.ndim == 3 else kind.pixels[..., None].repeat(3, axis=2)
    assert image.size == expected.shape[1::-1]
    assert np.abs(np.asarray(image).astype(float) - expected).mean() <= kind.within


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("kind", REFUSED, ids=lambda kind: kind.name)
def test_what_is_refused(tmp_path: Path, kind: Kind) -> None:
    path = tmp_path / f"a{kind.suffix}"
    kind.write(path)
    with pytest.raises(UnreadableImageError) as caught:
        read_rgb(path)
    assert caught.value.reason == kind.found
    assert str(caught.value).startswith(f"{path}: {kind.found}")
    assert "\n" not in str(caught.value)


def test_the_table_in_the_docs() -> None:
    """It is what the two tests above have found."""
    rows = ["| file | what is done |", "|---|---|", *(f"| {kind.name} | {kind.found or 'nothing'} |" for kind in KINDS)]
    rows += ["", "| file | why it is refused |", "|---|---|", *(f"| {kind.name} | {kind.found} |" for kind in REFUSED)]
    page = (ROOT / "docs" / "images.md").read_text(encoding="utf-8")
    table = "\n".join(rows).replace("*", r"\*")
    assert table in page, f"docs/images.md needs this table:\n\n{table}\n"


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
def test_an_ordinary_image_is_as_pillow_reads_it(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)).save(path)
    with Image.open(path) as image:
        assert np.array_equal(read(path), np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_camera_that_was_turned(tmp_path: Path, orientation: int) -> None:
    turned(orientation)(tmp_path / "a.jpg")
    assert np.abs(read(tmp_path / "a.jpg") - RGB).mean() < 2  # JPEG's blocks fall elsewhere


def test_a_picture_with_broken_exif_is_a_picture(tmp_path: Path) -> None:
    PICTURE.save(tmp_path / "a.jpg", exif=b"Exif\0\0no such thing", quality=100)
    assert read(tmp_path / "a.jpg").shape == RGB.shape


def test_levels_between_those_of_8_bits_are_rounded(tmp_path: Path) -> None:
    between = np.tile(np.linspace(0, 65535, 999).astype(np.uint16), (16, 1))
    Image.fromarray(between).save(tmp_path / "a.png")
    assert np.abs(read(tmp_path / "a.png")[..., 0] - between / 257).max() <= 0.5


def test_gray_of_32_bits(tmp_path: Path) -> None:
    for values, expected in (
        (RAMP, RAMP),
        (RAMP.astype(int) * 1000, RAMP),
        (np.full((9, 9), 7), 7),
        (RAMP.astype(int) - 300, RAMP),
    ):
        tiff(np.asarray(values, dtype=np.int32))(tmp_path / "a.tif")
        assert (read(tmp_path / "a.tif")[..., 0] == expected).all()


def test_pillow_itself_would_cut_off_16_bit_gray() -> None:
    """Why the reader converts by itself; when this fails, Pillow has learned it."""
    deep = Image.fromarray(RAMP.astype(np.int32) * 257)
    assert (np.asarray(deep.convert("RGB"))[:, 1:] == 255).all()


def test_between_one_and_two_times_pillows_limit_is_no_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    PICTURE.save(tmp_path / "large.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 48 * 64 - 1)
    filters = list(warnings.filters)
    with ThreadPoolExecutor(8) as pool:  # the filters of warnings belong to all threads
        assert all(picture.shape == RGB.shape for picture in pool.map(read, [tmp_path / "large.png"] * 64))
    assert not list(recwarn)
    assert warnings.filters == filters
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 48 * 64 // 2 - 1)
    with pytest.raises(UnreadableImageError, match="too many pixels"):
        read_rgb(tmp_path / "large.png")


def png_header(width: int, height: int) -> bytes:
    """A PNG without pixels: it is refused before they are missed."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = b"IDAT" + zlib.compress(b"")
    chunks = (struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in (header, pixels))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def test_an_image_that_explodes_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png_header(13_000, 13_000))
    expected = r"too many pixels \(13000x13000, height x width; at most 125 million pixels of this kind\)"
    with pytest.raises(UnreadableImageError, match=expected):
        read_rgb(tmp_path / "a.png")
    (tmp_path / "a.png").write_bytes(png_header(100_000, 100_000))
    with pytest.raises(UnreadableImageError, match=r"too many pixels \(more than 179 million\)"):
        read_rgb(tmp_path / "a.png")
    (tmp_path / "a.png").write_bytes(png_header(10_000, 10_000))
    with pytest.raises(UnreadableImageError, match="truncated"):  # of a size that is read
        read_rgb(tmp_path / "a.png")


@pytest.mark.parametrize(("mode", "bytes_each"), [("RGB", 8), ("L", 8), ("RGBA", 16), ("I;16", 28), ("F", 28)])
def test_the_limit_is_one_of_memory(
    tmp_path: Path, mode: str, bytes_each: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new(mode, (64, 48)).save(tmp_path / "a.tiff")
    monkeypatch.setattr(reader, "MOST_BYTES", 64 * 48 * bytes_each)
    assert read_rgb(tmp_path / "a.tiff")[0].size == (64, 48)
    monkeypatch.setattr(reader, "MOST_BYTES", 64 * 48 * bytes_each - 1)
    with pytest.raises(UnreadableImageError, match="too many pixels"):
        read_rgb(tmp_path / "a.tiff")


def test_a_large_jpeg_is_halved_unless_positions_count_or_it_keeps_its_pixels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    PICTURE.save(tmp_path / "a.jpg", quality=95)
    whole = read_rgb(tmp_path / "a.jpg")[0]
    monkeypatch.setattr(reader, "MOST_BYTES", 48 * 64 * 8 - 1)
    halved, words = read_rgb(tmp_path / "a.jpg")
    assert (halved.size, words) == ((32, 24), ["half size"])
    near = np.abs(np.asarray(whole.resize((32, 24), Image.Resampling.BOX)).astype(int) - np.asarray(halved))
    assert near.mean() < 3
    with pytest.raises(UnreadableImageError, match="too many pixels"):
        read_rgb(tmp_path / "a.jpg", upright=False)
    PICTURE.save(tmp_path / "b.jpg", progressive=True)
    with pytest.raises(UnreadableImageError, match="too many pixels"):
        read_rgb(tmp_path / "b.jpg")


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(UnreadableImageError, match="no such file"):
        read_rgb(tmp_path / "a.png")


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    PICTURE.save(tmp_path / "a.png")

    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Image, "open", refuse)
    with pytest.raises(UnreadableImageError, match=r"a\.png: cannot be opened \(Permission denied\)$"):
        read_rgb(tmp_path / "a.png")


def test_a_damaged_frame_after_the_first(tmp_path: Path) -> None:
    frames = [Image.new("L", (64, 64), level) for level in (9, 99, 199)]
    frames[0].save(tmp_path / "a.tiff", save_all=True, append_images=frames[1:])
    content = (tmp_path / "a.tiff").read_bytes()
    (tmp_path / "a.tiff").write_bytes(content[: len(content) * 2 // 3])
    image, words = read_rgb(tmp_path / "a.tiff")
    assert (np.asarray(image) == 9).all()
    assert words[-1].startswith("first frame")


def test_the_images_in_a_folder(tmp_path: Path) -> None:
    for name in ("b.JPEG", "a b.webp", "ä.Png", "._a.jpg", ".DS_Store", "Thumbs.db", "notes.TXT", "README"):
        (tmp_path / name).touch()
    (tmp_path / "more.jpg").mkdir()
    (tmp_path / "gone.jpg").symlink_to("nowhere")
    images, others = image_files(tmp_path)
    assert [path.name for path in images] == ["a b.webp", "b.JPEG", "gone.jpg", "ä.Png"]
    assert others == Counter({"hidden": 3, "folder": 1, ".txt": 1, "without suffix": 1})

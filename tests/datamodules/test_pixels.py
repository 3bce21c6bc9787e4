import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from labs import LabsError
from labs.datamodules import pixels as module
from labs.datamodules.pixels import decode_images, read_image
from labs.storage.stores import digest

SIZE = 12


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Nine pictures of random colors, none of them square, of three modes and two formats."""
    draw = np.random.default_rng(0)
    (tmp_path / "images").mkdir()
    paths = []
    for number in range(9):
        mode = ("RGB", "L", "CMYK")[number % 3]
        shape = (20 + number, 15) if mode == "L" else (20 + number, 15, len(mode))
        path = tmp_path / "images" / f"{number}.{'png' if number == 4 else 'jpg'}"
        Image.fromarray(draw.integers(0, 256, shape, dtype=np.uint8), mode).save(path)
        paths.append(path)
    return paths


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def stores(cache: Path) -> list[Path]:
    return sorted(cache.glob("[!.]*.npy"))


def forbid_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "read_image", lambda file, size: pytest.fail(f"{file} was decoded again"))


class TestReadImage:
    @pytest.mark.parametrize("number", range(9))
    def test_it_is_pillow_s_own_rgb_and_resizing(self, files: list[Path], number: int) -> None:
        image = Image.open(files[number]).convert("RGB").resize((SIZE, SIZE), Image.Resampling.BILINEAR)
        read, _ = read_image(files[number], SIZE)
        assert (read.shape, read.dtype) == ((3, SIZE, SIZE), np.uint8)
        assert np.array_equal(read.transpose(1, 2, 0), np.asarray(image))

    def test_a_grayscale_image_has_three_equal_channels(self, files: list[Path]) -> None:
        (red, green, blue), words = read_image(files[1], SIZE)
        assert (red == green).all()
        assert (red == blue).all()
        assert red.std() > 0
        assert words == ["gray"]


class TestStore:
    def test_it_holds_each_image_in_the_order_asked_for(self, files: list[Path], cache: Path) -> None:
        order = [files[row] for row in (5, 0, 8, 3, 1)]
        pixels, kept, _ = decode_images(order, SIZE, cache)
        assert kept == [0, 1, 2, 3, 4]
        assert (pixels.shape, pixels.dtype) == ((5, 3, SIZE, SIZE), np.uint8)
        for row, file in enumerate(order):
            assert np.array_equal(pixels[row], read_image(file, SIZE)[0])
        assert isinstance(pixels, np.memmap)
        assert not pixels.flags.writeable

    def test_the_second_call_decodes_nothing(
        self, files: list[Path], cache: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first, *_ = decode_images(files, SIZE, cache)
        forbid_decoding(monkeypatch)
        second, kept, converted = decode_images(files, SIZE, cache)
        assert np.array_equal(first, second)
        assert kept == list(range(9))
        assert converted == {"gray": 3, "CMYK": 3}

    def test_another_size_selection_or_order_is_another_store(self, files: list[Path], cache: Path) -> None:
        decode_images(files, SIZE, cache)
        assert decode_images(files, SIZE + 1, cache)[0].shape[-1] == SIZE + 1
        assert len(decode_images(files[:4], SIZE, cache)[0]) == 4
        turned, *_ = decode_images(files[::-1], SIZE, cache)
        assert np.array_equal(turned[0], read_image(files[-1], SIZE)[0])
        assert len(stores(cache)) == 4

    def test_stores_of_an_earlier_reader_are_written_anew(
        self, files: list[Path], cache: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "READER", module.READER - 1)
        decode_images(files, SIZE, cache)
        monkeypatch.undo()
        decode_images(files, SIZE, cache)
        assert len(stores(cache)) == 2

    def test_a_file_of_another_length_is_decoded_anew(self, files: list[Path], cache: Path) -> None:
        before, *_ = decode_images(files, SIZE, cache)
        status = files[4].stat()
        Image.new("RGB", (40, 40), "red").save(files[4])
        assert files[4].stat().st_size != status.st_size
        os.utime(files[4], ns=(status.st_atime_ns, status.st_mtime_ns))
        after, *_ = decode_images(files, SIZE, cache)
        assert (after[4] == np.array([255, 0, 0])[:, None, None]).all()
        assert np.array_equal(np.delete(after, 4, axis=0), np.delete(before, 4, axis=0))

    def test_a_file_of_another_time_is_decoded_anew(
        self, files: list[Path], cache: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        decode_images(files, SIZE, cache)
        status = files[4].stat()
        os.utime(files[4], ns=(status.st_atime_ns, status.st_mtime_ns + 1_000_000))
        monkeypatch.setattr(module, "read_image", lambda file, size: (np.full((3, size, size), 7, dtype=np.uint8), []))
        assert (decode_images(files, SIZE, cache)[0] == 7).all()

    def test_the_recipe_of_the_store_is_plain_json(self, files: list[Path], cache: Path) -> None:
        decode_images(files, SIZE, cache)
        facts = json.loads(stores(cache)[0].with_suffix(".json").read_text())
        assert facts["shape"] == [9, 3, SIZE, SIZE]
        assert facts["kept"] == list(range(9))

    def test_without_room_on_the_disk_images_are_held_in_memory(
        self, files: list[Path], cache: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        expected = np.array(decode_images(files, SIZE, cache / "elsewhere")[0])
        usage = shutil.disk_usage(files[0])
        monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=9 * 3 * SIZE * SIZE - 1))
        with pytest.warns(UserWarning, match=r"kept in memory.* paths\.data="):
            pixels, kept, _ = decode_images(files, SIZE, cache)
        assert np.array_equal(pixels, expected)
        assert kept == list(range(9))
        assert stores(cache) == []


def flip_a_bit(store: Path) -> None:
    content = bytearray(store.read_bytes())
    content[-1] ^= 1
    store.write_bytes(content)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "one bit of the pixels": flip_a_bit,
    "cut in half": lambda store: os.truncate(store, store.stat().st_size // 2),
    "cut in its header": lambda store: os.truncate(store, 20),
    "empty": lambda store: os.truncate(store, 0),
    "not an array": lambda store: store.write_bytes(b"something else"),
    "no pixels": lambda store: store.unlink(),
    "no facts": lambda store: store.with_suffix(".json").unlink(),
    "facts cut": lambda store: os.truncate(store.with_suffix(".json"), 10),
    "other shape": lambda store: np.save(store, np.zeros((2, 3, SIZE, SIZE), dtype=np.uint8)),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_store_is_written_anew(
    files: list[Path], cache: Path, damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = np.array(decode_images(files, SIZE, cache)[0])
    DAMAGES[damage](stores(cache)[0])
    pixels, kept, _ = decode_images(files, SIZE, cache)
    assert np.array_equal(pixels, expected)
    assert kept == list(range(9))
    forbid_decoding(monkeypatch)
    assert np.array_equal(decode_images(files, SIZE, cache)[0], expected)  # mended on disk


class TestUnreadable:
    @pytest.fixture
    def broken(self, files: list[Path]) -> list[Path]:
        files[2].write_bytes(b"this is no picture")
        os.truncate(files[6], files[6].stat().st_size // 2)
        return files

    def test_all_of_them_are_named(self, broken: list[Path], cache: Path) -> None:
        with pytest.raises(LabsError, match="2 of 9 images cannot be read") as raised:
            decode_images(broken, SIZE, cache)
        message = str(raised.value)
        assert str(broken[2]) in message
        assert str(broken[6]) in message
        assert str(broken[0]) not in message
        assert "datamodule.source.skip_unreadable=true" in message
        assert stores(cache) == []

    def test_mended_files_are_read(self, broken: list[Path], cache: Path) -> None:
        with pytest.raises(LabsError):
            decode_images(broken, SIZE, cache)
        for row in (2, 6):
            Image.new("RGB", (9, 9), "blue").save(broken[row])
        assert len(decode_images(broken, SIZE, cache)[0]) == 9

    def test_they_are_left_out_if_asked(self, broken: list[Path], cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        with pytest.warns(UserWarning, match="skipped 2 unreadable images"):
            pixels, kept, _ = decode_images(broken, SIZE, cache, skip_unreadable=True)
        assert kept == [0, 1, 3, 4, 5, 7, 8]
        for row, file in enumerate(kept):
            assert np.array_equal(pixels[row], read_image(broken[file], SIZE)[0])
        forbid_decoding(monkeypatch)
        with pytest.warns(UserWarning, match="skipped 2 unreadable images"):
            again, kept_again, _ = decode_images(broken, SIZE, cache, skip_unreadable=True)
        assert np.array_equal(again, pixels)
        assert kept_again == kept

    def test_skipping_once_does_not_hide_them_from_who_did_not_ask(self, broken: list[Path], cache: Path) -> None:
        with pytest.warns(UserWarning, match="skipped"):
            decode_images(broken, SIZE, cache, skip_unreadable=True)
        with pytest.raises(LabsError, match="2 of 9"):
            decode_images(broken, SIZE, cache)


CHILD = """
import os, signal, sys, time
from pathlib import Path
from labs.storage import stores
from labs.datamodules import pixels as module

files, cache, log, die_at = sorted(Path(sys.argv[1]).iterdir()), Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4]
original = module.read_image

def read_image(file, size):
    with log.open("a") as lines:
        lines.write(f"{file.name}\\n")
    time.sleep(0.02)
    return original(file, size)

module.read_image = read_image

def die(*arguments, **options):
    os.kill(os.getpid(), signal.SIGKILL)

match die_at:
    case "decode":
        module._decode = die
    case "json.dumps":
        stores.json.dumps = die
    case "replace":
        Path.replace = die
pixels, kept, _ = module.decode_images(files, 12, cache)
print(stores.digest(pixels))
"""


class TestProcesses:
    def start(self, files: list[Path], cache: Path, log: Path, die_at: str = "never") -> subprocess.Popen[str]:
        command = [sys.executable, "-c", CHILD, str(files[0].parent), str(cache), str(log), die_at]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def test_several_processes_share_one_decoding(self, files: list[Path], cache: Path, tmp_path: Path) -> None:
        log = tmp_path / "log"
        children = [self.start(files, cache, log) for _ in range(3)]
        results = [child.communicate(timeout=60) for child in children]
        assert [child.returncode for child in children] == [0, 0, 0], results
        digests = {output.split()[-1] for output, _ in results}
        assert digests == {digest(decode_images(files, SIZE, cache)[0])}
        assert sorted(log.read_text().split()) == [file.name for file in files]

    def test_several_threads_share_one_decoding(
        self, files: list[Path], cache: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        decoded: list[Path] = []

        def slow(file: Path, size: int) -> tuple[np.ndarray, list[str]]:
            decoded.append(file)
            time.sleep(0.01)
            return read_image(file, size)

        monkeypatch.setattr(module, "read_image", slow)
        start, results = threading.Barrier(6), []

        def ask() -> None:
            start.wait()
            results.append(np.array(decode_images(files, SIZE, cache)[0]))

        threads = [threading.Thread(target=ask) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert len(results) == 6
        assert all(np.array_equal(result, results[0]) for result in results)
        assert sorted(decoded) == files

    @pytest.mark.parametrize("moment", ["decode", "json.dumps", "replace"])
    def test_a_killed_writer_leaves_no_half_store(
        self, files: list[Path], cache: Path, tmp_path: Path, moment: str
    ) -> None:
        child = self.start(files, cache, tmp_path / "log", moment)
        child.communicate(timeout=60)
        assert child.returncode == -signal.SIGKILL
        assert stores(cache) == []
        pixels, kept, _ = decode_images(files, SIZE, cache)
        assert kept == list(range(9))
        for row, file in enumerate(files):
            assert np.array_equal(pixels[row], read_image(file, SIZE)[0])

    def test_a_killed_writer_s_file_is_removed_by_the_next(
        self, files: list[Path], cache: Path, tmp_path: Path
    ) -> None:
        self.start(files, cache, tmp_path / "log", "json.dumps").communicate(timeout=60)
        decode_images(files, SIZE, cache)
        assert [path.name for path in cache.glob(".*.npy.*")] == []

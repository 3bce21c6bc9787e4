"""Arrays that are computed once: what is read is what was written, and what is damaged is written anew."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labs import LabsError
from labs.storage import stores
from labs.storage.files import identity
from labs.storage.stores import NoRoomError, Stored, content, digest, forget, stored, stored_or_held

ROWS, SHAPE = 7, (7, 3, 4)
DTYPES = ("uint8", "int16", "int64", "float16", "float32", "float64", "bool")


def values_of(dtype: str = "float32", seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, SHAPE).astype(dtype)


class Filling:
    """Write given values and count how often somebody asks for them."""

    def __init__(self, values: np.ndarray, **facts: Any) -> None:
        self.values, self.facts, self.calls = values, facts, 0

    def __call__(self, array: np.ndarray) -> dict[str, Any]:
        assert not array.any(), "fill is given zeros"
        assert (array.shape, array.dtype) == (self.values.shape, self.values.dtype)
        self.calls += 1
        array[:] = self.values
        return self.facts

    def into(self, file: Path) -> Stored:
        return stored(file, self.values.shape, self.values.dtype, self)


def never(array: np.ndarray) -> dict[str, Any]:
    pytest.fail("the values were computed again")


def left_in(folder: Path) -> set[str]:
    """Name what lies in a folder but for locks."""
    return {path.name for path in folder.iterdir() if path.suffix != ".lock"} if folder.is_dir() else set()


def notes_of(file: Path) -> dict[str, Any]:
    notes: dict[str, Any] = json.loads(file.with_suffix(".json").read_text())
    return notes


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "not" / "there" / "values.npy"


@pytest.fixture
def filling() -> Filling:
    return Filling(values_of(), who="me", seconds=0.5)


class TestStored:
    @pytest.mark.parametrize("dtype", DTYPES)
    def test_what_is_read_is_what_was_written(self, file: Path, dtype: str) -> None:
        values = values_of(dtype)
        for built in (True, False):
            found = Filling(values).into(file)
            assert found.built is built
            assert found.array.dtype == values.dtype
            assert np.array_equal(found.array, values)
            assert np.array_equal(np.load(file), values), "NumPy reads the file without us"

    def test_it_is_mapped_from_disk_and_cannot_be_written(self, file: Path, filling: Filling) -> None:
        for _ in range(2):
            array = filling.into(file).array
            assert isinstance(array, np.memmap)
            assert Path(str(array.filename)) == file
            with pytest.raises(ValueError, match="read-only"):
                array[0] = 0

    def test_the_second_call_computes_nothing(self, file: Path, filling: Filling) -> None:
        first = filling.into(file)
        second = stored(file, SHAPE, np.float32, never)
        assert filling.calls == 1
        assert second.facts == first.facts
        assert np.array_equal(second.array, first.array)

    def test_facts_are_plain_json_with_shape_and_digest(self, file: Path, filling: Filling) -> None:
        facts = filling.into(file).facts
        assert facts == notes_of(file)
        assert (facts["who"], facts["seconds"]) == ("me", 0.5)
        assert facts["shape"] == list(SHAPE)
        assert facts["digest"] == digest(filling.values)
        assert left_in(file.parent) == {"values.npy", "values.json"}

    def test_a_store_and_its_facts_can_be_moved(self, file: Path, filling: Filling, tmp_path: Path) -> None:
        filling.into(file)
        other = tmp_path / "elsewhere"
        shutil.move(file.parent, other)
        assert np.array_equal(stored(other / file.name, SHAPE, np.float32, never).array, filling.values)

    def test_stores_in_one_folder_are_apart(self, file: Path) -> None:
        other = Filling(values_of(seed=1))
        expected = {file: Filling(values_of()), file.with_name("values.2.npy"): other, file.with_name("v.npy"): other}
        for _ in range(2):
            for path, one in expected.items():
                assert np.array_equal(one.into(path).array, one.values)
        assert [one.calls for one in expected.values()] == [1, 2, 2]


class TestKept:
    @pytest.mark.parametrize("kept", [[1, 2, 5], [0], [0, 1, 2, 3, 4, 5], list(range(ROWS))])
    def test_other_rows_are_left_out(self, file: Path, kept: list[int]) -> None:
        values = values_of()
        for _ in range(2):
            found = Filling(values, kept=kept).into(file)
            assert np.array_equal(found.array, values[kept])
            assert found.facts["kept"] == kept
            assert found.facts["shape"] == [len(kept), *SHAPE[1:]]
        assert content(found.array) == digest(values[kept])
        assert np.load(file).nbytes == file.stat().st_size - found.array.offset


def flip_a_bit(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[-5] ^= 8
    file.write_bytes(data)
    touch(file)


def touch(file: Path) -> None:
    status = file.stat()
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns + 1_000_000))


def with_its_time_kept(file: Path) -> None:
    status = file.stat()
    flip_a_bit(file)
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))


def pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def rewrite(**changes: Any) -> Callable[[Path], object]:
    """Change facts; None takes one out."""

    def damage(file: Path) -> None:
        facts = {key: value for key, value in {**notes_of(file), **changes}.items() if value is not None}
        file.with_suffix(".json").write_text(json.dumps(facts))

    return damage


DAMAGES: dict[str, Callable[[Path], object]] = {
    "one bit": flip_a_bit,
    "one bit, its time kept": with_its_time_kept,
    "a pipe": pipe,
    "cut by a byte": lambda file: os.truncate(file, file.stat().st_size - 1),
    "cut in half": lambda file: os.truncate(file, file.stat().st_size // 2),
    "cut in its header": lambda file: os.truncate(file, 20),
    "empty": lambda file: os.truncate(file, 0),
    "another array": lambda file: np.save(file, values_of(seed=1)),
    "another shape": lambda file: np.save(file, values_of()[:3]),
    "another type": lambda file: np.save(file, values_of("float64")),
    "objects": lambda file: np.save(file, np.array([{}], dtype=object), allow_pickle=True),
    "no array": lambda file: file.write_bytes(b"something else"),
    "missing": lambda file: file.unlink(),
    "facts missing": lambda file: file.with_suffix(".json").unlink(),
    "facts cut": lambda file: os.truncate(file.with_suffix(".json"), 10),
    "facts empty": lambda file: os.truncate(file.with_suffix(".json"), 0),
    "facts no text": lambda file: file.with_suffix(".json").write_bytes(b"\xff\xfe\x00"),
    "facts a list": lambda file: file.with_suffix(".json").write_text("[1, 2]"),
    "facts null": lambda file: file.with_suffix(".json").write_text("null"),
    "facts of another shape": rewrite(shape=[ROWS, 4, 3]),
    "facts without a shape": rewrite(shape=None),
    "facts without a stamp": rewrite(stamp=None),
    "facts a pipe": lambda file: pipe(file.with_suffix(".json")),
    "facts nested deeply": lambda file: file.with_suffix(".json").write_text("[" * 100_000),
    "facts with a forged digest": rewrite(digest="0" * 32),
    "facts with another word": rewrite(who="you"),
    "facts of another digest": rewrite(digest="0" * 32, stamp=[1, 2]),
}


class TestDamage:
    @pytest.mark.parametrize("damage", DAMAGES)
    def test_a_damaged_store_is_written_anew(self, file: Path, filling: Filling, damage: str) -> None:
        filling.into(file)
        DAMAGES[damage](file)
        mended = filling.into(file)
        assert mended.built
        assert filling.calls == 2
        assert np.array_equal(mended.array, filling.values)
        again = stored(file, SHAPE, np.float32, never)
        assert np.array_equal(again.array, filling.values)
        assert content(again.array) == digest(filling.values)

    def test_a_line_says_that_a_changed_store_is_computed_again(
        self, file: Path, filling: Filling, capsys: pytest.CaptureFixture[str]
    ) -> None:
        filling.into(file)
        assert capsys.readouterr().err == ""
        with_its_time_kept(file)
        filling.into(file)
        assert capsys.readouterr().err == f"{file} is damaged or was changed; it is computed again.\n"

    def test_facts_of_an_earlier_version_are_kept_if_their_digest_is_right(self, file: Path, filling: Filling) -> None:
        filling.into(file)
        rewrite(seal=None, stamp=notes_of(file)["stamp"][:2])(file)
        assert np.array_equal(stored(file, SHAPE, np.float32, never).array, filling.values)
        assert {"seal", "who"} <= set(notes_of(file))
        rewrite(seal=None, digest="0" * 32)(file)
        assert filling.into(file).built

    @pytest.mark.parametrize("move", ["touched", "copied"])
    def test_the_same_bytes_of_another_time_are_compared_once_and_kept(
        self, file: Path, filling: Filling, move: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        filling.into(file)
        if move == "copied":
            shutil.copytree(file.parent, file.parent.with_name("copy"))
            file = file.parent.with_name("copy") / file.name
        touch(file)
        read: list[int] = []

        def counted(values: np.ndarray) -> str:
            read.append(len(values))
            return digest(values)

        monkeypatch.setattr(stores, "digest", counted)
        for _ in range(3):
            found = stored(file, SHAPE, np.float32, never)
            assert np.array_equal(found.array, filling.values)
            assert notes_of(file)["stamp"] == list(identity(file.stat()).values())
            assert {"who": "me", "seconds": 0.5}.items() <= found.facts.items()
        assert read == [ROWS]
        assert left_in(file.parent) == {"values.npy", "values.json"}

    def test_who_has_a_store_open_keeps_what_was_read(self, file: Path, filling: Filling) -> None:
        before = filling.into(file)
        forget(before)
        other = Filling(values_of(seed=1))
        assert np.array_equal(other.into(file).array, other.values)
        assert np.array_equal(before.array, filling.values)


class TestFailure:
    @pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt(), OSError(errno.ENOSPC, "full")])
    def test_a_fill_that_fails_leaves_nothing(self, file: Path, filling: Filling, error: BaseException) -> None:
        def fails(array: np.ndarray) -> dict[str, Any]:
            array[0] = 1
            raise error

        with pytest.raises(type(error)) as raised:
            stored(file, SHAPE, np.float32, fails)
        assert raised.value is error
        assert left_in(file.parent) == set()
        assert filling.into(file).built, "the next one can write"

    def test_facts_that_are_no_plain_words_leave_nothing(self, file: Path) -> None:
        with pytest.raises(TypeError):
            Filling(values_of(), what=object()).into(file)
        assert left_in(file.parent) == set()

    def test_what_a_killed_process_left_is_removed(self, file: Path, filling: Filling) -> None:
        file.parent.mkdir(parents=True)
        for name in (".values.npy.1", ".values.npy.22", ".other.npy.1"):
            (file.parent / name).write_bytes(b"half")
        filling.into(file)
        assert left_in(file.parent) == {"values.npy", "values.json", ".other.npy.1"}


class TestNoRoom:
    needed = int(np.prod(SHAPE)) * 4

    def test_a_disk_with_too_little_free_is_left_as_it_is(self, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        usage = shutil.disk_usage(file.anchor)
        monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=self.needed - 1))
        with pytest.raises(NoRoomError, match=r"needs .* MB, but only .* MB are free") as raised:
            stored(file, SHAPE, np.float32, never)
        assert str(file.parent) in str(raised.value)
        assert isinstance(raised.value, LabsError)
        assert left_in(file.parent) == set()

    @pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="this system cannot reserve room")
    @pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
    def test_room_that_is_refused_leaves_no_half_file(
        self, file: Path, filling: Filling, code: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(descriptor: int, offset: int, length: int) -> None:
            assert (offset, length) == (0, os.fstat(descriptor).st_size)
            assert length >= self.needed
            raise OSError(code, os.strerror(code))

        with monkeypatch.context() as patch:
            patch.setattr(os, "posix_fallocate", refuse)
            with pytest.raises(NoRoomError, match=os.strerror(code)):
                stored(file, SHAPE, np.float32, never)
        assert left_in(file.parent) == set()
        assert filling.into(file).built, "with room it is written"

    @pytest.mark.skipif(sys.platform != "linux", reason="blocks are counted by Linux")
    def test_all_room_is_taken_before_anything_is_computed(self, file: Path) -> None:
        def look(array: np.ndarray) -> dict[str, Any]:
            (temporary,) = file.parent.glob(".*.npy.*")
            assert temporary.stat().st_blocks * 512 >= array.nbytes
            return {}

        stored(file, (1000, 1000), np.uint8, look)

    @pytest.mark.parametrize("depth", [0, 1])
    def test_a_file_where_the_folder_should_be(self, file: Path, depth: int) -> None:
        in_the_way = file.parents[depth]
        in_the_way.parent.mkdir(parents=True, exist_ok=True)
        in_the_way.write_text("a file")
        with pytest.raises(NoRoomError, match="Cannot write to") as raised:
            stored(file, SHAPE, np.float32, never)
        assert str(file.parent) in str(raised.value)
        assert in_the_way.read_text() == "a file"

    def test_no_room_for_the_facts(self, file: Path, filling: Filling, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(path: Path, *arguments: Any, **options: Any) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        with monkeypatch.context() as patch:
            patch.setattr(Path, "write_text", refuse)
            with pytest.raises(NoRoomError, match="No space left"):
                filling.into(file)
        assert left_in(file.parent) == set()

    def test_a_whole_store_of_another_time_can_be_read_where_nothing_can_be_written(
        self, file: Path, filling: Filling, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*arguments: Any, **options: Any) -> None:
            raise PermissionError(errno.EACCES, "Permission denied")

        filling.into(file)
        touch(file)
        for owner, name in ((Path, "write_text"), (Path, "replace"), (Path, "mkdir"), (stores.FileLock, "acquire")):
            monkeypatch.setattr(owner, name, refuse)
        assert np.array_equal(stored(file, SHAPE, np.float32, never).array, filling.values)

    def test_a_folder_that_is_not_ours(self, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(path: Path, *arguments: Any, **options: Any) -> None:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))

        monkeypatch.setattr(Path, "mkdir", refuse)
        with pytest.raises(NoRoomError, match=r"Cannot write to .* \(Permission denied\)"):
            stored(file, SHAPE, np.float32, never)


CHILD = """
import os, sys, time
from pathlib import Path
import numpy as np
from labs.storage.stores import stored, stored_or_held

file, log, mine = Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])

def fill(array):
    with log.open("a") as lines:
        lines.write(f"{os.getpid()}\\n")
    time.sleep(0.2)
    array[:] = np.arange(len(array))[:, None]
    return {}

mine.touch()
while len(list(mine.parent.glob("ready*"))) < 2:
    time.sleep(0.001)
found = stored(file, (100, 10), np.int32, fill)
print(found.built, int(found.array.sum()))
"""


def test_processes_that_start_together_compute_once(file: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    children = [
        subprocess.Popen(
            [sys.executable, "-c", CHILD, str(file), str(log), str(tmp_path / f"ready{n}")],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for n in range(2)
    ]
    results = [child.communicate(timeout=60) for child in children]
    assert [child.returncode for child in children] == [0, 0], results
    assert sorted(output.split() for output, _ in results) == [["False", "49500"], ["True", "49500"]]
    assert len(log.read_text().split()) == 1


class TestDigest:
    @pytest.mark.parametrize("dtype", DTYPES)
    def test_it_is_blake2_of_the_bytes_whatever_the_chunks(self, dtype: str) -> None:
        values = values_of(dtype)
        expected = hashlib.blake2b(values.tobytes(), digest_size=16).hexdigest()
        assert {digest(values, chunk=chunk) for chunk in (1, 2, ROWS, 256)} == {expected}
        assert digest(np.asfortranarray(values)) == expected

    def test_of_rows_it_is_that_of_the_rows_alone(self) -> None:
        values, rows = values_of(), np.array([5, 0, 0, 3])
        assert digest(values, rows) == digest(values[rows]) == digest(values, rows, chunk=3)
        assert digest(values, rows) != digest(values, np.sort(rows))

    def test_every_bit_counts(self) -> None:
        values = values_of("uint8")
        found = {digest(values)}
        for place in np.ndindex(SHAPE):
            changed = values.copy()
            changed[place] ^= 1
            found.add(digest(changed))
        assert len(found) == values.size + 1


class TestContent:
    @pytest.fixture
    def array(self, file: Path, filling: Filling) -> np.ndarray:
        return filling.into(file).array

    @pytest.mark.parametrize("again", [False, True])
    def test_of_a_store_nothing_is_read(
        self, file: Path, array: np.ndarray, again: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        array = stored(file, SHAPE, np.float32, never).array if again else array
        expected = digest(array)
        monkeypatch.setattr(stores, "digest", lambda values: pytest.fail("the values were read"))
        assert content(array) == expected

    @pytest.mark.parametrize("part", [slice(0, 3), slice(2, None), slice(None, None, 2), 4, [1, 3]])
    def test_of_a_part_it_is_the_digest_of_the_part(self, array: np.ndarray, part: Any) -> None:
        assert content(array[part]) == digest(np.array(array)[part])
        assert content(array[part]) != content(array)

    @pytest.mark.parametrize("view", [lambda a: a[::-1], lambda a: a[:, ::-1], lambda a: a.transpose(0, 2, 1)[:, :3]])
    def test_of_a_view_of_the_same_shape_it_is_the_digest_of_the_view(
        self, tmp_path: Path, view: Callable[[np.ndarray], np.ndarray]
    ) -> None:
        values = np.random.default_rng(0).random((4, 3, 3))
        array = Filling(values).into(tmp_path / "square.npy").array
        assert view(array).shape == array.shape
        assert content(view(array)) == digest(view(values)) != content(array)

    def test_of_an_array_in_memory_it_is_its_digest(self, array: np.ndarray) -> None:
        for values in (np.array(array), array + 1, values_of(seed=1)):
            assert content(values) == digest(values)
        assert content(np.array(array)) == content(array)

    @pytest.mark.parametrize("damage", ["facts missing", "facts cut", "facts null", "facts without a shape"])
    def test_without_facts_to_trust_values_are_read(self, file: Path, array: np.ndarray, damage: str) -> None:
        expected = digest(array)
        DAMAGES[damage](file)
        assert content(array) == expected

    def test_values_that_changed_on_disk_are_read(self, file: Path, array: np.ndarray) -> None:
        with file.open("r+b") as opened:
            opened.seek(-4, os.SEEK_END)
            opened.write(b"\x00\x00\x80\x7f")
        touch(file)
        assert content(array) == digest(np.load(file)) != notes_of(file)["digest"]

    def test_of_a_mapped_file_that_is_no_store(self, tmp_path: Path) -> None:
        np.save(tmp_path / "plain.npy", values_of())
        assert content(np.load(tmp_path / "plain.npy", mmap_mode="r")) == digest(values_of())


class TestForget:
    def test_the_store_is_written_anew(self, file: Path) -> None:
        wrong, right = Filling(values_of()), Filling(values_of(seed=1))
        forget(wrong.into(file))
        found = right.into(file)
        assert found.built
        assert np.array_equal(found.array, right.values)

    def test_twice_is_no_mistake(self, file: Path, filling: Filling) -> None:
        found = filling.into(file)
        for _ in range(2):
            forget(found)
        assert filling.into(file).built

    def test_what_another_process_has_written_since_stays(self, file: Path) -> None:
        """Both processes of a run found the same wrong values; one of them was faster."""
        wrong, right = Filling(values_of()), Filling(values_of(seed=1))
        first, second = wrong.into(file), wrong.into(file)
        forget(first)
        right.into(file)
        forget(second)
        assert np.array_equal(stored(file, SHAPE, np.float32, never).array, right.values)


def numbers(values: np.ndarray) -> dict[str, Any]:
    values[:] = np.arange(values.size).reshape(values.shape)
    return {}


@pytest.mark.parametrize("bit", range(0, 8 * 128, 37))
def test_a_damaged_header_counts_as_missing(tmp_path: Path, bit: int) -> None:
    file = tmp_path / "values.npy"
    stored(file, (3, 4), np.float32, numbers)
    content = bytearray(file.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    file.write_bytes(content)
    again = stored(file, (3, 4), np.float32, numbers)
    assert np.array_equal(again.array, np.arange(12).reshape(3, 4))
    assert again.array.dtype == np.dtype("<f4")


@pytest.mark.parametrize(("shape", "dtype"), [((3, 4), np.uint8), ((3, 5), np.float32), ((2, 4), np.float32)])
def test_a_store_of_another_kind_counts_as_missing(tmp_path: Path, shape: tuple[int, ...], dtype: Any) -> None:
    file = tmp_path / "values.npy"
    stored(file, (3, 4), np.float32, numbers)
    again = stored(file, shape, dtype, numbers)
    assert again.built
    assert (again.array.shape, again.array.dtype) == (shape, np.dtype(dtype))


def test_without_room_values_are_held_in_memory(tmp_path: Path) -> None:
    (tmp_path / "folder").write_text("a file where the folder should be")
    file = tmp_path / "folder" / "values.npy"

    def fill(values: np.ndarray) -> dict[str, Any]:
        return numbers(values) | {"kept": [0, 2]}

    with pytest.warns(UserWarning, match="kept in memory"):
        values, facts = stored_or_held(file, (3, 4), np.uint8, fill)
    assert np.array_equal(values, np.arange(12).reshape(3, 4)[[0, 2]])
    assert facts == {"kept": [0, 2]}

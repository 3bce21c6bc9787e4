from __future__ import annotations

import gzip
import io
import lzma
import os
import signal
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from archive_server import BODY, names_in

from labs import LabsError
from labs.storage import unpack as unpacking
from labs.storage.unpack import unpack

FILES = {"birds/images/one.jpg": BODY, "birds/lists/train.txt": b"one.jpg\n", "birds/empty": b""}


def make_tar(path: Path, mode: str = "w:gz", extra: tarfile.TarInfo | None = None) -> Path:
    with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
        for name, body in FILES.items():
            info = tarfile.TarInfo(name)
            info.size = len(body)
            tar.addfile(info, io.BytesIO(body))
        if extra is not None:
            tar.addfile(extra)
    return path


def make_zip(path: Path, extra: zipfile.ZipInfo | None = None) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.mkdir("birds/folder")
        for name, body in FILES.items():
            archive.writestr(name, body)
        if extra is not None:
            archive.writestr(extra, b"/etc/passwd")
    return path


def tar_member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


def zip_member(name: str, mode: int = 0o100644) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    return info


def files_below(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


class TestUnpack:
    @pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
    def test_tar(self, tmp_path: Path, mode: str) -> None:
        unpack(make_tar(tmp_path / "a", mode), tmp_path / "new" / "out", expected="birds/lists/train.txt")
        assert files_below(tmp_path / "new" / "out") == FILES
        assert names_in(tmp_path / "new") == ["out"]

    def test_zip(self, tmp_path: Path) -> None:
        unpack(make_zip(tmp_path / "a"), tmp_path / "new" / "out", expected="birds/images")
        assert files_below(tmp_path / "new" / "out") == FILES
        assert (tmp_path / "new/out/birds/folder").is_dir()
        assert names_in(tmp_path / "new") == ["out"]

    def test_folder_is_readable_like_any_other(self, tmp_path: Path) -> None:
        unpack(make_tar(tmp_path / "a"), tmp_path / "out")
        (tmp_path / "plain").mkdir()
        assert (tmp_path / "out").stat().st_mode == (tmp_path / "plain").stat().st_mode

    def test_tar_that_ends_in_a_zip_is_a_tar(self, tmp_path: Path) -> None:
        inner = make_zip(tmp_path / "inner.zip").read_bytes()
        with tarfile.open(tmp_path / "PK.tar", "w", format=tarfile.USTAR_FORMAT) as tar:
            tar.add(tmp_path / "inner.zip", "PK/inner.zip")
        assert (tmp_path / "PK.tar").read_bytes().startswith(b"PK")
        unpack(tmp_path / "PK.tar", tmp_path / "out")
        assert files_below(tmp_path / "out") == {"PK/inner.zip": inner}

    def test_link_within_the_archive_is_kept(self, tmp_path: Path) -> None:
        link = tar_member("birds/link", tarfile.SYMTYPE, "empty")
        unpack(make_tar(tmp_path / "a", extra=link), tmp_path / "out")
        assert (tmp_path / "out/birds/link").readlink() == Path("empty")

    def test_existing_destination_is_left_alone(self, tmp_path: Path) -> None:
        (tmp_path / "out").mkdir()
        with pytest.raises(LabsError, match="exists"):
            unpack(make_tar(tmp_path / "a"), tmp_path / "out")
        assert names_in(tmp_path / "out") == []

    @pytest.mark.parametrize("make", [make_tar, make_zip])
    def test_archive_without_what_was_expected(self, tmp_path: Path, make: Callable[..., Path]) -> None:
        with pytest.raises(LabsError, match=r"does not contain CUB_200_2011, only: birds"):
            unpack(make(tmp_path / "a"), tmp_path / "out", expected="CUB_200_2011")
        assert names_in(tmp_path) == ["a"]

    @pytest.mark.parametrize(
        "member",
        [
            tar_member("../evil"),
            tar_member("birds/../../evil"),
            tar_member("evil", tarfile.SYMTYPE, "../secret"),
            tar_member("evil", tarfile.SYMTYPE, "/etc/passwd"),
            tar_member("evil", tarfile.LNKTYPE, "../secret"),
            tar_member("evil", tarfile.CHRTYPE),
            tar_member("evil", tarfile.FIFOTYPE),
        ],
        ids=lambda member: f"{member.name} {member.type!r} {member.linkname}",
    )
    def test_unsafe_tar(self, tmp_path: Path, member: tarfile.TarInfo) -> None:
        (tmp_path / "secret").write_text("secret")
        archive = make_tar(tmp_path / "a", extra=member)
        with pytest.raises(LabsError, match=r"not safe to unpack.*evil"):
            unpack(archive, tmp_path / "out")
        assert names_in(tmp_path) == ["a", "secret"]

    def test_absolute_tar_member_stays_inside(self, tmp_path: Path) -> None:
        unpack(make_tar(tmp_path / "a", extra=tar_member(f"{tmp_path}/evil")), tmp_path / "out")
        assert not (tmp_path / "evil").exists()
        assert (tmp_path / "out" / str(tmp_path)[1:] / "evil").exists()

    @pytest.mark.parametrize(
        "member",
        [
            zip_member("../evil"),
            zip_member("birds/../../evil"),
            zip_member("..\\evil"),
            zip_member("/evil"),
            zip_member("C:\\evil"),
            zip_member("evil", 0o120777),
            zip_member("evil", 0o020644),
        ],
        ids=lambda member: f"{member.filename} {member.external_attr >> 16:o}",
    )
    def test_unsafe_zip(self, tmp_path: Path, member: zipfile.ZipInfo) -> None:
        archive = make_zip(tmp_path / "a", extra=member)
        with pytest.raises(LabsError, match=r"not safe to unpack.*evil"):
            unpack(archive, tmp_path / "out")
        assert names_in(tmp_path) == ["a"]

    @pytest.mark.parametrize("kind", ["w", "w:gz", "w:xz", "zip"])
    @pytest.mark.parametrize("kept", [0.0, 0.001, 0.3, 0.9, -1024, -8])
    def test_truncated_archive(self, tmp_path: Path, kind: str, kept: float) -> None:
        path = tmp_path / "a"
        whole = (make_zip(path) if kind == "zip" else make_tar(path, kind)).read_bytes()
        if kind == "w":  # the padding after the end of a plain tar may go: cut before it
            whole = whole[: whole.rstrip(b"\0").rfind(b"birds/empty") + 512 + 8]
        path.write_bytes(whole[: int(kept) if kept < 0 else int(kept * len(whole))])
        with pytest.raises(LabsError, match="delete it and run again") as caught:
            unpack(path, tmp_path / "out")
        assert str(path) in str(caught.value)
        assert names_in(tmp_path) == ["a"]

    @pytest.mark.parametrize("kind", ["w:gz", "zip"])
    @pytest.mark.parametrize("part", ["data", "checksum"])
    def test_altered_archive(self, tmp_path: Path, kind: str, part: str) -> None:
        path = tmp_path / "a"
        body = bytearray((make_zip(path) if kind == "zip" else make_tar(path, kind)).read_bytes())
        if part == "data":
            place = len(body) // 2
        elif kind == "zip":  # the CRC-32 in the second entry of the directory: the first is a folder's
            place = body.find(b"PK\1\2", body.find(b"PK\1\2") + 1) + 16
        else:  # a gzip file ends in CRC-32 and length, four bytes each
            place = len(body) - 8
        body[place] ^= 0x10
        path.write_bytes(body)
        with pytest.raises(LabsError, match="delete it and run again"):
            unpack(path, tmp_path / "out")
        assert names_in(tmp_path) == ["a"]

    def test_file_of_another_kind_and_missing_file(self, tmp_path: Path) -> None:
        (tmp_path / "a").write_bytes(b"<html></html>")
        with pytest.raises(LabsError, match="not a valid tar or zip"):
            unpack(tmp_path / "a", tmp_path / "out")
        with pytest.raises(LabsError, match="No such file"):
            unpack(tmp_path / "b", tmp_path / "out")
        assert names_in(tmp_path) == ["a"]

    @pytest.mark.parametrize(("make", "owner"), [(make_tar, tarfile.TarFile), (make_zip, zipfile.ZipFile)])
    @pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError("No space left on device")])
    def test_interruption_leaves_nothing(
        self,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        make: Callable[..., Path],
        owner: type[tarfile.TarFile] | type[zipfile.ZipFile],
        error: BaseException,
    ) -> None:
        archive, extract = make(tmp_path / "a"), owner.extract
        done: list[object] = []

        def extract_two(*args: Any, **options: Any) -> None:
            if len(done) == 2:
                assert any(tmp_path.glob(".out.*/birds"))  # something had been written
                raise error
            done.append(extract(*args, **options))

        monkeypatch.setattr(owner, "extract", extract_two)
        expected = LabsError if isinstance(error, OSError) else KeyboardInterrupt
        with pytest.raises(expected):
            unpack(archive, tmp_path / "out")
        assert names_in(tmp_path) == ["a"]


def tar_bomb(path: Path) -> None:
    with tarfile.open(path, "w:gz") as tar:
        info = tarfile.TarInfo("zeros")
        info.size = 3_000_000
        tar.addfile(info, io.BytesIO(bytes(info.size)))


def zip_bomb(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(3):
            archive.writestr(str(number), bytes(1_000_000))


def bomb_behind_the_end(path: Path) -> None:
    make_tar(path, "w")
    path.write_bytes(gzip.compress(path.read_bytes() + bytes(3_000_000)))


def long_header(path: Path) -> None:
    """A comment of 3 MB, which tarfile would read into memory."""
    with tarfile.open(path, "w:xz", format=tarfile.PAX_FORMAT, pax_headers={"comment": "x" * 3_000_000}) as tar:
        tar.addfile(tarfile.TarInfo("a"))


def member_beyond_the_end(path: Path) -> None:
    """A header that announces a terabyte."""
    info = tarfile.TarInfo("huge")
    info.size = 10**12
    path.write_bytes(lzma.compress(info.tobuf(tarfile.GNU_FORMAT)))


def sparse(path: Path) -> None:
    """A file of a terabyte in ten kilobytes, as GNU tar and its PAX successor write it."""
    headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "hole"}
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        info = tarfile.TarInfo("GNUSparseFile.0/hole")
        info.pax_headers = {**headers, "GNU.sparse.realsize": str(10**12)}
        body = f"1\n{10**12}\n0\n".encode().ljust(512, b"\0")
        info.size = len(body)
        tar.addfile(info, io.BytesIO(body))


def many_members(path: Path) -> None:
    with tarfile.open(path, "w") as tar:
        for number in range(12):
            tar.addfile(tarfile.TarInfo(str(number)))


class TestExplosions:
    @pytest.mark.parametrize(
        ("make", "why"),
        [
            (tar_bomb, r"more than 1\.0 MB .*too much for an archive of its size"),
            (zip_bomb, r"more than 1\.0 MB \('1'\), too much for an archive of its size"),
            (bomb_behind_the_end, r"more than 1\.0 MB behind its end"),
            (long_header, r"a header of more than 1\.0 MB"),
            (member_beyond_the_end, r"more than 1\.0 MB \('huge'\)"),
            (sparse, "'hole' is a sparse file"),
            (many_members, "more than 10 members"),
        ],
    )
    def test_an_archive_that_explodes_is_refused(
        self, tmp_path: Path, make: Callable[[Path], None], why: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name, value in {"LEAST_BYTES": 1_000_000, "MOST_RATIO": 1, "MOST_MEMBERS": 10}.items():
            monkeypatch.setattr(unpacking, name, value)
        make(tmp_path / "a")
        with pytest.raises(LabsError, match=f"a is not safe to unpack: {why}"):
            unpack(tmp_path / "a", tmp_path / "out")
        assert names_in(tmp_path) == ["a"]

    def test_a_hard_link_to_a_missing_member_is_one_line(self, tmp_path: Path) -> None:
        archive = make_tar(tmp_path / "a", extra=tar_member("birds/link", tarfile.LNKTYPE, "missing"))
        with pytest.raises(LabsError, match=r"a is not a valid tar or zip \(.*'missing' not found.*\): delete it"):
            unpack(archive, tmp_path / "out")
        assert names_in(tmp_path) == ["a"]

    def test_what_fits_no_disk_is_not_begun(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        usage = unpacking.shutil.disk_usage(tmp_path)
        monkeypatch.setattr(unpacking.shutil, "disk_usage", lambda _: usage._replace(free=1000))
        with pytest.raises(LabsError, match=r"cannot unpack .*more than the 1\.0 kB that are free; make room"):
            unpack(make_tar(tmp_path / "a"), tmp_path / "out")
        assert names_in(tmp_path) == ["a"]


PROGRAM = """
import os, signal, sys, tarfile; from pathlib import Path; from labs.storage.unpack import unpack
tarfile.TarFile.extract = lambda *a, **o: os.kill(os.getpid(), signal.SIGKILL)
unpack(Path(sys.argv[1]), Path(sys.argv[2]))
"""


def test_what_a_killed_process_left_is_removed_and_what_a_living_one_fills_is_not(tmp_path: Path) -> None:
    archive = make_tar(tmp_path / "a")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-P", "-c", PROGRAM, str(archive), str(tmp_path / "out")]
    assert subprocess.run(command, env=environment, check=False).returncode == -signal.SIGKILL
    assert len(names_in(tmp_path)) == 2
    with unpacking.whole_folder(tmp_path / "out") as living:
        unpack(archive, tmp_path / "out")
        assert names_in(tmp_path) == sorted(["a", "out", living.name])
        (tmp_path / "out").rename(tmp_path / "other")
    assert names_in(tmp_path) == ["a", "other", "out"]
